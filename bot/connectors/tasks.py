"""What a connector does after the acknowledgement: tasks with an owner, and a memory of what was said once. Knows no platform."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bot.store import StoreError

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0

T = TypeVar("T")


class Tasks:
    """Of one platform. `expected` are the platform's own errors, which need no traceback."""

    def __init__(self, platform: str, expected: type[Exception]) -> None:
        self._platform = platform
        self._expected = expected
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None], what: str) -> "asyncio.Task[None]":
        """Does something that nobody waits for."""
        task = asyncio.create_task(self._guarded(work, what), name=f"{self._platform} {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before it began has not been awaited
        return task

    async def close(self) -> None:
        """Lets what runs finish for a moment, and ends the rest."""
        await _end(self._tasks)

    async def _guarded(self, work: Coroutine[None, None, None], what: str) -> None:
        told = {"platform": self._platform, "what": what}
        try:
            await work
        except (self._expected, StoreError) as error:
            log.warning("something was left undone", extra={**told, "error": f"{type(error).__name__}: {error}"})
        except Exception:  # the edge of a task: the others go on
            log.exception("a task broke", extra=told)


class Owned:
    """Work for somebody who waits for it, and may leave: it is done all the same."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[None, None, T]) -> T:
        """What it gives, to whoever is still there."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Lets what runs finish for a moment, and ends the rest."""
        await _end(self._tasks)


async def _end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Once:
    """Remembers names for as long as there is room: for notes that need not be said again."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._names: OrderedDict[str, None] = OrderedDict()

    def first(self, name: str) -> bool:
        """True the first time."""
        if name in self._names:
            return False
        self._names[name] = None
        if len(self._names) > self._most:
            self._names.popitem(last=False)
        return True

    @contextmanager
    def trying(self, name: str) -> Iterator[bool]:
        """True the first time. What fails, however it does, was none: the next time is the first."""
        first, done = self.first(name), False
        try:
            yield first
            done = True
        finally:
            if first and not done:
                self._names.pop(name, None)
