"""One turn from recorded to delivered. Knows the engine, the archive and a delivery; knows no platform.

A turn that ends here has its reply stored before its reader is told that it ended. One that is interrupted (shutdown,
a crash, a store that fails) stays unfinished in the database and is answered at the next start.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from typing import Concatenate, ParamSpec, TypeVar

from bot.archive import Archive
from bot.connectors.base import Delivery, ReaderLeft
from bot.domains import Domains
from bot.metrics import Metrics
from bot.prompts import chat
from bot.room import Line, Room
from bot.store import StorageFull, StorageUnavailable, Store, UnknownTurn
from bot.turns import BASE, Reply, Status, Turn, now
from model.engine import Engine, Finish, Generation, Request, Sampling
from model.errors import Busy, ContextLengthExceeded, EngineError, NotReady

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# Which LoRA answers a conversation now, by platform and conversation id.
Choose = Callable[[str, str], str | None]

_BUSY_RETRY_SECONDS = 0.5
_SAVE_PAUSES = (0.5, 2.0, 5.0)


def request(domains: Domains, turn: Turn, history: list[Turn], default: Sampling, live: str | None) -> Request:
    """What a turn asks the engine, with the `live` LoRA unless the caller of the API named another."""
    messages, prompt = chat(domains.system_prompt, turn, history), turn.question.prompt
    if prompt is None:
        return Request(messages, default, live)
    if prompt.model is None:
        return Request(messages, prompt.sampling, live)
    return Request(messages, prompt.sampling, None if prompt.model == BASE else prompt.model)


class Answering:
    """The life of one turn in this process."""

    def __init__(
        self,
        turn: Turn,
        delivery: Delivery,
        *,
        engine: Engine,
        archive: Archive,
        domains: Domains,
        metrics: Metrics,
        sampling: Sampling,
        choose: Choose,
        room: Room,
        line: Line,
        refusal: str | None = None,
    ) -> None:
        """`refusal` is what is said instead of an answer."""
        self._turn = turn
        self._delivery = delivery
        self._engine = engine
        self._archive = archive
        self._domains = domains
        self._metrics = metrics
        self._sampling = sampling
        self._choose = choose
        self._room = room
        self._line = line
        self._refusal = refusal
        self._waiting: asyncio.Task[None] | None = None  # says the place in the queue
        self._queued = True
        self._generation: Generation | None = None
        self._left = asyncio.Event()
        self._kept = asyncio.Event()
        self._pieces: list[str] = []
        self._since = time.monotonic()

    @property
    def running(self) -> Turn | None:
        """The turn, until what there is of its answer is stored."""
        return None if self._kept.is_set() else self._turn

    def asked_in(self, platform: str, message: str) -> bool:
        return (self._turn.question.platform, self._turn.question.message) == (platform, message)

    def asked_by(self, platform: str, user_id: str) -> bool:
        return (self._turn.question.platform, self._turn.question.user_id) == (platform, user_id)

    def stands_in(self, platform: str, conversation_id: str) -> bool:
        return (self._turn.question.platform, self._turn.question.conversation_id) == (platform, conversation_id)

    def cancel(self) -> None:
        """The reader wants no more of it: what is written so far is kept as a cancelled turn."""
        self._left.set()
        if self._generation is not None:
            self._generation.cancel()

    async def kept(self) -> None:
        """Returns once nothing is written any more and what there is of it is stored; it may still be on its way to its reader."""
        await self._kept.wait()

    def interrupt(self) -> None:
        """Tells the reader that nothing more comes from this process."""
        self._delivery.interrupt()

    async def run(self) -> None:
        """Answers, stores, delivers. What it raises, NotReady for one, leaves the turn for the next start."""
        try:
            if not self._turn.status.final:
                reply = await self._reply()
                self._turn = await self._save(reply)
                self._metrics.ended(self._turn, time.monotonic() - self._since)
        finally:
            self._kept.set()
        if await self._finish_delivery() and self._turn.status is Status.ANSWERED:
            await self._insist(Store.delivered, [self._turn.id])

    async def _reply(self) -> Reply:
        try:
            return await self._answer()
        except ReaderLeft:
            return self._ended(Status.CANCELLED)
        except ContextLengthExceeded as error:
            return self._ended(Status.FAILED, str(error))
        except NotReady:
            raise
        except EngineError as error:
            log.warning("a turn failed", extra={"turn": self._turn.id, "error": type(error).__name__})
            return self._ended(Status.FAILED, str(error))
        except asyncio.CancelledError:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None
            raise
        finally:
            if self._generation is not None:
                self._generation.cancel()
            await self._stop_waiting()
            self._line.leave(self)

    async def _answer(self) -> Reply:
        if self._refusal is not None:
            return self._ended(Status.FAILED, self._refusal)
        reply_ref = await self._delivery.begin()
        if reply_ref is not None:
            await self._insist(Store.shown, self._turn.id, reply_ref)
        self._line.join(self)
        self._waiting = asyncio.create_task(self._say_place())
        async with self._room.place(self._left) as mine:
            if not mine:
                raise ReaderLeft
            return await self._write()

    async def _write(self) -> Reply:
        """The engine's part of it, from a place in the room."""
        await self._insist(Store.begin, self._turn.id)
        history = await self._insist(Store.history, self._turn)
        if self._domains.is_emergency(self._turn.question.text):
            await self._show(f"{self._domains.emergency_notice}\n\n")
        finish = await self._generate(history)
        stopped = finish is not None and finish.reason == "cancelled"
        return self._ended(Status.CANCELLED if stopped else Status.ANSWERED)

    async def _say_place(self) -> None:
        """Tells who waits how far back, each time that changes, until something is written."""
        said = 0
        while self._queued:
            place = self._line.place(self)
            if place not in (0, said):
                try:
                    await self._delivery.waits(place)
                except ReaderLeft:
                    self.cancel()
                said = place
            else:
                await self._line.moved(self)

    async def _stop_waiting(self) -> None:
        """A delivery gets one call at a time: what is being said of the place is said before anything else."""
        self._queued = False
        if self._waiting is not None:
            self._line.nudge(self)
            await self._waiting
            self._waiting = None

    async def _generate(self, history: list[Turn]) -> Finish | None:
        """Shows what the engine writes. An engine that ran out of memory before it wrote anything is asked again."""
        shown = len(self._pieces)
        while True:
            generation = await self._submit(history)
            try:
                async for piece in generation:
                    await self._show(piece)
                return generation.finish
            except Busy:
                if len(self._pieces) > shown:
                    raise
                await asyncio.sleep(_BUSY_RETRY_SECONDS)

    async def _submit(self, history: list[Turn]) -> Generation:
        """Waits for room: an acknowledged question is never refused. The LoRA is the one that is live when there is room."""
        while True:
            if self._left.is_set():
                raise ReaderLeft
            asked = request(self._domains, self._turn, history, self._sampling, self._lora_now())
            try:
                self._generation = await self._engine.generate(asked)
            except Busy:
                await asyncio.sleep(_BUSY_RETRY_SECONDS)
                continue
            if self._left.is_set():
                self._generation.cancel()
            return self._generation

    def _lora_now(self) -> str | None:
        question = self._turn.question
        return self._choose(question.platform, question.conversation_id)

    async def _show(self, piece: str) -> None:
        if not self._pieces:
            await self._stop_waiting()
            self._metrics.first_piece(time.monotonic() - self._since)
        self._pieces.append(piece)
        await self._delivery.show(piece)

    def _ended(self, status: Status, error: str | None = None) -> Reply:
        reply = Reply("".join(self._pieces), self._lora, status, now(), error)
        finish = self._generation.finish if self._generation is not None else None
        if finish is None:
            return reply
        return replace(reply, finish_reason=finish.reason, prompt_tokens=finish.prompt_tokens, completion_tokens=finish.completion_tokens)

    @property
    def _lora(self) -> str | None:
        return self._generation.lora if self._generation is not None else None

    async def _save(self, reply: Reply) -> Turn:
        try:
            return await self._insist(Store.finish, self._turn.id, reply)
        except UnknownTurn:
            return replace(self._turn, status=Status.CANCELLED, reply=reply)  # deleted while it was being answered

    async def _insist(self, method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Asks the store, and goes on asking while it refuses: what was acknowledged is kept until it can be stored."""
        pauses = chain(_SAVE_PAUSES, repeat(_SAVE_PAUSES[-1]))
        while True:
            try:
                return await self._archive.run(method, *args, **kwargs)
            except (StorageFull, StorageUnavailable) as error:
                log.warning("the store refuses, trying again", extra={"turn": self._turn.id, "error": str(error)})
                await asyncio.sleep(next(pauses))

    async def _finish_delivery(self) -> bool:
        try:
            return await self._delivery.finish(self._turn)
        except ReaderLeft:
            return False
