"""Replies on their way to a platform, as the service sees them. What it awaits here does not wait for the platform, but `finish`.

A reply only says what there is to show; a writer brings the platform's messages there. Knows no platform.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

from bot.connectors import markdown
from bot.connectors.base import ReaderLeft
from bot.connectors.draft import Draft
from bot.connectors.tasks import Tasks
from bot.service import Service
from bot.turns import Status, Turn

# Then the service goes on to other turns, and the writer alone insists.
FINISH_SECONDS = 30.0


class Writer(Protocol):
    """The one writer of a reply."""

    complete: bool

    async def run(self) -> None:
        """Until all is written, or the rest comes after the next start, or from another writer. Raises what ReaderLeft stands for."""
        ...

    def give_way(self) -> None:
        """Stops after the call that runs: another answer comes into these messages."""
        ...

    def take_over(self, other: Self) -> None:
        """Goes on, before `run`, with the messages of a writer that gave way and has stopped."""
        ...


W = TypeVar("W", bound=Writer)


class ReplyDelivery(Generic[W]):
    """See `bot.connectors.base.Delivery`. `gone` is what a writer raises when the place it writes to is there no more."""

    def __init__(
        self,
        turn: Turn,
        draft: Draft,
        writer: W,
        *,
        hosts: frozenset[str],
        tasks: Tasks,
        gone: type[Exception],
        closed: Callable[[str], None],
        fetched: Callable[[Sequence[Turn]], Awaitable[None]],
        before: "ReplyDelivery[W] | None" = None,
    ) -> None:
        """`before` is on its way with an answer that this one replaces, in the same messages. `closed` hears of the end of writing."""
        self._turn = turn
        self._draft = draft
        self.writer = writer
        self._safe = markdown.SafeStream(hosts)
        self._tasks = tasks
        self._gone = gone
        self._closed = closed
        self._fetched = fetched
        self._before = before
        self._writing: asyncio.Task[None] | None = None
        self._left = False
        self._late = False

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
        await asyncio.wait([writing], timeout=FINISH_SECONDS)
        if self._left and turn.status is Status.ANSWERED:
            return True  # the place it was for is gone: no later start could bring it there
        if self._left:
            raise ReaderLeft
        self._late = not writing.done()
        return self.writer.complete

    def interrupt(self) -> None:
        self._draft.end(None)
        if self._writing is None:
            self._closed(self._turn.id)

    def stop(self) -> None:
        """The reader pressed the platform's Stop button."""
        self._draft.stopped = True

    async def give_way(self) -> W:
        """Another answer comes in place of this one: writes no more. Its writer, once it has stopped."""
        self.writer.give_way()
        if self._writing is not None:
            await asyncio.wait([self._writing])
        return self.writer

    def _start(self) -> "asyncio.Task[None]":
        if self._writing is None:
            self._writing = self._tasks.spawn(self._write(), "a reply")
        return self._writing

    async def _write(self) -> None:
        try:
            if self._before is not None:
                self.writer.take_over(await self._before.give_way())
                self._before = None
            await self.writer.run()
        except self._gone:
            self._left = True
        finally:
            self._closed(self._turn.id)
        turn = self._draft.final
        if self._late and self.writer.complete and turn is not None and turn.status is Status.ANSWERED:
            await self._fetched([turn])


class Deliveries(Generic[W]):
    """The replies that are on their way now. `writer` makes one for a turn, and is told what there is to show of it."""

    def __init__(
        self,
        writer: Callable[[Turn, Draft], W],
        *,
        hosts: frozenset[str],
        tasks: Tasks,
        gone: type[Exception],
        service: Service,
    ) -> None:
        self._writer = writer
        self._hosts = hosts
        self._tasks = tasks
        self._gone = gone
        self._service = service
        self._open: dict[str, ReplyDelivery[W]] = {}

    def open(self, turn: Turn) -> ReplyDelivery[W]:
        """A delivery for a turn; of an edited question in the place of the one that is on its way."""
        draft = Draft()
        delivery = ReplyDelivery(
            turn,
            draft,
            self._writer(turn, draft),
            hosts=self._hosts,
            tasks=self._tasks,
            gone=self._gone,
            closed=self._close,
            fetched=self._service.fetched,
            before=self._open.get(turn.question.replaces) if turn.question.replaces is not None else None,
        )
        self._open[turn.id] = delivery
        return delivery

    def stop(self, means: Callable[[W], bool]) -> list[str]:
        """The platform's Stop button was pressed: the turns whose writers it means."""
        found = [turn_id for turn_id, each in self._open.items() if means(each.writer)]
        for turn_id in found:
            self._open[turn_id].stop()
        return found

    def _close(self, turn_id: str) -> None:
        self._open.pop(turn_id, None)
