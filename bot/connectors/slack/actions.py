"""Buttons, shortcuts and tabs besides the thumbs: Teach CARE, Promote and Roll back, what to ask. Knows no vote."""

import logging
from collections.abc import Awaitable, Callable

from bot.connectors import inside, words
from bot.connectors.slack import blocks, events
from bot.connectors.slack.api import Block
from bot.connectors.slack.bolt import Payload
from bot.connectors.slack.handover import Handovers
from bot.connectors.slack.names import PLATFORM, Name
from bot.connectors.slack.people import People
from bot.connectors.slack.workspace import Workspace
from bot.operations import NotOperator
from bot.promotion import Applied, NotAccepted, Reverted
from bot.store import NotYours, OptedOut, UnknownHandover, UnknownTurn
from model.errors import EngineError
from model.history import Change

log = logging.getLogger(__name__)

TAUGHT = "Thank you. I keep that reply as the better answer to the question in this thread; it may teach me tonight."
NOTHING_TO_TEACH = (
    "I answered nothing in this thread, so there is nothing to correct. Use *Teach CARE* on a colleague's reply to one of my answers."
)
NOT_A_COLLEAGUES = "Use *Teach CARE* on a reply that a colleague wrote: this message is not a person's."
NO_WORDS = "That message has no text that I could learn."
TEACHER_OPTED_OUT = "Nothing was kept: you, or who wrote that reply, asked not to take part in the learning."
NOT_YOURS = "That answer belongs to somebody else's conversation: only they can correct it."
NO_HANDOVER = "That conversation is not handed over any more."
NOT_FOR_STRANGERS = "I only answer people of this organisation."
_PATIENCE_SECONDS = 60.0
PROMPTS_TITLE = "What can I help you with?"


class Actions:
    """Listeners."""

    def __init__(self, workspace: Workspace, people: People, handovers: Handovers) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._people = people
        self._handovers = handovers

    async def hand_back(self, body: Payload) -> None:
        """The experts are done."""
        try:
            await self._handovers.hand_back(body)
        except UnknownHandover:
            self._tell(body, NO_HANDOVER)

    async def teach(self, body: Payload) -> None:
        """The message shortcut **Teach CARE**, on a colleague's reply."""
        teacher, author = inside.text(body, "user", "id"), inside.text(body, "message", "user")
        if await self._people.is_stranger(teacher, inside.text(body, "user", "team_id") or None):
            self._tell(body, NOT_FOR_STRANGERS)
        elif author in ("", self._workspace.identity.user) or inside.inner(body, "message").get("bot_id"):
            self._tell(body, NOT_A_COLLEAGUES)
        else:
            self._tell(body, await self._teach(body, teacher, author))

    async def _teach(self, body: Payload, teacher: str, author: str) -> str:
        root = inside.text(body, "message", "thread_ts") or inside.text(body, "message", "ts")
        thread = Name(self._workspace.identity.team, inside.text(body, "channel", "id"), root)
        reply = thread.beside(inside.text(body, "message", "ts"))
        words = events.plain(events.unaddressed(inside.text(body, "message", "text")), self._workspace.identity.user)
        if not words:
            return NO_WORDS
        try:
            await self._service.teach(PLATFORM, str(thread), teacher, author, words, str(reply))
        except UnknownTurn:
            return NOTHING_TO_TEACH
        except OptedOut:
            return TEACHER_OPTED_OUT
        except NotYours:
            return NOT_YOURS
        return TAUGHT

    async def promote(self, body: Payload) -> None:
        """The button under a report."""
        lora, who = self._ordered(body)
        self._workspace.spawn(self._order(body, lambda: self._service.promote(lora, who)), "a promotion")

    async def roll_back(self, body: Payload) -> None:
        """The button under a report: of the LoRA that it names, and of no other that has become live since."""
        lora, who = self._ordered(body)
        self._workspace.spawn(self._order(body, lambda: self._service.rollback(who, lora)), "a rollback")

    def _ordered(self, body: Payload) -> tuple[str, str]:
        """Which LoRA a button names, and who pressed it; somebody of another organisation is nobody's operator."""
        ours = inside.text(body, "user", "team_id") in ("", self._workspace.identity.team)
        who = f"{PLATFORM}:{inside.text(body, 'user', 'id')}" if ours else f"{PLATFORM}:stranger"
        return inside.text(events.action(body), "value"), who

    async def _order(self, body: Payload, order: Callable[[], Awaitable[Applied]]) -> None:
        """Carries out an operator's order, and says below the report what became of it. It takes as long as a smoke test."""
        user = inside.text(body, "user", "id")
        try:
            applied = await order()
        except NotOperator:
            self._tell(body, "Only operators may do that: CARE_OPERATORS lists who is one.")
            return
        except (NotAccepted, Reverted, EngineError, OSError) as error:
            log.warning("an order failed", extra={"error": type(error).__name__})
            self._tell(body, f"That did not work: {error}")
            return
        told = f"<@{user}> {words.did(applied.change)}"
        channel, ts = inside.text(body, "channel", "id"), inside.text(body, "container", "message_ts")
        await self._workspace.api.post(channel, told, thread_ts=ts or None, patience=_PATIENCE_SECONDS)
        if ts:
            text = inside.text(body, "message", "text")
            await self._workspace.api.update(channel, ts, text, _decided(body, told, applied.change), patience=_PATIENCE_SECONDS)

    async def opened(self, body: Payload) -> None:
        """`app_home_opened`: who opens the messages tab sees what may be asked."""
        event = inside.inner(body, "event")
        channel = inside.text(event, "channel")
        if inside.text(event, "tab") == "messages" and channel:
            prompts = [{"title": title, "message": message} for title, message in words.SUGGESTED_PROMPTS]
            self._workspace.spawn(self._workspace.api.prompts(channel, PROMPTS_TITLE, prompts), "suggested prompts")

    async def uninstalled(self, body: Payload) -> None:
        """`tokens_revoked`, `app_uninstalled`"""
        kind = inside.text(body, "event", "type")
        log.error("Slack took CARE's access away; install the app again and put its new tokens into the settings", extra={"event": kind})

    def _tell(self, body: Payload, told: str) -> None:
        """Somebody who pressed something hears what became of it."""
        channel, user = inside.text(body, "channel", "id"), inside.text(body, "user", "id")
        thread = inside.text(body, "container", "thread_ts") or inside.text(body, "message", "thread_ts")
        if channel and user:
            self._workspace.whisper(channel, user, told, thread_ts=thread or None)


def _decided(body: Payload, told: str, change: Change) -> list[Block]:
    """A report that was decided on: instead of its buttons who did what when, and a button for the way back."""
    shown = inside.inner(body, "message").get("blocks")
    kept = [block for block in shown if block.get("type") != "actions"] if isinstance(shown, list) else []
    promoted = change.action == "promote"
    lora = (change.before if change.action == "rollback" else change.lora_id) or ""
    return [*kept, *blocks.decided(f"{told} {change.at:%Y-%m-%d %H:%M} UTC", lora, promoted=promoted)]
