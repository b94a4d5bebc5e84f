"""How many prompt tokens to read between two steps: from what reading and stepping took so far. Knows no network.

Whoever is being answered should hardly notice that somebody else's long prompt is read, and that one should not wait for ever:
a chunk may take as long as a step. It follows the moment (steps of more rows are slower, so are chunks of longer contexts) within
what is sensible on the machine: reading the weights costs a pass so much that it should read as many tokens as cost the same
(10 on two cores; a GPU that reads 500 tokens for the price of one would with less only multiply it).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

_LEAST, _MOST, _GRAIN = 16, 512, 16
_MEMORY = 0.7  # of what was measured before; the rest is the newest measurement
_FEW, _MANY, _TRIES = 16, 128, 3


def worthwhile(read: Callable[[int], object], clock: Callable[[], float] = time.perf_counter) -> int:
    """How many tokens cost a pass as much as its fixed part: measured with `read`, which reads so many tokens and returns when it has."""
    few, many = (min(_timed(read, tokens, clock) for _ in range(_TRIES)) for tokens in (_FEW, _MANY))
    token = max(many - few, 0.0) / (_MANY - _FEW)
    return int(min(max(few / token - _FEW, 0), _MOST)) if token else _MOST


def _timed(read: Callable[[int], object], tokens: int, clock: Callable[[], float]) -> float:
    started = clock()
    read(tokens)
    return clock() - started


@dataclass(slots=True)
class Pace:
    """Times in seconds. Starts with a chunk that is fine on two cores; no chunk is shorter than `least` tokens."""

    least: int = _LEAST
    chunk: int = 64
    _step: float | None = None
    _token: float | None = None

    def stepped(self, seconds: float) -> None:
        """A step took so long."""
        self._step = _blend(self._step, seconds)

    def read(self, tokens: int, seconds: float) -> None:
        """A chunk took so long. Its fixed cost is counted to its tokens, so the chunk is found by approaching it."""
        self._token = _blend(self._token, seconds / tokens)
        if self._step is not None:
            wanted = int(max(self._step / self._token, self.least)) // _GRAIN * _GRAIN
            self.chunk = max(_LEAST, min(_MOST, wanted))


def _blend(before: float | None, now: float) -> float:
    return now if before is None else _MEMORY * before + (1 - _MEMORY) * now
