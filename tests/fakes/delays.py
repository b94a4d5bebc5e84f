"""Calls that take longer, or wait until a test lets them go. Knows no platform."""

import asyncio
from collections import Counter
from collections.abc import Sequence

ALL = "*"  # every call


class Delays:
    """Arranged by a test, met by every call of a fake."""

    def __init__(self) -> None:
        self._slow: dict[str, float] = {}
        self._holds: dict[str, asyncio.Event] = {}
        self.held: Counter[str] = Counter()  # how many calls wait, or waited, for `release`

    def slow(self, kind: str, seconds: float) -> None:
        """Every call takes so much longer, until it is set to 0."""
        self._slow[kind] = seconds

    def hold(self, kind: str = ALL) -> None:
        """Every call waits until `release`, however long that takes."""
        self._holds[kind] = asyncio.Event()

    def release(self) -> None:
        """What was held goes on, and nothing more is held."""
        for going in self._holds.values():
            going.set()
        self._holds.clear()

    def clear(self) -> None:
        """All is well again."""
        self.release()
        self._slow.clear()

    async def wait(self, keys: Sequence[str]) -> None:
        """What was arranged for a call, which is of the first of these kinds."""
        pause = max(self._slow.get(key, 0.0) for key in keys)
        if pause:
            await asyncio.sleep(pause)
        for going in [self._holds[key] for key in keys if key in self._holds]:
            self.held[keys[0]] += 1
            await going.wait()
