"""Judges the LoRAs that serve: a smoke test as soon as one answers, its thumbs as long as it does. Takes back what failed.

The night proved a candidate on held-out items; what it can't know is how the server and the people fare with it. Only the server
judges that, and each judgement is written into the shelf's history and told to the operators.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from bot.archive import Archive
from bot.domains import Domains
from bot.judgement import smoke_fault, worse
from bot.learning import SmokeTest
from bot.notices import OPERATORS, Notice
from bot.settings import Settings
from bot.store import Store, StoreError
from bot.turns import new_id, now
from bot.watch import Watch
from model.chat import Message
from model.engine import Engine, Request, Sampling
from model.errors import Busy, EngineError, LoraDamaged, LoraMissing, NothingToRollBack, NotReady
from model.shelf import Shelf

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_SMOKE_SECONDS = 60.0
_SMOKE_TOKENS = 32
# Places of the engine that the smoke test takes at most: people go on being answered beside it.
_SMOKE_TOGETHER = 4
_ENOUGH = 0.5  # of the replies within the deadline; of a server that is too busy for them nothing is concluded
BY = "watch"


class Judge:
    """One look after another, from one task."""

    def __init__(self, shelf: Shelf, engine: Engine, archive: Archive, watch: Watch, domains: Domains, settings: Settings) -> None:
        self._shelf = shelf
        self._engine = engine
        self._archive = archive
        self._watch = watch
        self._system = Message("system", domains.system_prompt)
        self._trial = timedelta(hours=settings.canary_hours)
        self.passed: dict[str, bool] = {}  # which LoRAs had their smoke test, and how it ended

    async def follow(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except NotReady:
                return  # the engine is closed, or broke
            except (StoreError, EngineError, OSError) as error:
                log.warning("could not judge, trying again", extra={"error": str(error)})
            except Exception:  # the edge of a look
                log.exception("judging failed")

    async def look(self) -> None:
        """Judges the canary and what is live, in this order. Raises NotReady, StoreError."""
        canary = self._watch.canary
        if canary is not None and await self._stands(canary, self._engine.status().live):
            await self._end_trial(canary)
        live = self._engine.status().live
        if live is not None:
            older = await asyncio.to_thread(self._shelf.chain, live)
            await self._stands(live, older[0] if older else None)

    async def _stands(self, lora_id: str, before: str | None) -> bool:
        """Whether nothing speaks against a LoRA; takes it back otherwise."""
        smoke = await self._smoke_test(lora_id)
        if smoke is None:
            return False
        fault = None if smoke.passed else smoke.said
        if fault is None:
            fault = worse(await self._archive.run(Store.thumbs, lora_id), await self._archive.run(Store.thumbs, before))
        if fault is not None:
            await self._take_back(lora_id, fault)
        return fault is None

    async def _smoke_test(self, lora_id: str) -> SmokeTest | None:
        """How it ended, now or earlier; None: not yet. One that failed speaks against the LoRA as long as that answers anybody."""
        known: SmokeTest | None = await self._archive.run(Store.smoke_test, lora_id)
        if known is None:
            known = await self._smoke(lora_id)
        if known is not None:
            self.passed[lora_id] = known.passed
        return known

    async def _smoke(self, lora_id: str) -> SmokeTest | None:
        """Thirty everyday questions; within a minute it is known whether the replies make any sense."""
        replies = await self._replies(lora_id)
        if len(replies) < _ENOUGH * len(_questions()):
            log.warning("too busy for the smoke test, trying again", extra={"lora": lora_id, "replies": len(replies)})
            return None
        fault = smoke_fault(replies)
        found = SmokeTest(fault is None, fault or f"{len(replies)} replies")
        await self._archive.run(Store.keep_smoke_test, lora_id, passed=found.passed, said=found.said, now=now())
        log.info("smoke test", extra={"lora": lora_id, "passed": found.passed, "said": found.said})
        return found

    async def _replies(self, lora_id: str) -> Mapping[str, str | None]:
        places = asyncio.Semaphore(_SMOKE_TOGETHER)
        replies: dict[str, str | None] = {}

        async def ask(question: str) -> None:
            async with places:
                replies[question] = await self._reply(lora_id, question)

        tasks = [asyncio.create_task(ask(question)) for question in _questions()]
        done, late = await asyncio.wait(tasks, timeout=_SMOKE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            task.result()  # NotReady goes up
        return replies

    async def _reply(self, lora_id: str, question: str) -> str | None:
        """What the LoRA says, or None when it ended in an error that is the LoRA's."""
        asked = Request((self._system, Message("user", question)), Sampling(max_tokens=_SMOKE_TOKENS, repetition_penalty=1.15), lora_id)
        while True:
            try:
                generation = await self._engine.generate(asked)
                try:
                    return "".join([piece async for piece in generation])
                finally:
                    generation.cancel()
            except Busy:
                await asyncio.sleep(_LOOK_SECONDS)
            except NotReady:
                raise
            except EngineError as error:
                log.warning("a reply of the smoke test failed", extra={"lora": lora_id, "error": str(error)})
                return None

    async def _take_back(self, lora_id: str, reason: str) -> None:
        """The canary ends, or the predecessor of the live LoRA answers again."""
        try:
            if lora_id == self._watch.canary:
                await asyncio.to_thread(self._shelf.withdraw, lora_id, by=BY, reason=reason)
                after = self._engine.status().live
            else:
                change = await asyncio.to_thread(self._shelf.rollback, by=BY, reason=reason, expected=lora_id)
                after = change.lora_id
        except NothingToRollBack:
            return  # somebody else was faster
        await self._archive.run(Store.withdraw_notices, lora_id)
        await self._watch.look()
        log.error("a LoRA was taken back", extra={"lora": lora_id, "reason": reason, "live": after or "base"})
        text = f"LoRA {lora_id} was taken back: {reason}. {after or 'The base'} answers."
        await self._archive.run(
            Store.notify, [Notice(new_id(), "rollback", OPERATORS, "", f"{lora_id} {now():%Y-%m-%dT%H:%M}", text, now())]
        )

    async def _end_trial(self, canary: str) -> None:
        """The canary answers everybody once its hours are over."""
        since = await asyncio.to_thread(self._trial_since, canary)
        if since is None or now() - since < self._trial:
            return None
        thumbs = await self._archive.run(Store.thumbs, canary)
        reason = f"nothing spoke against it as a canary ({thumbs.up} of {thumbs.n} thumbs up)"
        try:
            await asyncio.to_thread(self._shelf.promote, canary, by=BY, reason=reason)
        except (LoraMissing, LoraDamaged) as error:
            return await self._take_back(canary, str(error))
        await self._watch.look()
        return None

    def _trial_since(self, canary: str) -> datetime | None:
        """Blocking. None for a link that somebody made by hand: that trial ends when they say so."""
        tried = [change.at for change in self._shelf.history() if change.action == "try" and change.lora_id == canary]
        return tried[-1] if tried else None


@lru_cache(maxsize=1)
def _questions() -> tuple[str, ...]:
    lines = Path(__file__).with_name("smoke.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["question"] for line in lines)
