"""Receive, answer, rate: what CARE does for every platform alike. Knows no platform and no SQL.

A question is recorded in one commit before its receipt is acknowledged, answered by a task that this service owns,
and stored before its reader is told that it ended. See docs/architecture.md for the life of a turn.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from bot import refusals
from bot.answering import Answering, Choose, request
from bot.archive import Archive
from bot.connectors.base import Connector, Delivery
from bot.domains import Domains
from bot.experts import Experts
from bot.metrics import Metrics
from bot.operations import Operations
from bot.postman import Postman
from bot.privacy import Privacy
from bot.records import Records
from bot.room import Line, Room
from bot.settings import Settings
from bot.store import NotYours, Store
from bot.turns import Handover, Question, Status, Turn, new_id, now
from model.engine import Engine, Sampling
from model.errors import Busy, EngineError, NotReady
from model.shelf import Shelf

log = logging.getLogger(__name__)

_DRAIN_CANCEL_SECONDS = 5.0
_PROBE_SECONDS = 1.0


class Service(Records, Experts, Operations, Privacy):
    """The one place where questions, the engine and the store meet."""

    def __init__(
        self,
        archive: Archive,
        engine: Engine,
        domains: Domains,
        metrics: Metrics,
        sampling: Sampling,
        choose: Choose,
        settings: Settings,
        shelf: Shelf,
    ) -> None:
        self._archive = archive
        self._settings = settings
        self._shelf = shelf
        self._choose = choose
        self._engine = engine
        self._domains = domains
        self._metrics = metrics
        self._sampling = sampling
        self._connectors: dict[str, Connector] = {}
        self._answering: dict[str, Answering] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._receiving: set[asyncio.Task[tuple[Turn, bool]]] = set()
        self._clearing: set[asyncio.Task[None]] = set()
        self._admitting = 0
        self._probe: asyncio.Future[None] | None = None
        self._probed_at = 0.0
        self._draining = False
        status = engine.status()
        self._room = Room(status.slots + status.queue)
        self._line = Line(status.slots)
        self._edits: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self.postman = Postman(archive, self._connectors)

    def connect(self, connector: Connector) -> None:
        """Makes a platform known; before `resume`."""
        self._connectors[connector.platform] = connector

    async def receive(self, question: Question, delivery: Delivery | None = None) -> tuple[Turn, bool]:
        """Records a question and starts to answer it; returns after the commit, so its receipt can be acknowledged.

        The answer goes to `delivery`, or to one that the platform's connector opens.

        An event seen before gives its first turn and False, and is not answered again (unless its answer was given up).
        In a conversation that is handed over it is kept for the experts and not answered: its turn, cancelled, and False.
        Raises NotYours, UnknownTurn, Forgotten, StorageFull or StorageUnavailable: then nothing was recorded.
        """
        return await self._receive(question, delivery)

    async def _receive(self, question: Question, delivery: Delivery | None, refusal: str | None = None) -> tuple[Turn, bool]:
        if self._draining:
            raise NotReady("CARE is shutting down; try again in a moment")
        receiving = asyncio.create_task(self._record(question, delivery, refusal))
        self._receiving.add(receiving)
        receiving.add_done_callback(self._receiving.discard)
        return await asyncio.shield(receiving)  # a caller that goes away must not leave a turn without its task

    async def _record(self, question: Question, delivery: Delivery | None, refusal: str | None) -> tuple[Turn, bool]:
        domain = self._domains.label(question.text)
        turn = await self._archive.run(Store.receive, question, new_id(), domain)
        if turn.status.final or turn.id in self._tasks:
            if turn.status is Status.CANCELLED:
                self.postman.wake()  # it may be there for the experts
            return turn, False
        self._start(turn, delivery, refusal)
        return turn, True

    async def ask(self, question: Question, delivery: Delivery | None = None) -> tuple[Turn, bool]:
        """`receive` for platforms whose people can't be told to come back: what can't be answered is recorded too.

        Its turn ends as failed, with words for its asker in `reply.error`, and is delivered like any other. While the model loads, turns
        wait. Raises what `receive` raises.
        """
        self._admitting += 1
        try:
            return await self._receive(question, delivery, await self._refusal(question))
        finally:
            self._admitting -= 1

    async def _refusal(self, question: Question) -> str | None:
        """Why this can't be answered now."""
        try:
            self._require_room(loading=True)
            if self._engine.status().state == "ready":
                await self._check(question)
            return None
        except EngineError as error:
            self._metrics.refused(type(error).__name__)
            return refusals.words(error, self._domains, question.text)

    async def _check(self, question: Question) -> None:
        """Raises EngineError where the engine could not answer this."""
        lora = self._choose(question.platform, question.conversation_id)
        await self._engine.check(request(self._domains, Turn("", question, "", Status.RECEIVED), [], self._sampling, lora))

    async def admit(self, question: Question, delivery: Delivery | None = None) -> tuple[Turn, bool]:
        """`receive` for callers who can be told to come back.

        Besides what `receive` raises: NotReady, Busy or ContextLengthExceeded, before anything is recorded.
        """
        self._admitting += 1
        try:
            self._require_room()
            await self._check(question)
            return await self.receive(question, delivery)
        except EngineError as error:
            self._metrics.refused(type(error).__name__)
            if self._domains.is_emergency(question.text):
                error.args = (f"{self._domains.emergency_notice} ({error})",)
            raise
        finally:
            self._admitting -= 1

    async def edit(self, question: Question) -> tuple[Turn, bool] | None:
        """The question's message says something else now: asks it again in place of its newest turn.

        None when nothing was asked in that message, or nothing changed, or a later edition was asked already. Raises what `ask` raises.
        """
        assert question.message is not None
        key = (question.platform, question.message)
        lock = self._edits.setdefault(key, asyncio.Lock())
        async with lock:
            known = await self.asked_in(*key)
            if known is None or not known.question.is_changed_by(question.text, question.edition):
                return None
            if known.question.user_id != question.user_id:
                raise NotYours(f"message {question.message!r} belongs to somebody else")
            await self._stop([known.id])
            place = known.question
            return await self.ask(replace(question, conversation_id=place.conversation_id, private=place.private, replaces=known.id))

    async def forget_message(self, platform: str, message: str) -> list[str]:
        """Its author deleted it: erases what was asked in it, and gives the names of the messages that carried the replies."""
        await self._stop([turn_id for turn_id, each in self._answering.items() if each.asked_in(platform, message)])
        carriers = await self._archive.run(Store.forget_message, platform, message, now())
        self._clear_away()
        log.info("a message was forgotten", extra={"platform": platform})
        return carriers

    async def hand_over(self, platform: str, conversation_id: str, user_id: str, thread: str | None = None) -> Handover:
        """People answer from now on, in that thread: posts the conversation to them, and keeps silent in it until `hand_back`."""
        handover = await self._begin_handover(platform, conversation_id, user_id, thread)
        for each in list(self._answering.values()):
            if each.stands_in(platform, conversation_id):
                each.cancel()
        return handover

    async def _stop(self, turn_ids: Iterable[str]) -> None:
        """Returns once none of these is being answered any more. That their readers hear of it is not waited for: they may be far away."""
        await asyncio.gather(*[self._answering[turn_id].kept() for turn_id in turn_ids if self.cancel(turn_id)])

    def _require_room(self, *, loading: bool = False) -> None:
        """`loading`: a model that is still being loaded will do."""
        status = self._engine.status()
        if status.state != "ready" and not (loading and status.state == "loading"):
            raise NotReady(status.detail)
        if len(self._tasks) + self._admitting > status.slots + status.queue:
            raise Busy(f"{len(self._tasks)} questions are being answered or wait; try again shortly")

    def _start(self, turn: Turn, delivery: Delivery | None = None, refusal: str | None = None) -> None:
        answering = Answering(
            turn,
            delivery or self._connectors[turn.question.platform].open(turn),
            engine=self._engine,
            archive=self._archive,
            domains=self._domains,
            metrics=self._metrics,
            sampling=self._sampling,
            choose=self._choose,
            room=self._room,
            line=self._line,
            refusal=refusal,
        )
        self._answering[turn.id] = answering
        self._tasks[turn.id] = asyncio.create_task(self._answer(turn, answering), name=f"turn {turn.id}")

    async def _answer(self, turn: Turn, answering: Answering) -> None:
        try:
            await answering.run()
        except NotReady as error:
            log.error("a turn was left for the next start", extra={"turn": turn.id, "error": str(error)})
            answering.interrupt()
        except asyncio.CancelledError:
            answering.interrupt()
            raise
        except Exception:  # the edge of a turn: the others go on
            log.exception("a turn broke", extra={"turn": turn.id})
            answering.interrupt()
        finally:
            del self._answering[turn.id], self._tasks[turn.id]

    def engine_ready(self) -> None:
        """The engine answers: turns that wait for it go on."""
        self._room.open()

    async def resume(self) -> int:
        """Picks up what a stop or a crash left unfinished; how many. Once, after all connectors are connected."""
        unfinished = await self._archive.run(Store.unfinished)
        known = [turn for turn in unfinished if turn.question.platform in self._connectors and turn.id not in self._tasks]
        for turn in known:
            self._start(turn)
        return len(known)

    async def wait(self, turn_id: str) -> Turn:
        """The turn, once this process has done with it."""
        task = self._tasks.get(turn_id)
        if task is not None:
            await asyncio.wait([task])
        return await self._archive.run(Store.turn, turn_id)

    def running(self, platform: str, user_id: str) -> list[Turn]:
        """What is being answered for a person now."""
        return [turn for each in self._answering.values() if each.asked_by(platform, user_id) and (turn := each.running) is not None]

    def cancel(self, turn_id: str) -> bool:
        """Its reader stopped it or left; False when it is not being answered."""
        answering = self._answering.get(turn_id)
        if answering is not None:
            answering.cancel()
        return answering is not None

    async def fetched(self, turns: Sequence[Turn]) -> None:
        """Their reader has come for these turns: answered ones count as delivered."""
        waiting = [turn.id for turn in turns if turn.status is Status.ANSWERED and turn.id not in self._tasks]
        if waiting:
            await self._archive.run(Store.delivered, waiting)

    async def delete_conversation(self, platform: str, conversation_id: str, user_id: str) -> int:
        """Stops and erases a person's conversation; how many turns. Raises UnknownTurn."""
        conversation = await self.conversation(platform, conversation_id, user_id)
        await self._stop([turn.id for turn in conversation.turns])
        gone = await self._archive.run(Store.delete_conversation, platform, conversation_id, user_id, now())
        self._clear_away()
        return gone

    async def probe(self) -> None:
        """Raises StoreError when nothing could be recorded now. Asks the disk at most once a second, whoever calls."""
        if self._probe is None or (self._probe.done() and time.monotonic() - self._probed_at > _PROBE_SECONDS):
            self._probed_at = time.monotonic()
            self._probe = asyncio.ensure_future(self._archive.run(Store.probe))
        await asyncio.shield(self._probe)

    async def drain(self, seconds: float) -> None:
        """Takes nothing new, lets what runs finish for so long, and leaves the rest for the next start."""
        self._draining = True
        deadline = time.monotonic() + (seconds if self._room.is_open else 0)  # without a model nothing can finish
        while (running := {*self._receiving, *self._tasks.values()}) and (left := deadline - time.monotonic()) > 0:
            log.info("draining", extra={"running": len(running)})
            await asyncio.wait(running, timeout=left)
        interrupted = list(self._tasks.values())
        for task in interrupted:
            task.cancel("shutting down")
        if interrupted:
            log.warning("left for the next start", extra={"turns": len(interrupted)})
            await asyncio.wait(interrupted, timeout=_DRAIN_CANCEL_SECONDS)

    async def close(self) -> None:
        """Closes the store; after `drain`."""
        await asyncio.gather(*self._clearing)
        await self._archive.close()
