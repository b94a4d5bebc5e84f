"""The store as the event loop uses it: one thread, one statement at a time, every wait bounded. Knows no question."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from bot.store import StorageUnavailable, Store

P = ParamSpec("P")
T = TypeVar("T")

# Longer than SQLite's own wait for a lock (5 s).
_DEADLINE_SECONDS = 15.0


class Archive:
    """Runs a Store's methods off the loop: `await archive.run(Store.turn, turn_id)`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "care-store")

    async def run(self, method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The method's result. Raises what it raises, or StorageUnavailable when it could not begin in time."""
        job = self._thread.submit(lambda: method(self._store, *args, **kwargs))
        work = asyncio.wrap_future(job)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):  # wait_for would swallow a cancellation that comes with the result
                return await asyncio.shield(work)
        except TimeoutError as error:
            if not job.cancel():
                return await work  # it has begun and may commit: SQLite's own deadline ends it
            raise StorageUnavailable(f"{self._store.path} did not answer within {_DEADLINE_SECONDS:.0f} s; check the disk") from error

    async def close(self) -> None:
        """Waits for what runs, then closes the store."""
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        self._store.close()
