"""The buttons of CARE's cards: who hears which, and how they are answered. Knows no button's business."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.connectors import inside
from bot.connectors.teams import cards, presses, shapes
from bot.connectors.teams.events import Said
from bot.connectors.teams.presses import Press, Presser
from bot.connectors.teams.sdk import InvokeRefused
from bot.connectors.teams.workspace import Workspace

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

UNKNOWN = "I don't know that button any more: the card may be from before an update. Write `help` to see what I do."
_UPDATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a press: words for who pressed, and the card that now stands in place of the pressed one, if it changes."""

    words: str
    card: Json | None = None
    alone: bool = True  # the card is all that its message is


Verb = Callable[[Press], Awaitable[Outcome]]


class Buttons:
    """By verb."""

    def __init__(self, workspace: Workspace, *verbs: Mapping[str, Verb]) -> None:
        self._workspace = workspace
        self._verbs = {name: verb for each in verbs for name, verb in each.items()}

    async def pressed(self, activity: Json) -> Json:
        """`adaptiveCard/action`. What a person may not do is said in words. Raises InvokeRefused."""
        press = presses.press(activity)
        verb = self._verbs.get(press.verb)
        if verb is None:
            return cards.said(UNKNOWN)
        await self._workspace.reached(activity)
        try:
            outcome = await verb(press)
        except InvokeRefused as error:
            if error.status == 400:  # no card of ours sends that
                raise
            return cards.said(str(error))
        return cards.said(outcome.words) if outcome.card is None else cards.shown(outcome.card)

    async def submitted(self, said: Said) -> bool:
        """Whether a message is what a card sent from a client that knows no `adaptiveCard/action`; what became of it is a message then."""
        name = "" if said.value is None else inside.text(said.value, cards.VERB)
        if said.value is None or said.text or not name:
            return False
        verb = self._verbs.get(name)
        try:
            outcome = Outcome(UNKNOWN) if verb is None else await verb(Press(await self._presser(said), name, said.value))
        except InvokeRefused as error:
            outcome = Outcome(str(error))
        self._workspace.say(said.name.place, shapes.note(outcome.words))
        if outcome.card is not None and outcome.alone and said.reply_to:
            self._workspace.spawn(self._put(said, cards.message(outcome.card, outcome.words)), "a card that was answered")
        return True

    async def _presser(self, said: Said) -> Presser:
        return Presser(
            event_id=said.event_id,
            user=said.user,
            user_name=said.user_name or "Somebody",
            directory_id=said.directory_id,
            address=await self._workspace.address_of(said.name.place),
            message=presses.named(said.name.place, said.reply_to),
            at=said.at,
        )

    async def _put(self, said: Said, shape: Json) -> None:
        address = await self._workspace.address_of(said.name.place)
        await self._workspace.api.update(address, said.reply_to, shape, patience=_UPDATE_SECONDS)
