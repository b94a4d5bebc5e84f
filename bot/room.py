"""Who may ask the engine now: as many as it has room for, in the order they came, once it is ready. Knows no turn and no engine."""

import asyncio
import itertools
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Line:
    """The order of those who were not answered yet, and how far back each stands."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._numbers: list[int] = []  # ascending: who came first stands first
        self._standing: dict[object, tuple[int, asyncio.Event]] = {}
        self._next = itertools.count()

    def join(self, who: object) -> None:
        number = next(self._next)
        self._numbers.append(number)
        self._standing[who] = number, asyncio.Event()

    def leave(self, who: object) -> None:
        """All behind move up."""
        if who in self._standing:
            number, _ = self._standing.pop(who)
            del self._numbers[bisect_left(self._numbers, number)]
            for _, moved in self._standing.values():
                moved.set()

    def place(self, who: object) -> int:
        """How many answers have to end before this one can begin; 0: it is being written."""
        return max(0, bisect_left(self._numbers, self._standing[who][0]) + 1 - self._slots)

    def nudge(self, who: object) -> None:
        """Ends a wait for `moved`."""
        self._standing[who][1].set()

    async def moved(self, who: object) -> None:
        """Returns once somebody ahead may have left since the last call."""
        moved = self._standing[who][1]
        await moved.wait()
        moved.clear()


class Room:
    """The places at the engine."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._open = asyncio.Event()

    def open(self) -> None:
        """From now on there are places to be had."""
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    @asynccontextmanager
    async def place(self, left: asyncio.Event) -> AsyncIterator[bool]:
        """A place, as soon as there is one; False when who waits for it has `left`."""
        entering = asyncio.create_task(self._enter())
        leaving = asyncio.create_task(left.wait())
        try:
            await asyncio.wait([entering, leaving], return_when=asyncio.FIRST_COMPLETED)
            yield entering.done()
        finally:
            leaving.cancel()
            if entering.done():
                self._places.release()
            else:
                entering.cancel()

    async def _enter(self) -> None:
        await self._open.wait()
        await self._places.acquire()
