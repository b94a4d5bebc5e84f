"""Keeps the engine on what the shelf says is live, and says which LoRA answers a conversation. Knows no platform and no rating.

The night and the operators change the shelf, this follows: it opens (and so verifies) the new LoRA, has the engine load it
beside the old one, and only then switches. What can't be opened or loaded changes nothing: the old one keeps answering.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from model.engine import Engine
from model.errors import Busy, EngineError, LoraBaseMismatch, LoraDamaged, LoraMissing, NotReady
from model.shelf import Shelf

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_RETRY_SECONDS = 60.0
_FILE_SECONDS = 30.0
# Live, the one to roll back to, and two to compare with by name over /v1; each costs memory (50 MB for Phi-3.5-mini, r=8).
_RESIDENT = 4
_UNUSABLE = (LoraMissing, LoraDamaged, LoraBaseMismatch, Busy, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a LoRA that should be live is not served."""

    lora: str
    message: str


class Watch:
    """One look after another, from one task."""

    def __init__(self, shelf: Shelf, engine: Engine, canary_share: int = 100) -> None:
        """`canary_share` is the percentage of the conversations that the canary answers while there is one."""
        self._shelf = shelf
        self._engine = engine
        self._share = canary_share
        self.canary: str | None = None
        self.fault: Fault | None = None
        self._failed_at = 0.0
        self._refused: dict[str, str] = {}  # others than the live one that could not be loaded, and why: said once
        self._first = True
        self._seen: tuple[str | None, str | None, int] | None = None

    def choose(self, platform: str, conversation_id: str) -> str | None:
        """The LoRA (None: the base) that answers a conversation now: the same one as long as live and canary stay."""
        canary = self.canary
        if canary is not None and canary in self._engine.status().loras:
            digest = hashlib.sha256(f"{canary} {platform} {conversation_id}".encode()).digest()
            if int.from_bytes(digest[:8], "big") * 100 < self._share * 2**64:
                return canary
        return self._engine.status().live

    async def follow(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except NotReady:
                return  # the engine is closed, or broke: readiness says so
            except Exception:  # the edge of a look: the next one may do better
                log.exception("a look at the shelf failed")

    async def look(self) -> None:
        """Brings the engine to what the shelf says now. Raises NotReady."""
        try:
            wanted, canary, seen = await self._read()
        except _UNUSABLE as error:
            return self._report(Fault("live", str(error) or type(error).__name__))
        if wanted == self._engine.status().live:
            self.fault = self.fault if self.fault is not None and self.fault.lora == canary != self.canary else None
        elif self._due(wanted):
            await self._serve(wanted)
        if seen != self._seen or self._canary_is_due(canary, wanted):
            await self._follow_canary(canary, wanted)
            await self._tidy(wanted)
        self._first, self._seen = False, seen
        return None

    async def _read(self) -> tuple[str | None, str | None, tuple[str | None, str | None, int]]:
        """The LoRA that should be live, the canary, and what tells this state of the shelf from others."""
        async with asyncio.timeout(_FILE_SECONDS):
            live = await asyncio.to_thread(self._shelf.live)
            canary = await asyncio.to_thread(self._shelf.canary)
            changed = await asyncio.to_thread(self._shelf.changed)
        return live, canary, (live, canary, changed)

    async def _follow_canary(self, canary: str | None, live: str | None) -> None:
        """A canary that can't be loaded answers nobody; `promotion` sees that and takes it back."""
        if canary is None or canary == live:
            self.canary = None
        elif await self._loaded(canary):
            if canary != self.canary:
                log.info("canary", extra={"lora": canary, "share": self._share})
            self.canary = canary
        else:
            self.canary = None

    def _canary_is_due(self, canary: str | None, live: str | None) -> bool:
        """Whether a canary that could not be loaded gets another try."""
        missing = canary is not None and canary not in (live, self.canary)
        return missing and time.monotonic() - self._failed_at > _RETRY_SECONDS

    def _due(self, wanted: str | None) -> bool:
        """Whether to try, or to try again."""
        failed = self.fault is not None and self.fault.lora == wanted
        return not failed or time.monotonic() - self._failed_at > _RETRY_SECONDS

    async def _serve(self, wanted: str | None) -> None:
        if wanted is None or await self._loaded(wanted):
            await self._switch(wanted)
            self.fault = None
        elif self._first:
            await self._serve_older(wanted)

    async def _serve_older(self, unusable: str) -> None:
        """At a start there is no old one that goes on: the nearest predecessor that can be loaded answers, or the base."""
        async with asyncio.timeout(_FILE_SECONDS):
            older = await asyncio.to_thread(self._shelf.chain, unusable)
        for lora_id in older:
            if await self._resident(lora_id):
                return await self._switch(lora_id)
        return log.warning("no predecessor can be served either: the base answers", extra={"lora": unusable})

    async def _switch(self, lora_id: str | None) -> None:
        await self._engine.switch(lora_id)
        log.info("serving", extra={"lora": lora_id or "base"})

    async def _loaded(self, lora_id: str) -> bool:
        """Loads the LoRA that should be live; says why when that fails."""
        try:
            await self._load(lora_id)
        except _UNUSABLE as error:
            self._report(Fault(lora_id, str(error) or type(error).__name__))
            return False
        return True

    def _report(self, fault: Fault) -> None:
        self._failed_at = time.monotonic()
        if fault != self.fault:
            log.error("a LoRA can't be served, the old one stays", extra={"lora": fault.lora, "error": fault.message})
        self.fault = fault

    async def _load(self, lora_id: str) -> None:
        if lora_id in self._engine.status().loras:
            return
        async with asyncio.timeout(_FILE_SECONDS):
            unshelved = await asyncio.to_thread(self._shelf.open, lora_id, self._engine.base)
        await self._engine.load(unshelved)

    async def _tidy(self, wanted: str | None) -> None:
        """Brings in who else should be at hand, and lets go of the rest."""
        async with asyncio.timeout(_FILE_SECONDS):
            others = await asyncio.to_thread(self._others, wanted)
        live = self._engine.status().live
        kept = [lora_id for lora_id in others if lora_id != live][: _RESIDENT - 1]
        for lora_id in kept:
            await self._resident(lora_id)
        for lora_id in self._engine.status().loras:
            if lora_id not in (*kept, live):
                await self._engine.unload(lora_id)

    def _others(self, live: str | None) -> Sequence[str]:
        """Who should be at hand besides the live one, the most important first. Blocking."""
        before = self._shelf.chain(live)[:1] if live is not None else []
        newest = [entry.id for entry in reversed(self._shelf.list()) if entry.lora is not None]
        trial = [self.canary] if self.canary is not None else []
        return list(dict.fromkeys([*trial, *before, *newest]))

    async def _resident(self, lora_id: str) -> bool:
        """Loads one that is not live; a failure is said once."""
        if lora_id in self._refused:
            return False
        try:
            await self._load(lora_id)
        except NotReady:
            raise
        except (EngineError, OSError, TimeoutError) as error:
            self._refused[lora_id] = str(error)
            log.warning("a LoRA on the shelf can't be loaded", extra={"lora": lora_id, "error": str(error)})
            return False
        return True
