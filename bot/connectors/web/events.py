"""Server-sent events on an HTTP response, every write with a deadline. Knows no event's meaning."""

import asyncio
import json

from aiohttp import web

from bot.connectors.base import ReaderLeft

_WRITE_SECONDS = 30.0


class EventStream:
    """A text/event-stream response."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"})

    async def open(self) -> None:
        """Sends the headers: from here on the status is 200."""
        await self.response.prepare(self._request)

    async def send(self, data: object, event: str | None = None) -> None:
        """One event with JSON data. Raises ReaderLeft."""
        name = f"event: {event}\n" if event else ""
        await self._write(f"{name}data: {json.dumps(data, ensure_ascii=False)}\n\n")

    async def keep_alive(self) -> None:
        """A comment that every client ignores. Raises ReaderLeft."""
        await self._write(": waiting\n\n")

    async def done(self) -> None:
        """OpenAI's end of a stream. Raises ReaderLeft."""
        await self._write("data: [DONE]\n\n")

    async def _write(self, text: str) -> None:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await self.response.write(text.encode())
        except (ConnectionError, TimeoutError) as error:
            raise ReaderLeft from error
