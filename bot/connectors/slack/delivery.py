"""Replies on their way to Slack, as the service sees them. What it awaits here does not wait for Slack, but `finish`.

It only says what there is to show; the writer (`writer.py`) brings Slack's messages there.
"""

import asyncio
from collections.abc import Callable

from bot.connectors import markdown
from bot.connectors.base import ReaderLeft
from bot.connectors.draft import Draft
from bot.connectors.slack.errors import Gone
from bot.connectors.slack.names import Name, asked_in
from bot.connectors.slack.workspace import Workspace
from bot.connectors.slack.writer import Writer
from bot.turns import Status, Turn

# Then the service goes on to other turns, and the writer alone insists.
_FINISH_SECONDS = 30.0


class SlackDelivery:
    """See `bot.connectors.base.Delivery`. `thread` is the message its thread begins with; None: Slack is asked.

    `before` is on its way with an answer that this one replaces, in the same messages.
    """

    def __init__(
        self,
        workspace: Workspace,
        turn: Turn,
        question: Name,
        thread: str | None,
        gone: Callable[[str], None],
        before: "SlackDelivery | None" = None,
    ) -> None:
        self._workspace = workspace
        self._turn = turn
        self._gone = gone
        self._before = before
        self._safe = markdown.SafeStream(workspace.hosts)
        self._draft = Draft()
        self.channel = question.channel
        self._writer = Writer(workspace, turn, question, thread, self._draft)
        self._writing: asyncio.Task[None] | None = None
        self._left = False
        self._late = False

    @property
    def thread(self) -> str | None:
        return self._writer.thread

    async def begin(self) -> str | None:
        self._start()
        return self._turn.reply_ref

    async def waits(self, place: int) -> None:
        self._draft.place = place
        self._draft.changed.set()

    async def show(self, piece: str) -> None:
        if self._left:
            raise ReaderLeft
        self._draft.text += self._safe.feed(piece)
        self._draft.changed.set()

    async def finish(self, turn: Turn) -> bool:
        self._draft.end(turn)
        writing = self._start()
        await asyncio.wait([writing], timeout=_FINISH_SECONDS)
        if self._left and turn.status is Status.ANSWERED:
            return True  # the place it was for is gone: no later start could bring it there
        if self._left:
            raise ReaderLeft
        self._late = not writing.done()
        return self._writer.complete

    def interrupt(self) -> None:
        self._draft.end(None)
        if self._writing is None:
            self._gone(self._turn.id)

    def stop(self) -> None:
        """The reader pressed Slack's Stop button."""
        self._draft.stopped = True

    async def give_way(self) -> Writer:
        """Another answer comes in place of this one: writes no more. Its writer, once it has stopped."""
        self._writer.give_way()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        return self._writer

    def _start(self) -> "asyncio.Task[None]":
        if self._writing is None:
            self._writing = self._workspace.spawn(self._write(), "a reply")
        return self._writing

    async def _write(self) -> None:
        try:
            if self._before is not None:
                self._writer.take_over(await self._before.give_way())
                self._before = None
            await self._writer.run()
        except Gone:
            self._left = True
        finally:
            self._gone(self._turn.id)
        turn = self._draft.final
        if self._late and self._writer.complete and turn is not None and turn.status is Status.ANSWERED:
            await self._workspace.service.fetched([turn])


class Deliveries:
    """The replies that are on their way now."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._open: dict[str, SlackDelivery] = {}

    def open(self, turn: Turn) -> SlackDelivery:
        """A delivery for a turn, in the thread of the message that asked."""
        question = asked_in(turn)
        thread = self._workspace.remembered_root(question)
        before = self._open.get(turn.question.replaces) if turn.question.replaces is not None else None
        delivery = SlackDelivery(self._workspace, turn, question, thread, self._close, before)
        self._open[turn.id] = delivery
        return delivery

    def stop(self, channel: str, thread: str) -> list[str]:
        """Slack's Stop button was pressed in a thread: the turns that were being answered there."""
        found = [turn_id for turn_id, each in self._open.items() if (each.channel, each.thread) == (channel, thread)]
        for turn_id in found:
            self._open[turn_id].stop()
        return found

    def _close(self, turn_id: str) -> None:
        self._open.pop(turn_id, None)
