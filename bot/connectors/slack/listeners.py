"""What people write, as questions: who is meant, which conversation it belongs to, what became of it. Knows no answer.

A question is committed before its event is acknowledged. The same message comes as `app_mention` and as `message`, and again
after every lost acknowledgement: the store's unique keys make one question of them.
"""

import logging

from bot.connectors import inside, words
from bot.connectors.delivery import Deliveries
from bot.connectors.slack import blocks, events, notes
from bot.connectors.slack.bolt import Payload
from bot.connectors.slack.events import Said
from bot.connectors.slack.handover import Handovers
from bot.connectors.slack.names import PLATFORM, Name
from bot.connectors.slack.people import People
from bot.connectors.slack.removals import removals
from bot.connectors.slack.workspace import Workspace
from bot.connectors.slack.writer import Writer
from bot.connectors.tasks import Once
from bot.connectors.wishes import says_more, wishes_for_a_person
from bot.store import Forgotten, NotYours
from bot.turns import Question, now

log = logging.getLogger(__name__)

NOT_HERE = "I don't answer in this channel. Ask me in our direct messages instead."


class Listeners:
    """Events of messages."""

    def __init__(self, workspace: Workspace, people: People, deliveries: Deliveries[Writer], handovers: Handovers) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._people = people
        self._deliveries = deliveries
        self._handovers = handovers
        self._removals = removals(workspace)
        self._told = Once()

    async def mention(self, body: Payload) -> None:
        """`app_mention`: somebody wrote CARE's name."""
        said = events.said(body, self._workspace.identity.team)
        if said is None or await self._people.stranger(said):
            return
        if said.edition and await self._service.asked_in(PLATFORM, str(said.name)) is not None:
            return  # an edited question; `message_changed` says so too, with what stood there before
        await self._heard(said, mentioned=True)

    async def message(self, body: Payload) -> None:
        """`message`, of every kind."""
        event = inside.inner(body, "event")
        subtype = inside.text(event, "subtype")
        if subtype == "message_deleted" or (subtype == "message_changed" and inside.text(event, "message", "subtype") == "tombstone"):
            await self._deleted(event)
        elif subtype == "message_changed":
            await self._edited(body)
        elif subtype in events.PEOPLES:
            said = events.said(body, self._workspace.identity.team)
            if said is not None and not await self._people.stranger(said):
                await self._heard(said, mentioned=events.mentions(said.text, self._workspace.identity.user))

    async def stopped(self, body: Payload) -> None:
        """`agent_session_stopped`: Slack's Stop button."""
        event = inside.inner(body, "event")
        where = inside.text(event, "channel"), inside.text(event, "thread_ts")
        for turn_id in self._deliveries.stop(lambda writer: (writer.channel, writer.thread) == where):
            self._service.cancel(turn_id)

    async def _heard(self, said: Said, *, mentioned: bool) -> None:
        if await self._handovers.expert_wrote(said):
            return
        if not (said.direct or mentioned or await self._goes_on(said)):
            return
        if not self._workspace.allows(said.name.channel):
            if mentioned and self._told.first(str(said.name)):
                self._workspace.whisper(said.name.channel, said.user, NOT_HERE, thread_ts=said.thread)
            return
        self._workspace.remember_root(said.name, said.root)
        text = events.plain(said.text, self._workspace.identity.user)
        conversation = await self._conversation(said)
        if text and await self._heed(said, text, conversation):
            await self._ask(said, text, conversation)
        elif not text and await self._service.handed_over(PLATFORM, conversation) is None and self._told.first(str(said.name)):
            self._note(said, blocks.attachments_text(asked=False) if said.files else words.NOTHING_ASKED)
        if said.files:
            await self._handovers.files_came(said, conversation)

    async def _goes_on(self, said: Said) -> bool:
        """Whether a message in a thread is a follow-up: CARE is in that thread, and nobody else is spoken to."""
        if said.thread is None or events.spoken_to(said.text) is not None:
            return False
        return await self._service.known(PLATFORM, str(said.name.beside(said.thread)))

    async def _conversation(self, said: Said) -> str:
        """In a channel its thread. In a DM the one that its thread belongs to, or that goes on there."""
        own = str(said.name.beside(said.root))
        if not said.direct:
            return own
        if said.thread is not None:
            return await self._of_thread(said.name.beside(said.thread)) or own
        newest = await self._service.newest(PLATFORM, said.name.place)
        if newest is None:
            await self._service.begin_new(PLATFORM, said.name.place, own)
        return newest or own

    async def _of_thread(self, root: Name) -> str | None:
        """The conversation that a DM's thread belongs to. One of no question is the experts', while they have what goes on there."""
        turn = await self._service.asked_in(PLATFORM, str(root)) or await self._service.answered_by(PLATFORM, str(root))
        if turn is not None:
            return turn.question.conversation_id
        handover = await self._service.handed_over_in(PLATFORM, str(root))
        newest = await self._service.newest(PLATFORM, root.place)
        if handover is None and newest is not None:
            handover = await self._service.handed_over(PLATFORM, newest)
        return None if handover is None else handover.conversation_id

    async def _heed(self, said: Said, text: str, conversation: str) -> bool:
        """Hands over where a person is wished for; whether there is more in the words than that wish."""
        wish = wishes_for_a_person(text)
        if wish:
            await self._handovers.asked_for(said, conversation)
        return not wish or says_more(text)

    async def _ask(self, said: Said, text: str, conversation: str) -> None:
        try:
            _, new = await self._service.ask(self._question(said, text, conversation))
        except (Forgotten, NotYours) as error:
            log.info("a message was not taken", extra={"event": said.event_id, "error": type(error).__name__})
            return
        if new and said.files:
            self._note(said, blocks.attachments_text(asked=True))

    def _question(self, said: Said, text: str, conversation: str) -> Question:
        return Question(
            platform=PLATFORM,
            event_id=said.event_id,
            conversation_id=conversation,
            user_id=said.user,
            text=text,
            asked_at=now(),
            private=said.direct,
            user_name=self._people.name(said.user),
            message=str(said.name),
            edition=said.edition,
        )

    def _note(self, said: Said, text: str) -> None:
        self._workspace.say(said.name.channel, text, notes.note(text), said.root)

    async def _edited(self, body: Payload) -> None:
        """Somebody's question says something else now; previews, streams and votes change messages too, and say nothing new."""
        message = inside.inner(body, "event", "message")
        said = events.said(body, self._workspace.identity.team, message)
        if said is None or not said.edition or said.text == inside.text(body, "event", "previous_message", "text"):
            return
        if await self._people.stranger(said) or not self._workspace.allows(said.name.channel):
            return
        text = events.plain(said.text, self._workspace.identity.user)
        self._workspace.remember_root(said.name, said.root)
        try:
            before = await self._service.asked_in(PLATFORM, str(said.name))
            if text and before is not None:
                changed = before.question.is_changed_by(text, said.edition)
                if changed and await self._heed(said, text, before.question.conversation_id):
                    await self._service.edit(self._question(said, text, ""))
            elif said.direct or events.mentions(said.text, self._workspace.identity.user):  # only now CARE is asked, or hears of it
                await self._heard(said, mentioned=True)
        except (Forgotten, NotYours) as error:
            log.info("an edit was not taken", extra={"event": said.event_id, "error": type(error).__name__})

    async def _deleted(self, event: Payload) -> None:
        """A message is gone: what was asked in it, and what was answered to it, too."""
        ts = inside.text(event, "deleted_ts") or inside.text(event, "previous_message", "ts") or inside.text(event, "message", "ts")
        channel = inside.text(event, "channel")
        if not (ts and channel):
            return
        name = Name(self._workspace.identity.team, channel, ts)
        answered = await self._service.answered_by(PLATFORM, str(name))
        if answered is not None:
            self._service.cancel(answered.id)  # nobody reads it any more
        elif await self._may_have_asked(event, name):
            for carrier in await self._service.forget_message(PLATFORM, str(name)):
                self._workspace.spawn(self._removals.take_away(carrier), "the answer to a deleted question")

    async def _may_have_asked(self, event: Payload, name: Name) -> bool:
        """Whether a deleted message is one that CARE was asked in, or will be: its event may still be on its way."""
        before = inside.inner(event, "previous_message")
        if before.get("bot_id"):
            return False
        if inside.text(event, "channel_type") == "im" or events.mentions(inside.text(before, "text"), self._workspace.identity.user):
            return True
        if await self._service.asked_in(PLATFORM, str(name)) is not None:
            return True
        thread = inside.text(before, "thread_ts")
        return bool(thread) and await self._service.known(PLATFORM, str(name.beside(thread)))
