"""When a LoRA has failed in service: its thumbs against its predecessor's, and its replies to the smoke test. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from bot.learning import Thumbs

# 95 %, two-sided.
_Z = 1.959964
FEWEST_RATINGS = 50
# Of the smoke test's replies: a small model stumbles over one or two on a good day.
_MOST_BAD = 0.2
_REPEATED = 4
_CONTROL = re.compile(r"<\|[^|>]{1,40}\|>|\[/?INST\]|</?s>")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A rate with its 95 % interval."""

    rate: float
    low: float
    high: float


def wilson(up: int, n: int) -> Bounds:
    """The share of thumbs up (Wilson 1927); without any, everything from 0 to 1."""
    if n == 0:
        return Bounds(0.0, 0.0, 1.0)
    rate, square = up / n, _Z * _Z
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = _Z * sqrt(rate * (1 - rate) / n + square / (4 * n * n)) / (1 + square / n)
    return Bounds(rate, max(0.0, centre - half), min(1.0, centre + half))


def worse(new: Thumbs, old: Thumbs) -> str | None:
    """Why people like a LoRA surely less than what it replaced; None while that is not sure."""
    mine, before = wilson(new.up, new.n), wilson(old.up, old.n)
    if new.n < FEWEST_RATINGS or mine.high >= before.low:
        return None
    return f"{new.up} of {new.n} thumbs are up (at most {mine.high:.0%}); before it were {old.up} of {old.n} (at least {before.low:.0%})"


def smoke_fault(replies: Mapping[str, str | None]) -> str | None:
    """Why the replies to the smoke test (by question; None: an error) are those of a broken LoRA; None: they are not."""
    bad = Counter(fault for reply in replies.values() if (fault := _fault(reply)) is not None)
    if sum(bad.values()) <= _MOST_BAD * len(replies):
        return None
    told = ", ".join(f"{n} {fault}" for fault, n in bad.most_common())
    return f"smoke test failed: of {len(replies)} replies {told}"


def _fault(reply: str | None) -> str | None:
    if reply is None:
        return "ended in an error"
    if not re.search(r"\w", reply):
        return "were empty"
    if _CONTROL.search(reply) or "\ufffd" in reply:
        return "held control tokens or broken characters"
    return "went in circles" if _in_circles(reply.split()) else None


def _in_circles(words: Sequence[str]) -> bool:
    """One word, or one run of three, again and again."""
    for n in (1, 3):
        runs = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
        if runs and max(runs.values()) >= max(_REPEATED, len(words) // (2 * n)) and len(words) >= _REPEATED * n:
            return True
    return False
