"""One message of CARE's in a chat: streamed, put right, removed. Knows Teams' two ways to write, a stream and an update; no turn.

One writer a message: nothing here may run twice at a time.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.connectors.teams import shapes
from bot.connectors.teams.address import Address
from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.errors import Gone, Limited, Refused, StreamEnded, StreamStopped

Json = Mapping[str, Any]

_SHORT_SECONDS = 0.002  # a sleep may end so much early


@dataclass(frozen=True, slots=True)
class Pace:
    """How often something may be written, in seconds."""

    chunk: float = 1.0  # between two requests of a stream: Teams refuses more
    sparse: float = 3.0  # between two updates of a message that does not stream
    stream: float = 105.0  # a stream ends by itself after two minutes; this leaves time to end it in order
    idle: float = 5.0  # a stream is looked after at least so often: only its next request hears of the Stop button
    retry: float = 1.0
    most_retry: float = 60.0


class Post:
    """A message that stands. `shown` is what it shows, None where nobody knows (one from before a restart).

    Without an id, which Teams gives late now and then, nothing of it can be changed any more.
    """

    def __init__(self, api: TeamsApi, to: Address, message_id: str, shown: Json | None) -> None:
        self._api = api
        self._to = to
        self.id = message_id
        self._shown = shown
        self.written = shown is not None  # by this process

    @classmethod
    async def write(cls, api: TeamsApi, to: Address, activity: Json, patience: float) -> "Post":
        """A new message. Raises TeamsError."""
        return cls(api, to, await api.post(to, activity, patience=patience), activity)

    async def complete(self, activity: Json, patience: float) -> None:
        """Makes it what it shall be. May be called again. Raises TeamsError; Gone also where a stream was left that takes nothing more."""
        if activity == self._shown or not self.id:
            return
        try:
            await self._api.update(self._to, self.id, activity, patience=patience)
        except Refused:
            if self.written:
                raise
            await self._end_left(activity, patience)
        self._shown, self.written = activity, True

    async def _end_left(self, activity: Json, patience: float) -> None:
        """It may still stream, since before a restart."""
        try:
            await self._api.post(self._to, shapes.ended(activity, self.id), patience=patience)
        except StreamEnded as error:
            raise Gone(f"a message from before takes nothing more ({error})") from None

    async def remove(self, patience: float) -> None:
        """Takes it away. Raises TeamsError."""
        if self.id:
            await self._api.delete(self._to, self.id, patience=patience)


class Stream(Post):
    """A message that streams, until it is `over`; then it is a message like any other."""

    def __init__(self, api: TeamsApi, to: Address, message_id: str, line: str, pace: Pace) -> None:
        super().__init__(api, to, message_id, {})
        self._pace = pace
        self._line = line
        self._text = ""
        self._sequence = 1
        self._sent_at = self._begun_at = asyncio.get_running_loop().time()
        self._not_before = self._sent_at + pace.chunk
        self.over = False

    @classmethod
    async def start(cls, api: TeamsApi, to: Address, line: str, pace: Pace) -> "Stream":
        """Begins with a line of what is going on. Raises TeamsError."""
        begun_at = asyncio.get_running_loop().time()
        stream = cls(api, to, await api.post(to, shapes.informative(line, 1, None)), line, pace)
        stream._begun_at = begun_at
        return stream

    @property
    def text(self) -> str:
        """All that was streamed: what comes must begin with it."""
        return self._text

    @property
    def rest(self) -> float:
        """For how long nothing may be sent."""
        left = self._not_before - asyncio.get_running_loop().time()
        return left if left > _SHORT_SECONDS else 0.0

    @property
    def late(self) -> bool:
        """Whether its time is nearly up."""
        return asyncio.get_running_loop().time() - self._begun_at > self._pace.stream

    async def grow(self, line: str, text: str) -> None:
        """Shows all that is written so far, or while that is nothing the line; looks after an idle stream. Raises TeamsError."""
        if self.over or self.rest:
            return
        idle = asyncio.get_running_loop().time() - self._sent_at > self._pace.idle
        if text and text.startswith(self._text) and (text != self._text or idle):
            await self._send(lambda number: shapes.chunk(text, number, self.id))
            self._text = text
        elif not self._text and (line != self._line or idle):
            await self._send(lambda number: shapes.informative(line, number, self.id))
            self._line = line

    async def _send(self, shape: Callable[[int], Json]) -> None:
        self._sequence += 1
        try:
            await self._api.post(self._to, shape(self._sequence))
        except StreamEnded:
            self.over = True
            raise
        except Limited as error:
            self._pause(error.seconds)
            raise
        finally:
            self._pause(self._pace.chunk)

    def _pause(self, seconds: float) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        self._not_before = max(self._not_before, self._sent_at + seconds)

    async def complete(self, activity: Json, patience: float) -> None:
        """The end of the stream, or an update after that. Raises TeamsError, of a stream's end only StreamStopped."""
        if not self.over:
            await self._end(activity, patience)
        await super().complete(activity, patience)

    async def _end(self, activity: Json, patience: float) -> None:
        await asyncio.sleep(self.rest)
        try:
            await self._api.post(self._to, shapes.ended(activity, self.id), patience=patience)
            self._shown = activity
        except StreamStopped:
            self.over = True
            raise
        except (StreamEnded, Refused):
            pass  # an update puts it right
        finally:
            self._pause(self._pace.chunk)
        self.over = True

    async def close(self, patience: float) -> None:
        """Ends it with what stands there, so that it can be updated or removed. Raises TeamsError."""
        if not self.over:
            await self._end(shapes.answer(self._text) if self._text else shapes.note(self._line), patience)
