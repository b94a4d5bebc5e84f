"""Replies on their way to an HTTP response. Knows no request and no format.

The handler that asks a question `expect`s its reply first, reads it as it comes and says whether the end got through.
A turn nobody expects (after a restart) is answered into a letterbox: its reader fetches it when they come back.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from bot.connectors.base import Delivery, ReaderLeft
from bot.turns import Turn

# How long the end of a reply may take to get through to a reader who does not read.
_END_SECONDS = 30.0


class Feed:
    """A Delivery with a reader in this process."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[str | Turn] = asyncio.Queue()
        self._left = asyncio.Event()
        self._read = asyncio.Event()

    async def begin(self) -> None:
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

    async def __aiter__(self) -> AsyncIterator[str | Turn]:
        """The reader's side: pieces, then the finished turn."""
        while True:
            item = await self._items.get()
            yield item
            if isinstance(item, Turn):
                return

    def arrived(self) -> None:
        """The reader has the end of it."""
        self._read.set()

    def leave(self) -> None:
        """The reader reads no more."""
        self._left.set()

    def _require_reader(self) -> None:
        if self._left.is_set():
            raise ReaderLeft


class Letterbox:
    """A Delivery that waits to be fetched."""

    async def begin(self) -> None:
        return None

    async def show(self, piece: str) -> None:
        return None

    async def finish(self, turn: Turn) -> bool:
        return False


class WebConnector:
    """One HTTP surface as the service sees it."""

    def __init__(self, platform: str) -> None:
        self.platform = platform
        self._expected: dict[str, Feed] = {}

    def open(self, turn: Turn) -> Delivery:
        return self._expected.pop(turn.question.event_id, None) or Letterbox()

    @contextmanager
    def expect(self, event_id: str) -> Iterator[Feed]:
        """A feed for the reply to the question with this event id; leaving the block is leaving the reply."""
        feed = Feed()
        self._expected[event_id] = feed
        try:
            yield feed
        finally:
            if self._expected.get(event_id) is feed:
                del self._expected[event_id]
            feed.leave()
