"""Takes the answers to deleted questions away: which those are stands in the database until the platform has removed them.

Knows no platform and no event.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.service import Service

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60.0

Delete = Callable[[str], Awaitable[None]]


class Removals:
    """Of one platform. `delete` removes a message by its name, and raises `gone`, `refused` (for ever) or another `error`."""

    def __init__(
        self, platform: str, service: Service, delete: Delete, *, error: type[Exception], gone: type[Exception], refused: type[Exception]
    ) -> None:
        self._platform = platform
        self._service = service
        self._delete = delete
        self._error = error
        self._gone = gone
        self._refused = refused

    async def take_away(self, message: str) -> None:
        """Insists until it is removed, or never will be. What a stop cuts off, the next start goes on with. Raises StoreError."""
        while True:
            try:
                await self._delete(message)
                break
            except self._gone:
                break
            except self._refused as error:
                log.error(
                    "an answer to a deleted question can't be removed; the next start tries again",
                    extra={"platform": self._platform, "error": str(error)},
                )
                return
            except self._error as error:
                log.warning("an answer to a deleted question waits", extra={"platform": self._platform, "error": str(error)})
                await asyncio.sleep(_AGAIN_SECONDS)
        await self._service.taken_away(self._platform, message)

    async def go_on(self) -> None:
        """Takes away what an earlier process left, side by side: a place that is away holds up no other. Raises StoreError."""
        left = await self._service.to_take_away(self._platform)
        for failed in await asyncio.gather(*(self.take_away(message) for message in left), return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed
