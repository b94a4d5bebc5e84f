"""Promote and Roll back, the buttons below a night's report: for operators only. They take as long as a smoke test."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from bot.connectors import nights
from bot.connectors.tasks import Once
from bot.connectors.teams import cards, report
from bot.connectors.teams.buttons import Outcome, Verb
from bot.connectors.teams.names import PLATFORM
from bot.connectors.teams.presses import Press
from bot.connectors.teams.sdk import InvokeRefused
from bot.connectors.teams.wording import worded
from bot.connectors.teams.workspace import Workspace
from bot.operations import NotOperator
from bot.promotion import Applied, NotAccepted, Reverted
from model.errors import EngineError
from model.history import Change

log = logging.getLogger(__name__)

ONLY_OPERATORS = "Only operators may do that: CARE_OPERATORS lists who is one. You would be {id} there."
UNDER_WAY = "I'm on it: what becomes of it stands in this thread in a moment. Nothing there after some minutes? Press it again."
_PATIENCE_SECONDS = 60.0


class Orders:
    """What operators order."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._once = Once()

    def verbs(self) -> Mapping[str, Verb]:
        """What the buttons of a report do."""
        return {cards.PROMOTE: self._promote, cards.ROLLBACK: self._roll_back}

    async def _promote(self, press: Press) -> Outcome:
        lora, who = _lora(press), self._operator(press)
        return self._take(press, lambda: self._service.promote(lora, who))

    async def _roll_back(self, press: Press) -> Outcome:
        """Of the LoRA that the button names, and of no other that has become live since."""
        lora, who = _lora(press), self._operator(press)
        return self._take(press, lambda: self._service.rollback(who, lora))

    def _operator(self, press: Press) -> str:
        """By either of their two ids. Raises InvokeRefused."""
        found = next((each for each in _ids(press) if each in self._workspace.settings.operators), None)
        if found is None:
            raise InvokeRefused(403, only_operators(press))
        return found

    def _take(self, press: Press, order: Callable[[], Awaitable[Applied]]) -> Outcome:
        if self._once.first(press.by.event_id):
            self._workspace.spawn(self._carry_out(press, order), "an operator's order")
        return Outcome(UNDER_WAY)

    async def _carry_out(self, press: Press, order: Callable[[], Awaitable[Applied]]) -> None:
        """Does it, and says in the thread and in the report what became of it."""
        change = None
        try:
            change = (await order()).change
            told = report.who_did(press.by.user_name, change)
        except NotOperator:
            told = only_operators(press)
        except (NotAccepted, Reverted, EngineError, OSError) as error:
            log.warning("an order failed", extra={"error": type(error).__name__})
            told = f"That did not work: {error}"
        for shape in worded(told, "", bold=False):
            await self._workspace.api.post(press.by.address, shape, patience=_PATIENCE_SECONDS)
        if change is not None:
            await self._show(press, told, change)

    async def _show(self, press: Press, told: str, change: Change) -> None:
        """In the report that was pressed: who did what, and a button for the way back."""
        if press.by.message is None:
            return
        notice = await self._service.notice_of(press.text(cards.NOTICE))
        night = None if notice is None else await asyncio.to_thread(nights.read, notice)
        if notice is None or night is None or night.lora != _lora(press):
            card = cards.card([cards.runs((told, True))], _way_back(press, change))
        else:
            card = report.report_card(notice, night, told=told, done=change)
        shape = cards.message(card, told)
        await self._workspace.api.update(press.by.address, press.by.message.id, shape, patience=_PATIENCE_SECONDS)


def only_operators(press: Press) -> str:
    """Tells somebody who is none; with what they would be listed by, which Teams shows nowhere."""
    return ONLY_OPERATORS.format(id=_ids(press)[0])


def _ids(press: Press) -> list[str]:
    """What somebody can be listed by: their id in Entra, which never has capitals in the settings, and Teams' own."""
    ids = ((press.by.directory_id or "").lower(), press.by.user)
    return [f"{PLATFORM}:{each}" for each in ids if each]


def _way_back(press: Press, change: Change) -> list[cards.Json]:
    promoted = change.action == "promote"
    return report.buttons(_lora(press), press.text(cards.NOTICE), promote=not promoted, rollback=promoted)


def _lora(press: Press) -> str:
    found = press.text(cards.LORA)
    if not found:
        raise InvokeRefused(400, f"{cards.LORA} must name a LoRA")
    return found
