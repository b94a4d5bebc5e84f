"""Replies on their way to an HTTP response. Knows no request and no format.

The handler that asks a question brings a feed, reads it as it fills and says whether the end got through. A turn
without one (after a restart) is answered into a letterbox: its reader fetches it when they come back.
"""

import asyncio
from collections.abc import AsyncIterator

from bot.connectors.base import Delivery, ReaderLeft
from bot.notices import Notice
from bot.turns import ExpertReply, Handover, Turn
from model.errors import NotReady

# How long the end of a reply may take to get through to a reader who does not read.
_END_SECONDS = 30.0
# Proxies cut a connection that stays silent, most of them after a minute.
_SILENCE_SECONDS = 15.0


class Feed:
    """A Delivery with a reader in this process."""

    def __init__(self) -> None:
        self.acknowledged = False  # before its receipt, a question belongs to somebody who will ask for it again
        self._items: asyncio.Queue[str | Turn | NotReady] = asyncio.Queue()
        self._left = asyncio.Event()
        self._read = asyncio.Event()

    async def begin(self) -> None:
        self._require_reader()

    async def waits(self, place: int) -> None:
        self._require_reader()

    async def show(self, piece: str) -> None:
        self._require_reader()
        self._items.put_nowait(piece)

    async def finish(self, turn: Turn) -> bool:
        self._require_reader()
        self._items.put_nowait(turn)
        waits = [asyncio.create_task(event.wait()) for event in (self._read, self._left)]
        await asyncio.wait(waits, timeout=_END_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self._read.is_set()

    def interrupt(self) -> None:
        self._items.put_nowait(NotReady("the answer was interrupted; it is written when CARE has been started again"))

    async def __aiter__(self) -> AsyncIterator[str | Turn]:
        """The reader's side: pieces, then the finished turn; an empty piece now and then while there is nothing to read.

        Raises NotReady when the answer was interrupted.
        """
        item: str | Turn | NotReady = ""
        while not isinstance(item, Turn):
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    item = await self._items.get()
            except TimeoutError:
                item = ""
            if isinstance(item, NotReady):
                raise item
            yield item

    def arrived(self) -> None:
        """The reader has the end of it."""
        self._read.set()

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        """The reader reads no more."""
        self._left.set()

    def _require_reader(self) -> None:
        if self._left.is_set() and self.acknowledged:
            raise ReaderLeft


class Letterbox:
    """A Delivery that waits to be fetched."""

    async def begin(self) -> None:
        return None

    async def waits(self, place: int) -> None:
        return None

    async def show(self, piece: str) -> None:
        return None

    async def finish(self, turn: Turn) -> bool:
        return False

    def interrupt(self) -> None:
        return None


class WebConnector:
    """One HTTP surface as the service sees it."""

    def __init__(self, platform: str) -> None:
        self.platform = platform

    def open(self, turn: Turn) -> Delivery:
        return Letterbox()

    async def tell(self, notice: Notice) -> bool:
        """The page fetches what its person has not been told yet."""
        return False

    async def hand_over(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        """There are no experts behind a page."""
        return None

    async def relay(self, handover: Handover, turn: Turn) -> None:
        return None

    async def expert_replied(self, handover: Handover, reply: ExpertReply) -> None:
        return None
