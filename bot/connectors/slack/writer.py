"""The one writer of a reply: brings Slack's messages to what there is to show, one call after the other, as the budget allows.

A reply is a list of messages of 9 kB. While it grows its newest message streams; without budget for a stream it is written
once it is whole. After a restart, and for an edited question, the messages that carry it already are put right. What can't be
written now is tried again until it is: only somebody who deleted the place it goes to ends that.
"""

import asyncio
import logging
from collections.abc import Sequence

from bot.connectors.carriers import Carriers
from bot.connectors.cutting import split
from bot.connectors.draft import Draft
from bot.connectors.insisting import Insistence, Refusals
from bot.connectors.slack import blocks, notes, status
from bot.connectors.slack.api import Block
from bot.connectors.slack.errors import Gone, Limited, Refused, SlackError, TooLong, Unreachable
from bot.connectors.slack.names import PLATFORM, Name, parse
from bot.connectors.slack.post import Post
from bot.connectors.slack.workspace import Workspace
from bot.store import StoreError
from bot.turns import Status, Turn

log = logging.getLogger(__name__)

LIMIT = 9000  # bytes in a message; Slack's own limit is about 10,000
_MUCH_TOO_LONG = "_Slack does not take this answer: it is too long for it. Ask me something smaller, please._"
_PATIENCE_SECONDS = 20.0
_SPARSE_SECONDS = 3.0  # between two updates of a message that does not stream
_LOOK_SECONDS = 10.0


def _pause(error: Exception) -> float:
    return error.seconds if isinstance(error, Limited) else 0.0


_REFUSALS = Refusals("Slack", SlackError, gone=Gone, too_long=TooLong, refused=Refused, pause=_pause)


class Writer:
    """One reply's. `complete` once all of it stands in Slack."""

    def __init__(self, workspace: Workspace, turn: Turn, question: Name, thread: str | None, draft: Draft) -> None:
        self._workspace = workspace
        self._turn = turn
        self._question = question
        self.thread = thread
        self._draft = draft
        self._insistence = Insistence(_REFUSALS, turn.id, LIMIT)
        self._carriers = Carriers(workspace.service, PLATFORM, turn.id, self._name, Gone)
        self._maybe = False  # a message may stand there that we know nothing of
        self._streams = True
        self._below: Sequence[Block] | None = None
        self._introduces = False
        self._inherited: list[str] = []
        self._line = status.StatusLine(workspace, question.channel)
        self.complete = False

    async def run(self) -> None:
        """Until all is written, or the rest comes after the next start, or from another writer. Raises Gone."""
        try:
            await self._insistence.take(self._find)
            while not self._draft.ended.is_set() and not self._insistence.given_way.is_set():
                await self._news()
                await self._advance()
                await self._pause()
            if self._insistence.given_way.is_set():
                self.complete = True
            elif self._draft.final is not None:
                self.complete = await self._insistence.take(self._complete)
                await self._insistence.take(self._forget_if_erased)
        except Gone:
            await self._insistence.take(self._forget_if_erased)  # one of its messages may be deleted, and another not yet
            raise
        finally:
            for post in self._carriers.posts:
                post.abandon()

    @property
    def channel(self) -> str:
        return self._question.channel

    def give_way(self) -> None:
        """Stops after the call that runs: another answer comes into these messages."""
        self._insistence.given_way.set()
        self._draft.changed.set()

    def take_over(self, other: "Writer") -> None:
        """Goes on, before `run`, with the messages of a writer that gave way and has stopped."""
        self._inherited = other._inherited + [post.ts for post in other._carriers.posts]
        self._maybe = other._maybe

    # Where it goes.

    async def _find(self) -> None:
        """The thread, and the messages that carry this reply already."""
        if self.thread is None or self._turn.question.edition:
            carried = await self._workspace.service.carried(self._turn.id)
            names = {parse(name).ts for name in carried} | set(self._inherited)
            posts = [self._known(ts) for ts in sorted(names)]
            self._carriers.begin(posts, [post for post in posts if post.ts in self._inherited])
        if self.thread is None:  # it is from before this start
            self._maybe = True
            self.thread = await self._root()
        self._line.open(self.thread, self._turn.question.text)

    async def _root(self) -> str:
        try:
            return await self._workspace.root_of(self._question)
        except Refused as error:
            log.warning("Slack does not say which thread a question is in", extra={"error": str(error)})
            return self._question.ts

    def _known(self, ts: str) -> Post:
        """A message of ours that nobody in this process has written: it may still stream."""
        return Post(self._workspace.api, self._workspace.budget, self._question.channel, ts, None, streaming=True)

    async def _strays(self) -> list[Post]:
        """Messages that were written without our hearing of it: before a crash, or over a connection that broke."""
        me = (await self._workspace.known()).user
        assert self.thread is not None
        try:
            found = await self._workspace.api.thread(self._question.channel, self.thread, patience=_PATIENCE_SECONDS)
        except Refused as error:
            log.warning("Slack does not show a thread; an answer may stand there twice", extra={"error": str(error)})
            return []
        ours = [
            message.ts
            for message in found
            if message.user == me and message.ts > self._question.ts and not notes.is_note(message.block_ids)
        ]
        mine = {post.ts for post in self._carriers.posts}
        strays = []
        for ts in ours:
            name = str(self._question.beside(ts))
            if ts not in mine and await self._workspace.service.answered_by(PLATFORM, name) is None and self._workspace.claim(name):
                strays.append(self._known(ts))
        return strays

    # While it grows.

    async def _news(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._draft.changed.wait()
        except TimeoutError:
            return
        self._draft.changed.clear()

    async def _pause(self) -> None:
        """Lets others have their share of the budget; the end ends it."""
        seconds = 0.0
        if self._carriers.posts:
            seconds = self._workspace.budget.pause() if self._carriers.posts[-1].streaming else _SPARSE_SECONDS
        try:
            async with asyncio.timeout(0 if self._insistence.given_way.is_set() else seconds):
                await self._draft.ended.wait()
        except TimeoutError:
            return

    async def _advance(self) -> None:
        """One step on: what fails here is put right at the end. Raises Gone."""
        if self._draft.ended.is_set():
            return
        try:
            if self._draft.text:
                await self._grow(split(self._draft.text, self._insistence.limit))
            else:
                await self._say_status()
        except TooLong:
            self._streams = self._insistence.shrink()
        except Refused as error:
            log.warning("Slack takes no stream here; the answer comes as one message", extra={"error": str(error)})
            self._streams = False
        except Unreachable as error:
            self._maybe = self._maybe or error.sent
        except (Limited, StoreError):
            return

    async def _say_status(self) -> None:
        assert self.thread is not None
        place = self._draft.place
        await self._line.show(self.thread, blocks.busy_text(place) if place else status.LOOKING)

    async def _grow(self, parts: list[str]) -> None:
        for number, part in enumerate(parts):
            if number < len(self._carriers.posts):
                last = number == len(parts) - 1
                await (self._carriers.posts[number].grow(part) if last else self._settle(number, part, (), last=False))
            elif not await self._open(part):
                return

    async def _open(self, part: str) -> bool:
        """Starts the next message; False when there is no budget for it now."""
        assert self.thread is not None
        if self._maybe or not self._streams or not self._workspace.budget.starts.take():
            await self._line.show(self.thread, status.WRITING)
            return False
        to = (self._question.team, self._turn.question.user_id)
        async with self._posting():
            post = await Post.start(self._workspace.api, self._workspace.budget, self._question.channel, self.thread, part, *to)
            await self._own(post)
        return True

    def _posting(self) -> asyncio.Lock:
        assert self.thread is not None
        return self._workspace.posting_in(self._question.beside(self.thread))

    async def _own(self, post: Post) -> None:
        self._line.went()
        await self._carriers.own(post)

    def _name(self, post: Post) -> str:
        return str(self._question.beside(post.ts))

    # When it is whole.

    async def _complete(self) -> None:
        """Everything as it shall stay. May be called again after it failed."""
        assert self.thread is not None
        if self._maybe:
            async with self._posting():
                posts = [*self._carriers.posts, *await self._strays()]
                self._carriers.begin(posts, posts)
                await self._carriers.tell()
            self._maybe = False
        if await self._carriers.is_erased():
            await self._carriers.keep(0, _PATIENCE_SECONDS)
            self._line.close(self.thread, idled=False)
            return
        whole = (
            _MUCH_TOO_LONG if self._insistence.gives_up else self._draft.closing(self._workspace.hosts, began=bool(self._carriers.posts))
        )
        parts = split(whole, self._insistence.limit) if whole else []
        below = await self._blocks() if parts else ()
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            await self._settle(number, part, below if last else (), last=last)
        await self._carriers.keep(len(parts), _PATIENCE_SECONDS)
        await self._carriers.tell()
        self._line.close(self.thread, idled=any(post.idled for post in self._carriers.posts))
        await self._introduced()

    async def _forget_if_erased(self) -> None:
        """Then nothing of it stays."""
        if self._draft.final is not None and await self._carriers.is_erased():
            await self._carriers.keep(0, _PATIENCE_SECONDS)

    async def _settle(self, number: int, part: str, below: Sequence[Block], *, last: bool) -> None:
        async def complete(post: Post) -> None:
            try:
                await post.complete(part, below, _PATIENCE_SECONDS, last=last)
            except Gone:
                post.abandon()
                raise

        if await self._carriers.settled(number, complete):
            return
        assert self.thread is not None
        where = (self._question.channel, self.thread)
        async with self._posting():
            try:
                post = await Post.write(self._workspace.api, self._workspace.budget, *where, part, below, _PATIENCE_SECONDS)
            except Unreachable as error:
                self._maybe = self._maybe or error.sent
                raise
            await self._own(post)

    async def _blocks(self) -> Sequence[Block]:
        """What stands below an answer: the thumbs, and for a newcomer what CARE is."""
        turn = self._draft.final
        if turn is None or turn.status not in (Status.ANSWERED, Status.DELIVERED) or self._insistence.bare:
            return ()
        if self._below is None:
            notice = await self._workspace.service.introduction(PLATFORM, turn.question.user_id)
            human = notice is not None and self._workspace.has_experts
            self._below = tuple(blocks.answer_blocks(turn.id, notice=notice, human=human))
            self._introduces = notice is not None
        return self._below

    async def _introduced(self) -> None:
        if self._introduces and not self._insistence.bare:
            await self._workspace.service.introduced(PLATFORM, self._turn.question.user_id, self._turn.id)
