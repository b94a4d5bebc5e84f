"""Conversations that people take over: asked for, posted to the experts, their words brought to the asker, handed back."""

import logging
from collections.abc import Sequence

from bot.connectors import inside, words
from bot.connectors.posts import Posts
from bot.connectors.slack import blocks, events, notes
from bot.connectors.slack.api import Blocks
from bot.connectors.slack.bolt import Payload
from bot.connectors.slack.errors import Gone, SlackError
from bot.connectors.slack.events import Said
from bot.connectors.slack.names import PLATFORM, Name, asked_in, parse
from bot.connectors.slack.workspace import Workspace
from bot.connectors.tasks import Once
from bot.store import UnknownHandover, UnknownTurn
from bot.turns import ExpertReply, Handover, Turn

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0  # the postman comes again, and brings what is for others meanwhile
_SHOW_SECONDS = 60.0
NOBODYS = (
    "What you write here reaches nobody: no conversation belongs to this message. Is the same one posted a second time? Write under that."
)


class Handovers:
    """Both sides of a hand-over."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._once = Once()
        self._posts = Posts[str]()
        self._posted: dict[str, int] = {}  # how many messages of something long stand already

    @property
    def channel(self) -> str | None:
        """Where the experts are."""
        return self._workspace.settings.slack_handover_channel

    # The asker's side.

    async def asked_for(self, said: Said, conversation: str) -> None:
        """Somebody wrote that they want a person."""
        with self._once.trying(f"human {said.name}") as first:
            if first:
                told = await self.begin(said.user, conversation, said.name.beside(said.root))
                self._workspace.say(said.name.channel, told, notes.note(told), said.root)

    async def begin(self, user: str, conversation: str, thread: Name | None = None) -> str:
        """Hands a conversation over; what to tell the asker. Raises StoreError."""
        if self.channel is None:
            return blocks.nobody_to_hand_over_note()
        already = await self._service.handed_over(PLATFORM, conversation) is not None
        await self._service.hand_over(PLATFORM, conversation, user, None if thread is None else str(thread))
        return blocks.handed_over_note(already=already)

    async def _asker(self, handover: Handover) -> Name:
        """The thread in which they asked for a person, without a ts none; in a DM, if nobody knows it, the one they wrote in last."""
        conversation = parse(handover.conversation_id)
        if handover.thread is not None:
            return parse(handover.thread)
        if not conversation.channel.startswith("D"):
            return conversation
        try:
            turns = (await self._service.conversation(PLATFORM, handover.conversation_id, handover.user_id)).turns
        except UnknownTurn:  # they asked for a person before anything else
            return conversation.beside("")
        newest = asked_in(turns[-1])
        return newest.beside(await self._workspace.root_of(newest))

    # The experts' side.

    async def post(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        """Brings a conversation to the experts; the post's name. Raises SlackError."""
        if self.channel is None:
            return None
        link = await self._link(handover)
        post = blocks.handover_post(handover.id, handover.user_id, turns, link=link)
        ts = await self._workspace.api.post(self.channel, "Somebody asks for a person.", post, patience=_PATIENCE_SECONDS)
        name = Name((await self._workspace.known()).team, self.channel, ts)
        for told in self._posts.made(handover.id, str(name)):
            self._tell(told, name)
        return str(name)

    async def _link(self, handover: Handover) -> str | None:
        """The conversation's address, where the experts can follow it: not into a DM."""
        asked = parse(handover.conversation_id)
        if asked.channel.startswith("D"):
            return None
        try:
            return await self._workspace.api.link(asked.channel, asked.ts)
        except SlackError:
            return None

    async def relay(self, handover: Handover, turn: Turn) -> None:
        """Brings to the experts what the asker wrote since. Raises SlackError."""
        if handover.message is not None:
            post = parse(handover.message)
            said = blocks.relayed(turn.question.user_id, turn.question.text)
            await self._post_all(turn.id, post, "The asker wrote.", said)

    async def files_came(self, said: Said, conversation: str) -> None:
        """The experts hear of files that CARE can't bring them, where they have the conversation."""
        handover = await self._service.handed_over(PLATFORM, conversation)
        if handover is None or not self._once.first(f"files {said.name}"):
            return
        post, told = self._posts.name(handover.id) or handover.message, blocks.files_text(said.user, said.files)
        if post is None:
            self._posts.wait(handover.id, said.user, told)
        else:
            self._tell(told, parse(post))

    def forget(self, user: str) -> None:
        """Nothing of this person is known here any more."""
        self._posts.forget(user)

    def _tell(self, told: str, post: Name) -> None:
        self._workspace.say(post.channel, told, notes.note(told), post.ts)

    async def _post_all(self, what: str, thread: Name, text: str, messages: Sequence[Blocks]) -> None:
        """Posts something long; tried again after a failure it goes on where that was. Raises SlackError."""
        for number in range(self._posted.get(what, 0), len(messages)):
            await self._workspace.api.post(thread.channel, text, messages[number], thread.ts or None, patience=_PATIENCE_SECONDS)
            self._posted[what] = number + 1
        self._posted.pop(what, None)

    async def expert_wrote(self, said: Said) -> bool:
        """Whether a message stands under a hand-over's post; what an expert wrote there is kept for the asker.

        Raises StoreError, so that Slack brings the event again.
        """
        if said.thread is None or said.name.channel != self.channel:
            return False
        handover = await self._service.handover_at(PLATFORM, str(said.name.beside(said.thread)))
        if handover is None:
            await self._warn(said)
            return False
        text = events.plain(said.text, self._workspace.identity.user)
        brought = handover.ended_at is None and bool(text)
        if brought:
            await self._service.expert_replied(handover.id, said.user, text, str(said.name))
        if (said.files or not brought) and self._once.first(f"expert {said.name}"):
            told = words.ENDED if handover.ended_at is not None else words.NO_FILES
            self._workspace.whisper(said.name.channel, said.user, told, thread_ts=said.thread)
        return True

    async def _warn(self, said: Said) -> None:
        """A post whose receipt got lost is made again, and only the second is known: nobody must write under the first unheard."""
        me = self._workspace.identity.user
        if said.under != me or events.mentions(said.text, me):
            return
        with self._once.trying(f"expert {said.name}") as first:
            if first and not await self._service.known(PLATFORM, str(said.name.beside(said.root))):
                self._workspace.whisper(said.name.channel, said.user, NOBODYS, thread_ts=said.thread)

    async def bring(self, handover: Handover, reply: ExpertReply) -> None:
        """Brings an expert's words to the asker. Raises SlackError."""
        thread = await self._asker(handover)
        shown = [notes.marked(each) for each in blocks.expert_reply(reply.expert_id, reply.text)]
        try:
            await self._post_all(reply.message, thread, "A person answers.", shown)
        except Gone:
            said = parse(reply.message)
            under = None if handover.message is None else parse(handover.message).ts
            self._workspace.whisper(said.channel, reply.expert_id, words.ASKER_GONE, thread_ts=under)

    async def hand_back(self, body: Payload) -> None:
        """The button under the post."""
        action = events.action(body)
        post = Name(self._workspace.identity.team, inside.text(body, "channel", "id"), inside.text(body, "container", "message_ts"))
        handover = await self._service.handover_at(PLATFORM, str(post))
        if handover is None or handover.id != inside.text(action, "value") or post.channel != self.channel:
            raise UnknownHandover("there is no such hand-over in that message")
        if handover.ended_at is not None:
            return
        with self._once.trying(f"back {handover.id}") as first:
            if first:
                await self._service.hand_back(handover.id)
                self._workspace.spawn(self._show_ended(handover, post, inside.text(body, "user", "id")), "the end of a hand-over")

    async def _show_ended(self, handover: Handover, post: Name, expert: str) -> None:
        """Tells the asker, and takes the button away."""
        thread = await self._asker(handover)
        self._workspace.say(thread.channel, blocks.handed_back_note(), notes.note(blocks.handed_back_note()), thread.ts or None)
        turns = await self._service.turns_of(handover)
        ended = blocks.handover_post(handover.id, handover.user_id, turns, ended_by=expert)
        await self._workspace.api.update(post.channel, post.ts, "Handed back.", ended, patience=_SHOW_SECONDS)
