"""What people think of an answer: the thumbs of Teams' feedback loop, reactions, and the card below an answer where a client has neither.

The message that was voted on says which answer is meant. A vote that names none that CARE knows is kept by itself, and never learned from.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

from bot.connectors import ballot, inside, words
from bot.connectors.ballot import Ballot, Vote
from bot.connectors.teams import cards, events, presses
from bot.connectors.teams.buttons import Outcome, Verb
from bot.connectors.teams.names import PLATFORM, parse
from bot.connectors.teams.presses import Feedback, Press
from bot.connectors.teams.sdk import InvokeRefused
from bot.connectors.teams.workspace import Workspace
from bot.store import NotYours, UnknownTurn
from bot.turns import Turn, Verdict

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

DIALOG_TITLE: Mapping[int, str] = {1: "Good answer", -1: "What was wrong?"}
UNATTRIBUTED = "I can't tell which answer you mean: your thumb is kept, but teaches me nothing. Ask me again, and vote on the new answer."
NOTHING_SAID = "Write what was wrong, or what it should have said, and press Send again. For the thumb alone, press 👎."
# As Teams names them: its first six, the emoji's own name, and what its keyboard calls them; skin tones come behind.
_THUMBS: Mapping[str, Verdict] = {
    "like": 1,
    "yes": 1,
    "thumbsup": 1,
    "plusone": 1,
    "\U0001f44d": 1,
    "dislike": -1,
    "no": -1,
    "thumbsdown": -1,
    "\U0001f44e": -1,
}
_TONE = re.compile(r"-tone\d\Z|[\U0001f3fb-\U0001f3ff\ufe0f]")
_CODE = re.compile(r"\A[0-9a-f]{4,6}_")


class Votes:
    """Listeners to thumbs, reactions and cards."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._ballot = Ballot(PLATFORM, workspace.service)

    def verbs(self) -> Mapping[str, Verb]:
        """What the buttons of a card do."""
        return {cards.RATE: self._rated, cards.EXPLAIN: self._explained}

    # The feedback loop.

    async def opened(self, activity: Json) -> Json:
        """`message/fetchTask`: keeps the thumb at once, and asks what there is to say about it. Raises InvokeRefused."""
        thumb = presses.thumb(activity)
        try:
            turn = await self._keep(thumb) or await self._answer(thumb)
        except UnknownTurn:
            return _told(UNATTRIBUTED)
        except NotYours as error:
            return _told(ballot.refusal(error))
        return _asked(turn, thumb.verdict, await self._said_before(turn, thumb))

    async def explained(self, activity: Json) -> Json:
        """`message/submitAction`: the thumb, with what was said. Raises InvokeRefused."""
        feedback = presses.feedback(activity)
        try:
            await self._keep(feedback, feedback.turn_id)
        except UnknownTurn:
            log.info("a thumb names no answer", extra={"platform": PLATFORM})
        except NotYours as error:
            raise InvokeRefused(403, ballot.refusal(error)) from None
        return {}

    async def _keep(self, feedback: Feedback, turn_id: str | None = None) -> Turn | None:
        """None for a vote that a later one has overtaken. Raises UnknownTurn once it is kept by itself, NotYours."""
        by = feedback.by
        message = str(by.message) if by.message is not None else await self._carrier(by.place, turn_id)
        vote = Vote(message, by.user, feedback.verdict, by.at, turn_id, reason=feedback.reason, correction=feedback.correction)
        try:
            return await self._ballot.cast(vote)
        except UnknownTurn:
            said = "\n\n".join(each for each in (feedback.reason, feedback.correction) if each) or None
            conversation = await self._workspace.conversation(by.place)
            await self._service.rated_nothing(PLATFORM, by.user, feedback.verdict, said, conversation)
            raise

    async def _carrier(self, place: str, turn_id: str | None) -> str:
        """Where a client does not say which message was pressed: the one of that turn that stands in the same place, "" for none."""
        carried = [] if turn_id is None else await self._service.carried(turn_id)
        return next((each for each in carried if parse(each).place == place), "")

    async def _answer(self, thumb: Feedback) -> Turn:
        """What a thumb is about that a later one has overtaken. Raises UnknownTurn."""
        turn = await self._service.answered_by(PLATFORM, str(thumb.by.message))
        if turn is None:
            raise UnknownTurn("it was erased in between")
        return turn

    async def _said_before(self, turn: Turn, thumb: Feedback) -> tuple[str, str]:
        """What this person said of this answer, for the same thumb."""
        current = await self._service.current_vote(turn.id, thumb.by.user)
        if current is None or current.verdict != thumb.verdict:
            return "", ""
        return current.reason or "", current.correction or ""

    # The card.

    async def _rated(self, press: Press) -> Outcome:
        return await self._voted(press, Feedback(press.by, presses.verdict(press.data)))

    async def _explained(self, press: Press) -> Outcome:
        feedback = Feedback(press.by, -1, press.words(cards.REASON), press.words(cards.CORRECTION))
        if not (feedback.reason or feedback.correction):
            return Outcome(NOTHING_SAID)  # a thumb that stands there stays
        return await self._voted(press, feedback)

    async def _voted(self, press: Press, feedback: Feedback) -> Outcome:
        turn_id = press.text(cards.TURN)
        if not turn_id:
            raise InvokeRefused(400, f"{cards.TURN} must name an answer")
        try:
            await self._keep(feedback, turn_id)
        except (UnknownTurn, NotYours) as error:
            raise InvokeRefused(403 if isinstance(error, NotYours) else 404, ballot.refusal(error)) from None
        if feedback.reason or feedback.correction:
            return Outcome(ballot.THANKS, cards.rating(turn_id, told=ballot.THANKS), alone=False)
        return Outcome(words.CONFIRMED[feedback.verdict], cards.confirmed(turn_id, feedback.verdict), alone=False)

    # Reactions.

    async def reacted(self, activity: Json) -> None:
        """`messageReaction`: one that is taken back withdraws the verdict that it had set. People react to all kinds of messages."""
        user = events.user(activity)
        message = presses.named(inside.text(activity, "conversation", "id"), inside.text(activity, "replyToId"))
        if not user or message is None:
            return
        at = events.moment(activity)
        for verdict in _thumbs(activity, "reactionsRemoved"):
            await self._reacted(Vote(str(message), user, verdict, f"{at}.0", by_reaction=True), added=False)
        for verdict in _thumbs(activity, "reactionsAdded"):
            await self._reacted(Vote(str(message), user, verdict, f"{at}.1", by_reaction=True), added=True)

    async def _reacted(self, vote: Vote, *, added: bool) -> None:
        try:
            await (self._ballot.cast(vote) if added else self._ballot.take_back(vote))
        except (UnknownTurn, NotYours):
            return


def _thumbs(activity: Json, name: str) -> list[Verdict]:
    found = [_TONE.sub("", _CODE.sub("", inside.text(each, "type").lower())) for each in events.objects(activity, name)]
    return [_THUMBS[each] for each in found if each in _THUMBS]


def _asked(turn: Turn, verdict: Verdict, before: tuple[str, str]) -> Json:
    card = cards.feedback(turn.id, verdict, reason=before[0], correction=before[1])
    dialog = {"title": DIALOG_TITLE[verdict], "width": "medium", "height": "medium", "card": cards.attachment(card)}
    return {"task": {"type": "continue", "value": dialog}}


def _told(words: str) -> Json:
    return {"task": {"type": "message", "value": words}}
