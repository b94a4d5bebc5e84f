"""How many prompt tokens to read between two steps: from what reading and stepping took so far. Pure; knows no network.

Whoever is being answered should hardly notice that somebody else's long prompt is read, and that one should not wait for ever:
a chunk may take one and a half times as long as a step. It follows the machine (a GPU reads 500 tokens in the time of a
step, two cores 50) and the moment (longer contexts read slower).
"""

from dataclasses import dataclass

_SHARE = 1.5  # of a step's time that goes to reading
_LEAST, _MOST, _GRAIN = 16, 512, 16
_MEMORY = 0.7  # of what was measured before; the rest is the newest measurement


@dataclass(slots=True)
class Pace:
    """Times in seconds. Starts with a chunk that is fine on two cores."""

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
            wanted = int(_SHARE * self._step / self._token) // _GRAIN * _GRAIN
            self.chunk = max(_LEAST, min(_MOST, wanted))


def _blend(before: float | None, now: float) -> float:
    return now if before is None else _MEMORY * before + (1 - _MEMORY) * now
