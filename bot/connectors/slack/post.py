"""One message of CARE's in a thread: started, grown, put right. Knows Slack's two ways to write, a stream and an update; no turn.

One writer a message: nothing here may run twice at a time.
"""

from collections.abc import Sequence

from bot.connectors.slack.api import Block, SlackApi
from bot.connectors.slack.budget import Budget
from bot.connectors.slack.errors import Limited, NotStreaming, Unreachable
from bot.connectors.slack.notes import notification


class Post:
    """A message that stands, streaming or not. `shown` is its text, None where nobody knows (one from before a restart)."""

    def __init__(self, api: SlackApi, budget: Budget, channel: str, ts: str, shown: str | None, *, streaming: bool) -> None:
        self._api = api
        self._budget = budget
        self._channel = channel
        self.ts = ts
        self.shown = shown
        self.written = shown is not None  # by this process
        self.streaming = streaming
        self.idled = False  # ending its stream said that nothing more is coming
        self._below: Sequence[Block] = ()
        budget.streaming += streaming

    @classmethod
    async def start(cls, api: SlackApi, budget: Budget, channel: str, thread_ts: str, text: str, team: str, user: str) -> "Post":
        """A stream; its start must have been taken from the budget. Raises SlackError."""
        try:
            ts = await api.start_stream(channel, thread_ts, text, team, user)
        except Limited as error:
            budget.starts.close(error.seconds)
            raise
        return cls(api, budget, channel, ts, text, streaming=True)

    @classmethod
    async def write(
        cls, api: SlackApi, budget: Budget, channel: str, thread_ts: str, text: str, below: Sequence[Block], patience: float
    ) -> "Post":
        """A whole message at once. Raises SlackError."""
        ts = await api.post(channel, notification(text), [_markdown(text), *below], thread_ts, patience=patience)
        post = cls(api, budget, channel, ts, text, streaming=False)
        post._below = below
        return post

    async def grow(self, text: str) -> None:
        """Shows a longer text, if there is budget for it; later otherwise. Raises SlackError."""
        if text == self.shown:
            return
        if self.streaming and self.shown is not None and text.startswith(self.shown):
            await self._append(text)
        elif not self.streaming and self._budget.updates.take():
            await self._update(text, (), 0.0)

    async def _append(self, text: str) -> None:
        if not self._budget.appends.take():
            return
        assert self.shown is not None
        try:
            await self._api.append_stream(self._channel, self.ts, text[len(self.shown) :])
            self.shown = text
        except Limited as error:
            self._budget.appends.close(error.seconds)
        except NotStreaming:
            self._ended()
        except Unreachable as error:
            if error.sent:
                self.shown = None  # the piece may stand there: it isn't sent again, the end puts all of it right
            raise

    async def complete(self, text: str, below: Sequence[Block], patience: float, *, last: bool) -> None:
        """Makes it what it shall be: this text with this below it. May be called again. Raises SlackError.

        `last`: no message follows; Slack's Stop button goes with the end of its stream.
        """
        if self.streaming:
            await self._stop(text, below, patience, last=last)
        if self.shown != text or list(self._below) != list(below):
            await self._update(text, below, patience)

    async def _stop(self, text: str, below: Sequence[Block], patience: float, *, last: bool) -> None:
        """Ends the stream, where it still streams, with what is missing if that comes at its end."""
        fits = self.shown is not None and text.startswith(self.shown)
        rest = text[len(self.shown or "") :] if fits else ""
        try:
            await self._api.stop_stream(self._channel, self.ts, rest, below if fits else None, idle=last, patience=patience)
        except NotStreaming:
            pass
        else:
            self.idled = last
            if fits:
                self.shown, self._below = text, below
        self._ended()

    async def _update(self, text: str, below: Sequence[Block], patience: float) -> None:
        await self._api.update(self._channel, self.ts, notification(text), [_markdown(text), *below], patience=patience)
        self.shown, self._below, self.written = text, below, True

    async def remove(self, patience: float) -> None:
        """Takes it away. Raises SlackError."""
        self.abandon()
        await self._api.delete(self._channel, self.ts, patience=patience)

    def abandon(self) -> None:
        """Nobody in this process writes it any more."""
        if self.streaming:
            self._ended()

    def _ended(self) -> None:
        self.streaming = False
        self._budget.streaming -= 1


def _markdown(text: str) -> Block:
    return {"type": "markdown", "text": text}
