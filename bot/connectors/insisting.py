"""Takes the steps of a reply until they are taken, however long its platform is away. Knows no platform but how it says no."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from bot.store import StoreError

log = logging.getLogger(__name__)

_LEAST_LIMIT = 1000
_JITTER = 0.5


@dataclass(frozen=True, slots=True)
class Refusals:
    """A platform's errors, as what a writer decides on."""

    platform: str  # as people read it
    error: type[Exception]  # any of them; what is none of the others is tried again
    gone: type[Exception]  # there is nobody to write to
    too_long: type[Exception]  # smaller messages may do
    refused: type[Exception]  # nothing but words may do
    pause: Callable[[Exception], float]  # how long the platform wants to be left alone, in seconds


class Insistence:
    """Of one reply's writer: what it learned about what the platform takes."""

    def __init__(self, refusals: Refusals, turn_id: str, limit: int, retry: float = 1.0, most_retry: float = 60.0) -> None:
        self._refusals = refusals
        self._turn = turn_id
        self._retry = retry
        self._most_retry = most_retry
        self.limit = limit  # bytes in a message
        self.bare = False  # nothing but words: the platform refused them with what stands below
        self.gives_up = False  # not even the smallest messages were small enough: says so instead
        self.given_way = asyncio.Event()  # another writer goes on with these messages

    def shrink(self) -> bool:
        """False: they are as small as they get."""
        if self.limit == _LEAST_LIMIT:
            return False
        self.limit = max(self.limit // 2, _LEAST_LIMIT)
        log.info(f"a message was too long for {self._refusals.platform}; smaller ones follow", extra=self._told(limit=self.limit))
        return True

    async def take(self, step: Callable[[], Awaitable[None]]) -> bool:
        """Takes a step until it is taken; False when the platform will never have it, or another writer will see to it. Raises `gone`."""
        pause = self._retry
        while not self.given_way.is_set():
            try:
                await step()
                return True
            except self._refusals.gone:
                raise
            except self._refusals.too_long as error:
                if not self._smaller(error):
                    return False
            except self._refusals.refused as error:
                log.error(f"{self._refusals.platform} refuses an answer", extra=self._told(error=str(error), bare=self.bare))
                if self.bare:
                    return False
                self.bare = True  # the words matter more than the thumbs
            except (self._refusals.error, StoreError) as error:
                log.warning(f"an answer waits for {self._refusals.platform}", extra=self._told(error=f"{type(error).__name__}: {error}"))
                # Never sooner than the platform wants, and not all at the same moment.
                await self.rest(max(pause, self._refusals.pause(error)) * random.uniform(1, 1 + _JITTER))  # noqa: S311
                pause = min(2 * pause, self._most_retry)
        return False

    def _smaller(self, error: Exception) -> bool:
        """False: nothing smaller is left to say."""
        if self.shrink():
            return True
        log.error(f"an answer is too long for {self._refusals.platform}", extra=self._told(error=str(error), limit=self.limit))
        before, self.gives_up = self.gives_up, True
        return not before

    async def rest(self, seconds: float) -> None:
        """Waits, unless another writer takes over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.given_way.wait()

    def _told(self, **more: object) -> dict[str, object]:
        return {"turn": self._turn, **more}
