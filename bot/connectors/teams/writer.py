"""The one writer of a reply: brings Teams' messages to what there is to show, one call after the other.

A reply is one message, made at once; in a personal chat it streams, elsewhere it is updated when the answer is whole. What is longer
than Teams takes goes on in further messages. After a restart, and for an edited question, the messages that carry it already are put
right. What can't be written now is tried again until it is: only somebody who deleted the place it goes to ends that.
"""

import asyncio
import logging
from contextlib import suppress

from bot.connectors.carriers import Carriers
from bot.connectors.cutting import split
from bot.connectors.draft import STOPPED, Draft
from bot.connectors.insisting import Insistence, Refusals
from bot.connectors.teams import cards, shapes
from bot.connectors.teams.address import Address
from bot.connectors.teams.errors import Gone, Limited, Refused, StreamEnded, StreamStopped, TeamsError, TooLong, Unreachable
from bot.connectors.teams.names import PLATFORM, Name, parse
from bot.connectors.teams.post import Json, Post, Stream
from bot.connectors.teams.workspace import Workspace
from bot.store import StoreError
from bot.turns import Status, Turn

log = logging.getLogger(__name__)

LIMIT = 20_000  # bytes in a message; Teams takes 28 KB of an activity in all, as UTF-16 for some of it
_MUCH_TOO_LONG = "_Teams does not take this answer: it is too long for it. Ask me something smaller, please._"
_PATIENCE_SECONDS = 20.0


def _pause(error: Exception) -> float:
    return error.seconds if isinstance(error, Limited) else 0.0


_REFUSALS = Refusals("Teams", TeamsError, gone=Gone, too_long=TooLong, refused=Refused, pause=_pause)


class Writer:
    """One reply's. `complete` once all of it stands in Teams."""

    def __init__(self, workspace: Workspace, turn: Turn, question: Name, draft: Draft) -> None:
        self._workspace = workspace
        self._pace = workspace.pace
        self._turn = turn
        self._question = question
        self._draft = draft
        self._insistence = Insistence(_REFUSALS, turn.id, LIMIT, workspace.pace.retry, workspace.pace.most_retry)
        self._to: Address | None = None
        self._carriers = Carriers(workspace.service, PLATFORM, turn.id, self._name, Gone)
        self._inherited: list[Post] = []
        self._stream: Stream | None = None
        self._holds_chat = False  # no other reply may stream in this chat
        self._maybe = False  # a message may stand there that we know nothing of: no further placeholder
        self._shown = ""  # by the message that is updated while the answer is written
        self._not_before = 0.0
        self._notice: str | None = None
        self._asked_for_notice = False
        self.complete = False

    async def run(self) -> None:
        """Until all is written, or the rest comes after the next start, or from another writer. Raises Gone."""
        try:
            await self._insistence.take(self._find)
            while not self._draft.ended.is_set() and not self._insistence.given_way.is_set():
                await self._advance()
                await self._pause()
            if self._insistence.given_way.is_set():
                await self._release()
                self.complete = True
            elif self._draft.final is not None:
                await self._insistence.rest(self._not_before - asyncio.get_running_loop().time())
                self.complete = await self._insistence.take(self._complete)
                await self._insistence.take(self._forget_if_erased)
        except Gone:
            await self._insistence.take(self._forget_if_erased)  # one of its messages may be deleted, and another not yet
            raise
        finally:
            self._leave_chat()

    def give_way(self) -> None:
        """Stops after the call that runs: another answer comes into these messages."""
        self._insistence.given_way.set()
        self._draft.changed.set()

    def take_over(self, other: "Writer") -> None:
        """Goes on, before `run`, with the messages of a writer that gave way and has stopped."""
        self._inherited = list(dict.fromkeys(other._inherited + other._carriers.posts))
        self._maybe = other._maybe

    async def _release(self) -> None:
        """What streams is ended, so that another writer can update it."""
        if self._stream is not None:
            try:
                await self._stream.close(_PATIENCE_SECONDS)
            except TeamsError as error:
                log.warning("a stream was left open", extra={"turn": self._turn.id, "error": str(error)})

    # Where it goes.

    async def _find(self) -> None:
        """The chat, and the messages that carry this reply already. Raises Gone."""
        self._to = await self._workspace.address_of(self._question.place)
        known = {post.id: post for post in self._inherited}
        carried = [parse(name).id for name in await self._workspace.service.carried(self._turn.id)]
        standing = [known.get(each) or self._standing(each) for each in carried]
        untold = [post for post in self._inherited if post.id not in carried]
        self._carriers.begin([*standing, *untold], untold)

    def _standing(self, message_id: str) -> Post:
        return Post(self._workspace.api, self._address, message_id, None)

    @property
    def _address(self) -> Address:
        assert self._to is not None, "`_find` comes first"
        return self._to

    # While it is being written.

    async def _pause(self) -> None:
        """Until there is news, and Teams may hear of it; the end ends it."""
        streams = self._stream is not None and not self._stream.over
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.idle):
                await self._draft.changed.wait()
        self._draft.changed.clear()
        seconds = self._stream.rest if self._stream is not None and streams else self._pace.sparse if self._carriers.posts else 0.0
        seconds = max(seconds, self._not_before - asyncio.get_running_loop().time())
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._insistence.given_way.is_set() else seconds):
                await self._draft.ended.wait()

    async def _advance(self) -> None:
        """One step on: what fails here is put right at the end. Raises Gone."""
        if self._to is None or self._draft.ended.is_set():
            return
        try:
            await self._step()
        except StreamStopped:
            self._stopped()
        except TooLong:
            self._insistence.shrink()
        except Limited as error:
            self._wait(error.seconds)
        except Unreachable as error:
            self._maybe = self._maybe or (error.sent and not self._carriers.posts)
            self._wait(self._pace.retry)
        except (StreamEnded, Refused) as error:
            log.info("Teams takes no more of a stream; the answer comes by an update", extra={"turn": self._turn.id, "error": str(error)})
            self._draft.changed.set()
        except StoreError:
            self._wait(self._pace.retry)

    def _wait(self, seconds: float) -> None:
        self._not_before = asyncio.get_running_loop().time() + seconds
        self._draft.changed.set()

    async def _step(self) -> None:
        line = shapes.place_text(self._draft.place)
        await self._carriers.tell()
        if not self._carriers.posts:
            await self._begin(line)
        elif self._draft.stopped:
            return
        elif self._stream is None:
            if self._turn.question.edition or self._shown:
                await self._update_line(line)
        elif self._stream.late or self._stream.over:
            await self._overtime(line)
        else:
            await self._stream.grow(line, self._fitting())

    async def _begin(self, line: str) -> None:
        """The message in which the answer will be."""
        if self._maybe:
            return
        api = self._workspace.api
        if self._address.private and self._enter_chat():
            try:
                stream = await Stream.start(api, self._address, line, self._pace)
            except (StreamEnded, Refused) as error:
                log.info("Teams takes no stream here", extra={"turn": self._turn.id, "error": str(error)})
            else:
                self._stream = stream if stream.id else None
                await self._own_begun(stream)
                return
        self._shown = line
        await self._own_begun(await Post.write(api, self._address, shapes.note(line), 0.0))

    async def _own_begun(self, post: Post) -> None:
        """Without an id no answer can be written into it: that will be a message of its own."""
        if post.id:
            await self._carriers.own(post)
        else:
            self._maybe = True

    def _enter_chat(self) -> bool:
        self._holds_chat = self._holds_chat or self._workspace.may_stream(self._question.place)
        return self._holds_chat

    def _leave_chat(self) -> None:
        if self._holds_chat:
            self._holds_chat = False
            self._workspace.streamed(self._question.place)

    async def _update_line(self, line: str) -> None:
        """Without a stream only the place in the queue changes until the answer is whole."""
        if line == self._shown:
            return
        post = self._carriers.posts[0]
        try:
            await post.complete(shapes.note(line), 0.0)
        except Gone:
            if post.written:
                raise
            await self._carriers.drop(post)  # somebody deleted the answer to the question as it was before
        else:
            self._shown = line

    async def _overtime(self, line: str) -> None:
        """The stream's two minutes are up: its message is updated in place."""
        assert self._stream is not None
        text = self._fitting()
        await self._stream.complete(shapes.answer(text) if text else shapes.note(line), 0.0)
        self._leave_chat()

    def _fitting(self) -> str:
        """What is written so far, as it can be streamed: where a long text will be cut, only its end says."""
        text = self._draft.text.strip()
        return text if len(text.encode()) <= self._insistence.limit // 2 or self._stream is None else self._stream.text

    def _stopped(self) -> None:
        """The reader pressed Stop: what stands there stays, and says at the end that it was stopped."""
        self._draft.stopped = True
        self._workspace.service.cancel(self._turn.id)

    def _name(self, post: Post) -> str | None:
        return str(self._question.beside(post.id)) if post.id else None

    # When it is whole.

    async def _complete(self) -> None:
        """Everything as it shall stay. May be called again after it failed."""
        if await self._carriers.is_erased():
            await self._remove_all()
            return
        if self._draft.stopped:
            await self._end_stopped()
            return
        shapes_ = await self._parts()
        try:
            for number, shape in enumerate(shapes_):
                await self._settle(number, shape)
        except StreamStopped:
            self._stopped()  # too late to stop anything but this message
            await self._end_stopped()
            return
        await self._carriers.keep(len(shapes_), _PATIENCE_SECONDS)
        await self._carriers.tell()
        await self._introduced()

    async def _end_stopped(self) -> None:
        """Nothing but a mark is added to what the reader has seen; where Teams takes not even that, it stays as it is."""
        await self._carriers.tell()
        if self._stream is None:
            return
        seen = self._stream.text
        shape = shapes.answer(f"{seen}\n\n{STOPPED}".strip(), generated=bool(seen))
        with suppress(Gone, TooLong, Refused, StreamEnded):
            await self._stream.complete(shape, _PATIENCE_SECONDS)

    async def _parts(self) -> list[Json]:
        """The messages as they shall be."""
        whole = (
            _MUCH_TOO_LONG
            if self._insistence.gives_up
            else self._draft.closing(self._workspace.hosts, began=bool(self._carriers.posts)).strip()
        )
        if not whole:
            return []
        turn = self._draft.final
        assert turn is not None
        answered = turn.status in (Status.ANSWERED, Status.DELIVERED)
        if answered and (notice := await self._introduction()) is not None:
            whole += notice
        generated = answered or (turn.reply is not None and bool(turn.reply.text.strip()))
        parts = split(whole, self._insistence.limit)
        first = [shapes.answer(part, generated=generated) for part in parts[:-1]]
        return [*first, self._last(parts[-1], generated=generated, answered=answered), *self._below(answered=answered)]

    def _last(self, part: str, *, generated: bool, answered: bool) -> Json:
        """The end of an answer has the thumbs, and what can be done next."""
        if not answered or self._insistence.bare:
            return shapes.answer(part, generated=generated)
        feedback = shapes.FEEDBACK.get(self._workspace.settings.teams_feedback)
        actions = shapes.next_steps(human=self._workspace.has_experts) if self._address.private else ()
        return shapes.answer(part, feedback=feedback, actions=actions)

    def _below(self, *, answered: bool) -> list[Json]:
        """The card that asks for a vote, where there are no thumbs. A message of its own: Teams makes two of a text with a card, answers
        without an id, and takes no update of it ("Activity resulted into multiple skype activities")."""
        if not answered or self._insistence.bare or self._workspace.settings.teams_feedback in shapes.FEEDBACK:
            return []
        return [cards.message(cards.rating(self._turn.id), cards.RATING_ASKED)]

    async def _introduction(self) -> str | None:
        """What a newcomer is told of CARE."""
        if not self._asked_for_notice:
            notice = await self._workspace.service.introduction(PLATFORM, self._turn.question.user_id)
            self._notice = None if notice is None else shapes.introduction(notice, human=self._workspace.has_experts)
            self._asked_for_notice = True
        return self._notice

    async def _introduced(self) -> None:
        if self._notice is not None and not self._insistence.gives_up:
            await self._workspace.service.introduced(PLATFORM, self._turn.question.user_id, self._turn.id)

    async def _settle(self, number: int, shape: Json) -> None:
        if not await self._carriers.settled(number, lambda post: post.complete(shape, _PATIENCE_SECONDS)):
            await self._carriers.own(await Post.write(self._workspace.api, self._address, shape, _PATIENCE_SECONDS))

    async def _forget_if_erased(self) -> None:
        """Then nothing of it stays."""
        if self._draft.final is not None and await self._carriers.is_erased():
            await self._remove_all()

    async def _remove_all(self) -> None:
        await self._release()
        await self._carriers.keep(0, _PATIENCE_SECONDS)
