"""What operators may do from a platform: see how CARE fares, promote a LoRA, take one back. Knows no platform."""

import asyncio
import logging
from dataclasses import dataclass

from bot import promotion
from bot.promotion import Applied
from bot.settings import Settings
from model.engine import Engine
from model.shelf import Shelf

log = logging.getLogger(__name__)

_REASON = "asked for by an operator"


class NotOperator(Exception):
    """Somebody who is not in CARE_OPERATORS gave an order."""

    def __init__(self, who: str) -> None:
        super().__init__(f"{who} is no operator; CARE_OPERATORS lists who is")


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How CARE fares now; `live` None: the base answers."""

    ready: bool
    detail: str
    model: str
    running: int
    waiting: int
    live: str | None


class Operations:
    """Methods of `Service`. `by` is "platform:user"."""

    _engine: Engine
    _settings: Settings
    _shelf: Shelf

    def status(self) -> ServiceStatus:
        """A look at the engine."""
        status = self._engine.status()
        return ServiceStatus(status.state == "ready", status.detail, self._engine.name, status.running, status.waiting, status.live)

    async def promote(self, lora_id: str, by: str) -> Applied:
        """Makes a LoRA live; returns once it is served.

        Raises NotOperator, NotAccepted, LoraMissing, LoraDamaged, LoraBaseMismatch, or Reverted when it can't be served.
        """
        self._require_operator(by)
        return await asyncio.to_thread(self._promote, lora_id, by)

    def _promote(self, lora_id: str, by: str) -> Applied:
        promotion.require_accepted(self._shelf.read(lora_id))
        applied = promotion.promote(self._shelf, self._settings.home, lora_id, by=by, reason=_REASON)
        log.warning("promoted by hand", extra={"lora": lora_id, "by": by})
        return applied

    async def rollback(self, by: str, lora_id: str | None = None) -> Applied:
        """Takes the canary back where there is one, otherwise what is live; with an id only if that LoRA is one of them.

        Raises NotOperator, NothingToRollBack or Reverted.
        """
        self._require_operator(by)
        return await asyncio.to_thread(self._rollback, by, lora_id)

    def _rollback(self, by: str, lora_id: str | None) -> Applied:
        applied = promotion.take_back(self._shelf, self._settings.home, by=by, reason=_REASON, expected=lora_id)
        log.warning("taken back by hand", extra={"live": applied.change.lora_id or "base", "by": by})
        return applied

    def _require_operator(self, by: str) -> None:
        if by not in self._settings.operators:
            raise NotOperator(by)
