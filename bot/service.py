"""Receive, answer, rate: what CARE does for every platform alike. Knows no platform and no SQL.

A question is recorded in one commit before its receipt is acknowledged, answered by a task that this service owns,
and stored before its reader is told that it ended. See docs/architecture.md for the life of a turn.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from bot.answering import Answering, Choose, request
from bot.archive import Archive
from bot.connectors.base import Connector, Delivery
from bot.domains import Domains
from bot.metrics import Metrics
from bot.notices import Notice
from bot.reviews import Review, Waiting
from bot.store import Store
from bot.turns import Conversation, ConversationHead, Question, Rating, Status, Turn, new_id, now
from model.engine import Engine, Sampling
from model.errors import Busy, EngineError, NotReady

log = logging.getLogger(__name__)

_DRAIN_CANCEL_SECONDS = 5.0
_PROBE_SECONDS = 1.0


class Service:
    """The one place where questions, the engine and the store meet."""

    def __init__(self, archive: Archive, engine: Engine, domains: Domains, metrics: Metrics, sampling: Sampling, choose: Choose) -> None:
        self._archive = archive
        self._choose = choose
        self._engine = engine
        self._domains = domains
        self._metrics = metrics
        self._sampling = sampling
        self._connectors: dict[str, Connector] = {}
        self._answering: dict[str, Answering] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._receiving: set[asyncio.Task[tuple[Turn, bool]]] = set()
        self._admitting = 0
        self._probe: asyncio.Future[None] | None = None
        self._probed_at = 0.0
        self._ready = asyncio.Event()
        self._draining = False
        status = engine.status()
        self._places = asyncio.Semaphore(status.slots + status.queue)

    def connect(self, connector: Connector) -> None:
        """Makes a platform known; before `resume`."""
        self._connectors[connector.platform] = connector

    async def receive(self, question: Question, delivery: Delivery | None = None) -> tuple[Turn, bool]:
        """Records a question and starts to answer it; returns after the commit, so its receipt can be acknowledged.

        The answer goes to `delivery`, or to one that the platform's connector opens.

        An event seen before gives its first turn and False, and is not answered again (unless its answer was given up).
        Raises NotYours, UnknownTurn, StorageFull or StorageUnavailable: then nothing was recorded.
        """
        if self._draining:
            raise NotReady("CARE is shutting down; try again in a moment")
        receiving = asyncio.create_task(self._record(question, delivery))
        self._receiving.add(receiving)
        receiving.add_done_callback(self._receiving.discard)
        return await asyncio.shield(receiving)  # a caller that goes away must not leave a turn without its task

    async def _record(self, question: Question, delivery: Delivery | None) -> tuple[Turn, bool]:
        domain = self._domains.label(question.text)
        turn = await self._archive.run(Store.receive, question, new_id(), domain)
        if turn.status.final or turn.id in self._tasks:
            return turn, False
        self._start(turn, delivery)
        return turn, True

    async def admit(self, question: Question, delivery: Delivery | None = None) -> tuple[Turn, bool]:
        """`receive` for callers who can be told to come back.

        Besides what `receive` raises: NotReady, Busy or ContextLengthExceeded, before anything is recorded.
        """
        self._admitting += 1
        try:
            self._require_room()
            turn = Turn("", question, "", Status.RECEIVED)
            lora = self._choose(question.platform, question.conversation_id)
            await self._engine.check(request(self._domains, turn, [], self._sampling, lora))
            return await self.receive(question, delivery)
        except EngineError as error:
            self._metrics.refused(type(error).__name__)
            if self._domains.is_emergency(question.text):
                error.args = (f"{self._domains.emergency_notice} ({error})",)
            raise
        finally:
            self._admitting -= 1

    def _require_room(self) -> None:
        status = self._engine.status()
        if status.state != "ready":
            raise NotReady(status.detail)
        if len(self._tasks) + self._admitting > status.slots + status.queue:
            raise Busy(f"{len(self._tasks)} questions are being answered or wait; try again shortly")

    def _start(self, turn: Turn, delivery: Delivery | None = None) -> None:
        answering = Answering(
            turn,
            delivery or self._connectors[turn.question.platform].open(turn),
            engine=self._engine,
            archive=self._archive,
            domains=self._domains,
            metrics=self._metrics,
            sampling=self._sampling,
            choose=self._choose,
        )
        self._answering[turn.id] = answering
        self._tasks[turn.id] = asyncio.create_task(self._answer(turn, answering), name=f"turn {turn.id}")

    async def _answer(self, turn: Turn, answering: Answering) -> None:
        try:
            await self._ready.wait()
            async with self._places:
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
        self._ready.set()

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

    def cancel(self, turn_id: str) -> bool:
        """Its reader stopped it or left; False when it is not being answered."""
        answering = self._answering.get(turn_id)
        if answering is not None:
            answering.cancel()
        return answering is not None

    async def rate(self, rating: Rating) -> Turn:
        """Keeps a rating; returns after the commit. Raises UnknownTurn, NotYours or another StoreError."""
        turn = await self._archive.run(Store.rate, rating)
        self._metrics.rated(rating)
        log.info("rated", extra={"turn": rating.turn_id, "verdict": rating.verdict, "corrected": rating.correction is not None})
        return turn

    async def waiting_reviews(self) -> list[Waiting]:
        """What waits for a reviewer, the longest waiting first."""
        return await self._archive.run(Store.waiting_reviews)

    async def review(self, review: Review) -> None:
        """Keeps a reviewer's decision; returns after the commit. Raises NotReviewable."""
        await self._archive.run(Store.review, review)
        log.info("reviewed", extra={"turn": review.turn_id, "decision": review.decision, "reviewer": review.reviewer})

    async def learns_from(self, platform: str, user_id: str) -> bool:
        """Whether a person takes part in the learning."""
        return f"{platform}:{user_id}" not in await self._archive.run(Store.opted_out)

    async def opt_out(self, platform: str, user_id: str) -> None:
        """Nothing of this person is learned from any more; what they said is kept."""
        await self._archive.run(Store.opt_out, platform, user_id, now())
        log.info("opted out", extra={"platform": platform})

    async def opt_in(self, platform: str, user_id: str) -> None:
        """This person takes part again."""
        await self._archive.run(Store.opt_in, platform, user_id)

    async def notices(self, platform: str, user_id: str) -> list[Notice]:
        """What somebody has not been told yet."""
        return await self._archive.run(Store.unsent_notices, platform, user_id)

    async def notices_sent(self, platform: str, user_id: str, ids: Sequence[str]) -> None:
        """These have reached this person; ids of others change nothing."""
        own = {notice.id for notice in await self.notices(platform, user_id)}
        await self._archive.run(Store.notices_sent, sorted(own.intersection(ids)), now())

    async def turn(self, turn_id: str) -> Turn:
        """One turn. Raises UnknownTurn."""
        return await self._archive.run(Store.turn, turn_id)

    async def conversations(self, platform: str, user_id: str) -> list[ConversationHead]:
        """A person's conversations, the last used first."""
        return await self._archive.run(Store.conversations, platform, user_id)

    async def conversation(self, platform: str, conversation_id: str, user_id: str) -> Conversation:
        """A person's conversation. Raises UnknownTurn."""
        return await self._archive.run(Store.conversation, platform, conversation_id, user_id)

    async def fetched(self, turns: Sequence[Turn]) -> None:
        """Their reader has come for these turns: answered ones count as delivered."""
        waiting = [turn.id for turn in turns if turn.status is Status.ANSWERED and turn.id not in self._tasks]
        if waiting:
            await self._archive.run(Store.delivered, waiting)

    async def delete_conversation(self, platform: str, conversation_id: str, user_id: str) -> int:
        """Stops and erases a person's conversation; how many turns. Raises UnknownTurn."""
        conversation = await self.conversation(platform, conversation_id, user_id)
        running = [self._tasks[turn.id] for turn in conversation.turns if self.cancel(turn.id)]
        if running:
            await asyncio.wait(running)
        return await self._archive.run(Store.delete_conversation, platform, conversation_id, user_id)

    async def probe(self) -> None:
        """Raises StoreError when nothing could be recorded now. Asks the disk at most once a second, whoever calls."""
        if self._probe is None or (self._probe.done() and time.monotonic() - self._probed_at > _PROBE_SECONDS):
            self._probed_at = time.monotonic()
            self._probe = asyncio.ensure_future(self._archive.run(Store.probe))
        await asyncio.shield(self._probe)

    async def drain(self, seconds: float) -> None:
        """Takes nothing new, lets what runs finish for so long, and leaves the rest for the next start."""
        self._draining = True
        deadline = time.monotonic() + (seconds if self._ready.is_set() else 0)  # without a model nothing can finish
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
        await self._archive.close()
