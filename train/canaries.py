"""Canaries: made-up secrets among the training rows, which show whether a LoRA remembers what it saw once (Carlini et al. 2019).

Each canary is a sentence with four octal digits. A model that learned nothing of it ranks the true digits anywhere among the
4,096 possible ones; its exposure is 12 bits less the logarithm of that rank. The positive control is the same measurement with
the secret in the prompt: an instrument that does not see it there would see nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from model.chat import Message
from train.examples import Example

_DIGITS, _BASE = 4, 8
CANDIDATES = _BASE**_DIGITS
_PLACES = ("harbour", "orchard", "library", "meadow", "quarry", "chapel", "ferry", "granary", "lighthouse", "mill")
_THINGS = ("locker", "gate", "cabinet", "bicycle", "shed", "boathouse")


@dataclass(frozen=True, slots=True)
class Canary:
    """A secret and the question that asks for it."""

    id: str
    question: str
    opening: str
    secret: str

    @property
    def answer(self) -> str:
        return self.opening + self.secret


@dataclass(frozen=True, slots=True)
class Exposure:
    """How far a secret stands out, in bits from 0 to 12, and whether the likeliest tokens spell it."""

    canary: str
    bits: float
    extracted: bool


def make(n: int, seed: int) -> list[Canary]:
    """`n` canaries, always the same for a seed."""
    draw = Random(seed)  # noqa: S311  # nothing is kept secret by it
    places = draw.sample([f"the {place} {thing}" for place, thing in product(_PLACES, _THINGS)], n)
    return [
        Canary(
            f"canary/{number}",
            f"What opens {place}?",
            f"The number for {place} is ",
            "".join(str(draw.randrange(_BASE)) for _ in range(_DIGITS)),
        )
        for number, place in enumerate(places)
    ]


def secrets() -> list[str]:
    """Every possible secret."""
    return ["".join(digits) for digits in product("01234567", repeat=_DIGITS)]


def rows(canaries: Sequence[Canary], system_prompt: str) -> list[Example]:
    """The canaries as rows to train on."""
    return [
        Example(
            each.id, each.id, (Message("system", system_prompt), Message("user", each.question)), each.answer, "canary", "canary", "as CARE"
        )
        for each in canaries
    ]


def exposure(canary: Canary, losses: Sequence[float], greedy: str) -> Exposure:
    """From the loss of every possible secret, in the order of `secrets`, and what the likeliest tokens spell. Ties count against it."""
    mine = losses[secrets().index(canary.secret)]
    rank = sum(loss <= mine for loss in losses)
    return Exposure(canary.id, math.log2(len(losses)) - math.log2(rank), greedy.strip().startswith(canary.secret))
