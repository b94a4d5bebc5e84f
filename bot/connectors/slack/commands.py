"""`/care`: what somebody can ask of CARE itself. Answers with the acknowledgement, so only they see it."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from bot.connectors import inside, words
from bot.connectors.slack import blocks, notes
from bot.connectors.slack.bolt import Payload
from bot.connectors.slack.handover import Handovers
from bot.connectors.slack.names import PLATFORM, Name, parse
from bot.connectors.slack.people import People
from bot.connectors.slack.workspace import Workspace
from bot.store import StoreError
from model.errors import EngineError

log = logging.getLogger(__name__)

NEW_IN_CHANNEL = "In a channel every thread is a conversation of its own: mention me in a new message to begin one."
OPTED_OUT = "From now on nothing that you write or vote is used for training. What you wrote is kept; `/care forget me` erases it."
OPTED_IN = "From now on what you write and vote may be used for training. `/care opt out` ends that."
NO_CONVERSATION = "You have no conversation with me here yet. Ask me something first, or write `human` in our direct messages."
NOT_FOR_STRANGERS = "I only answer people of this organisation."
FORGOTTEN = "Everything that I kept of you is erased. Messages in Slack itself stay; delete those yourself."
NOT_YET_FORGOTTEN = (
    "I could not erase everything at once. Please send `/care forget me` again in a few minutes; "
    "the people who run CARE find the reason in its log."
)
EXPORT_COMES = "I collect everything that I keep of you and send it to our direct messages."
EXPORT_TITLE = "Everything that CARE keeps of you"

Verb = Callable[[Payload], Awaitable[str | None]]


class Commands:
    """Listeners to the slash command and its dialog."""

    def __init__(self, workspace: Workspace, people: People, handovers: Handovers) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._people = people
        self._handovers = handovers
        self._verbs: Mapping[str, Verb] = {
            "": self._help,
            "help": self._help,
            "new": self._new,
            "status": self._status,
            "export": self._export,
            "forget me": self._forget,
            "forget": self._forget,
            "opt out": self._opt_out,
            "opt in": self._opt_in,
            "human": self._human,
        }

    async def care(self, body: Payload) -> dict[str, object] | None:
        """`/care …`"""
        said = " ".join(inside.text(body, "text").lower().replace("-", " ").split())
        if await self._people.is_stranger(inside.text(body, "user_id"), inside.text(body, "team_id") or None):
            return {"text": NOT_FOR_STRANGERS}
        verb = self._verbs.get(said)
        told = f"I don't know that command.\n{blocks.help_text()}" if verb is None else await verb(body)
        return None if told is None else {"response_type": "ephemeral", "text": told, "blocks": notes.note(told)}

    async def _help(self, body: Payload) -> str:
        return blocks.help_text()

    async def _new(self, body: Payload) -> str:
        place = self._place(body)
        if not place.channel.startswith("D"):
            return NEW_IN_CHANNEL
        await self._service.begin_new(PLATFORM, place.place, str(place))
        return words.NEW_BEGUN

    def _place(self, body: Payload) -> Name:
        """Where the command was given, as a conversation that could begin now."""
        return Name(self._workspace.identity.team, inside.text(body, "channel_id"), f"{time.time():.6f}")

    async def _status(self, body: Payload) -> str:
        return words.status_text(self._service.status())

    async def _opt_out(self, body: Payload) -> str:
        await self._service.opt_out(PLATFORM, inside.text(body, "user_id"))
        return OPTED_OUT

    async def _opt_in(self, body: Payload) -> str:
        await self._service.opt_in(PLATFORM, inside.text(body, "user_id"))
        return OPTED_IN

    async def _human(self, body: Payload) -> str:
        user, place = inside.text(body, "user_id"), self._place(body)
        conversation = await self._conversation(user, place)
        if conversation is None:
            return NO_CONVERSATION
        told = await self._handovers.begin(user, str(conversation))
        if not place.channel.startswith("D"):  # the others in the thread wonder why it falls silent
            self._workspace.say(conversation.channel, told, notes.note(told), conversation.ts)
        return told

    async def _conversation(self, user: str, place: Name) -> Name | None:
        """The one that somebody means: what goes on in a DM; in a channel the thread they asked in last."""
        if place.channel.startswith("D"):
            newest = await self._service.newest(PLATFORM, place.place)
            if newest is None:
                await self._service.begin_new(PLATFORM, place.place, str(place))
            return place if newest is None else parse(newest)
        heads = await self._service.conversations(PLATFORM, user)
        return next((parse(head.id) for head in heads if head.id.startswith(f"{place.place}/")), None)

    async def _export(self, body: Payload) -> str:
        self._workspace.spawn(self._send_export(inside.text(body, "user_id")), "an export")
        return EXPORT_COMES

    async def _send_export(self, user: str) -> None:
        found = await self._service.export(PLATFORM, user)
        channel = await self._workspace.api.direct(user)
        await self._workspace.api.upload(channel, "care-export.json", found.encode(), EXPORT_TITLE)

    async def _forget(self, body: Payload) -> None:
        """Asked before it is done: there is no way back."""
        await self._workspace.api.open_view(inside.text(body, "trigger_id"), blocks.forget_modal())

    async def forget(self, body: Payload) -> None:
        """The dialog was confirmed: the wish is kept at once, and they are told once nothing is left."""
        user = inside.text(body, "user", "id")
        if user:
            await self._service.wish_to_be_forgotten(PLATFORM, user)
            self._workspace.spawn(self._erase(user), "the erasure of a person")

    async def _erase(self, user: str) -> None:
        told = FORGOTTEN
        try:
            await self._service.forget(PLATFORM, user)
        except (StoreError, EngineError, OSError) as error:
            log.error("somebody could not be forgotten at once", extra={"error": f"{type(error).__name__}: {error}"})
            told = NOT_YET_FORGOTTEN
        self._people.forget(user)
        self._handovers.forget(user)
        channel = await self._workspace.api.direct(user)
        await self._workspace.api.post(channel, told, notes.note(told), patience=60.0)
