"""What people think of an answer: thumbs under it, reactions to it, and the words in the 👎 dialog. Every vote visibly confirmed.

The message that was voted on says which answer is meant; a value that says otherwise is not ours.
"""

import asyncio
import logging
from dataclasses import replace
from weakref import WeakValueDictionary

from bot.connectors import ballot, inside, markdown, words
from bot.connectors.ballot import Ballot, Vote
from bot.connectors.cutting import split
from bot.connectors.slack import blocks, events, notes
from bot.connectors.slack.bolt import Payload
from bot.connectors.slack.errors import Gone, SlackError
from bot.connectors.slack.names import PLATFORM, Name, asked_in, parse
from bot.connectors.slack.people import People
from bot.connectors.slack.workspace import Workspace
from bot.connectors.slack.writer import LIMIT
from bot.store import NotYours, UnknownTurn
from bot.turns import Rating, Turn, Verdict, now

log = logging.getLogger(__name__)

TELL_MORE = "To say what it should have said, press 👎 under the answer."
TOO_LONG = f"Please use at most {blocks.INPUT_CHARS} characters."
_THUMBS: dict[str, Verdict] = {"+1": 1, "thumbsup": 1, "-1": -1, "thumbsdown": -1}


class Votes:
    """Listeners to buttons, reactions and the dialog."""

    def __init__(self, workspace: Workspace, people: People) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._people = people
        self._ballot = Ballot(PLATFORM, workspace.service)
        self._marking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def pressed(self, body: Payload) -> None:
        """The thumbs under an answer."""
        action, user = events.action(body), inside.text(body, "user", "id")
        channel, ts = inside.text(body, "channel", "id"), inside.text(body, "container", "message_ts")
        value = blocks.vote_of(inside.text(action, "value"))
        if await self._people.is_stranger(user, inside.text(body, "user", "team_id") or None):
            return
        if value is None:
            self._workspace.whisper(channel, user, ballot.UNKNOWN)
            return
        turn_id, verdict = value
        name = Name(self._workspace.identity.team, channel, ts)
        vote = Vote(str(name), user, verdict, inside.text(action, "action_ts"), turn_id)
        try:
            turn = await self._cast(vote)
        except (UnknownTurn, NotYours) as error:
            self._workspace.whisper(channel, user, ballot.refusal(error), thread_ts=inside.text(body, "container", "thread_ts") or None)
            return
        if turn is not None and verdict == -1:
            self._workspace.spawn(self._ask_why(turn, user, inside.text(body, "trigger_id")), "the question what was wrong")

    async def reacted(self, body: Payload) -> None:
        """`reaction_added`"""
        vote = await self._reaction(body)
        if vote is None:
            return
        try:
            await self._cast(vote)
        except (UnknownTurn, NotYours):  # people react to all kinds of messages, and to each other's
            return

    async def took_back(self, body: Payload) -> None:
        """`reaction_removed`: withdraws the verdict that a reaction had set, never one of a button or what was said in the dialog."""
        vote = await self._reaction(body)
        if vote is None:
            return
        try:
            turn = await self._ballot.take_back(vote)
        except (UnknownTurn, NotYours):
            return
        if turn is not None:
            self._workspace.spawn(self._confirm(turn, replace(vote, verdict=0)), "the confirmation of a vote")

    async def _reaction(self, body: Payload) -> Vote | None:
        event = inside.inner(body, "event")
        verdict = _THUMBS.get(inside.text(event, "reaction").partition("::")[0])  # "+1::skin-tone-2"
        channel, ts, user = inside.text(event, "item", "channel"), inside.text(event, "item", "ts"), inside.text(event, "user")
        if verdict is None or not (channel and ts and user) or user == self._workspace.identity.user:
            return None
        if body.get("is_ext_shared_channel") is True and await self._people.is_stranger(user, None):
            return None
        name = Name(self._workspace.identity.team, channel, ts)
        return Vote(str(name), user, verdict, inside.text(event, "event_ts"), by_reaction=True)

    async def _cast(self, vote: Vote) -> Turn | None:
        """Keeps a vote and confirms it; None for one that a later one has overtaken. Raises UnknownTurn, NotYours."""
        turn = await self._ballot.cast(vote)
        if turn is not None:
            self._workspace.spawn(self._confirm(turn, vote), "the confirmation of a vote")
        return turn

    async def _confirm(self, turn: Turn, vote: Vote) -> None:
        """In the answer itself where only its asker sees it; elsewhere each voter hears of their own vote."""
        if turn.question.private and await self._mark(turn, vote.user):
            return
        told = words.CONFIRMED[vote.verdict]
        if vote.verdict == -1 and vote.by_reaction:
            told = f"{told} {TELL_MORE}"
        root = await self._workspace.root_of(asked_in(turn))
        await self._workspace.api.ephemeral(parse(vote.message).channel, vote.user, told, thread_ts=root)

    async def _mark(self, turn: Turn, user: str) -> bool:
        """Shows below an answer how somebody votes now; False when the message can't be written anew."""
        async with self._marking.setdefault(turn.id, asyncio.Lock()):  # of two votes the later is shown last
            return await self._write_mark(turn, user)

    async def _write_mark(self, turn: Turn, user: str) -> bool:
        parts = split(markdown.safe(turn.reply.text, self._workspace.hosts), LIMIT) if turn.reply is not None else []
        carried = await self._service.carried(turn.id)
        if not parts or len(parts) != len(carried) or not turn.status.final:
            return False
        last = parse(carried[-1])
        try:
            introduces = await self._introduces(last)
            current = await self._service.current_vote(turn.id, user)
            below = blocks.answer_blocks(
                turn.id,
                text=parts[-1],
                voted=0 if current is None else current.verdict,
                notice=self._service.notice() if introduces else None,
                human=introduces and self._workspace.has_experts,
            )
            await self._workspace.api.update(last.channel, last.ts, notes.notification(parts[-1]), below)
        except SlackError:
            return False
        return True

    async def _introduces(self, message: Name) -> bool:
        """Whether a message says what CARE is, as Slack shows it: that stays under it. Raises SlackError."""
        found = await self._workspace.api.thread(message.channel, message.ts)
        return any(each.ts == message.ts and blocks.INTRODUCTION in each.block_ids for each in found)

    async def _ask_why(self, turn: Turn, user: str, trigger: str) -> None:
        """What was wrong, what should it have said? With what was said of it before."""
        current = await self._service.current_vote(turn.id, user)
        reason, correction = (current.reason or "", current.correction or "") if current is not None else ("", "")
        answer = turn.reply.text if turn.reply is not None else ""
        try:
            await self._workspace.api.open_view(trigger, blocks.correction_modal(turn.id, answer, reason=reason, correction=correction))
        except Gone:
            return

    async def explained(self, body: Payload) -> dict[str, object] | None:
        """The dialog was sent."""
        user, view = inside.text(body, "user", "id"), inside.inner(body, "view")
        if await self._people.is_stranger(user, inside.text(body, "user", "team_id") or None):
            return None
        said = blocks.correction_of(inside.text(view, "private_metadata"), inside.inner(view, "state", "values"))
        if said.reason is None and said.correction is None:
            return None
        long = {
            block: TOO_LONG
            for block, words in ((blocks.REASON_BLOCK, said.reason), (blocks.CORRECTION_BLOCK, said.correction))
            if words is not None and len(words) > blocks.INPUT_CHARS
        }
        if long:
            return {"response_action": "errors", "errors": long}
        try:
            turn = await self._service.rate(Rating(said.turn_id, user, -1, now(), said.reason, said.correction))
        except (UnknownTurn, NotYours) as error:
            return {"response_action": "errors", "errors": {blocks.REASON_BLOCK: ballot.refusal(error)}}
        self._workspace.spawn(self._thank(turn, user), "thanks for a correction")
        return None

    async def _thank(self, turn: Turn, user: str) -> None:
        question = asked_in(turn)
        await self._workspace.api.ephemeral(question.channel, user, ballot.THANKS, thread_ts=await self._workspace.root_of(question))
