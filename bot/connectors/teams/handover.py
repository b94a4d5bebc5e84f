"""Conversations that people take over: asked for, posted to the experts, their words brought to the asker, handed back."""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from bot.connectors import words
from bot.connectors.posts import Posts
from bot.connectors.tasks import Once
from bot.connectors.teams import cards, shapes
from bot.connectors.teams.address import Address, Kind
from bot.connectors.teams.buttons import Outcome, Verb
from bot.connectors.teams.errors import Gone, TeamsError
from bot.connectors.teams.events import Said
from bot.connectors.teams.names import PLATFORM, Name, channel_of, is_group, parse, root_of
from bot.connectors.teams.presses import Press
from bot.connectors.teams.removals import removals
from bot.connectors.teams.sdk import InvokeRefused
from bot.connectors.teams.wording import worded
from bot.connectors.teams.workspace import Workspace
from bot.turns import ExpertReply, Handover, Turn

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

NOBODY = "Nobody is set up here to take over conversations. Please ask your support team directly."
BACK = "I'm back: ask me again. Write `human` if you want a person once more."
NOBODYS = (
    "What you write here reaches nobody: no conversation belongs to this message. Is the same one posted a second time? Write under that. "
    "To ask me something yourself, begin a new post."
)
NO_WORDS = "Write your answer first, then press Send to the asker."
NOT_HERE = "That conversation is not handed over any more."
SENT = "Sent to the asker."
YOU_ARE_IT = "This conversation was handed over to you: what you write here with a mention of me goes to the asker."
CORRECTED = "The asker gets what it says now as your correction; what I learned from it before is replaced."
DELETED = "I learn nothing from what you deleted. If the asker has it already, it stays there: write them what is right."
FOR_ALL = "In this chat that counts for everybody."
UNREACHED = "I could not reach the people who take over yet. I keep trying."
_SUMMARY = "Somebody asks for a person."
_UNREACHED_AFTER = 3  # failures
_NAMELESS = "unnamed-"  # with the hand-over's id: the post's, where Teams did not say the post's own
_PATIENCE_SECONDS = 5.0  # the postman comes again, and brings what is for others meanwhile
_SHOW_SECONDS = 60.0
_MOST_NAMES = 1000


class Handovers:
    """Both sides of a hand-over."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._once = Once()
        self._posts = Posts[Json]()
        self._posted: dict[str, list[str]] = {}  # which messages of something long stand already
        self._failures: dict[str, int] = {}  # to post something to the experts
        self._names: OrderedDict[str, str] = OrderedDict()  # of people; Teams says them with what they write

    @property
    def channel(self) -> str | None:
        """Where the experts are."""
        return self._workspace.settings.teams_handover_channel

    def verbs(self) -> Mapping[str, Verb]:
        """What the buttons of the post do."""
        return {cards.SEND: self._send, cards.HAND_BACK: self._hand_back}

    # The asker's side.

    async def asked_for(self, said: Said, conversation: str) -> None:
        """Somebody wrote that they want a person."""
        with self._once.trying(f"human {said.event_id}") as first:
            if first:
                self._know(said.user, said.user_name)
                self._note(said.name.place, await self._begin(said, conversation))

    async def _begin(self, said: Said, conversation: str) -> str:
        """Hands a conversation over; what to tell the asker. Raises StoreError."""
        if self.channel is None:
            return NOBODY
        if await self._below(said) is not None:
            return YOU_ARE_IT
        already = await self._service.handed_over(PLATFORM, conversation) is not None
        await self._service.hand_over(PLATFORM, conversation, said.user)
        return handed_over(said.kind, already=already)

    # The experts' side.

    async def post(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        """Brings a conversation to the experts; the post's name. Raises TeamsError."""
        if self.channel is None:
            return None
        shape = cards.message(self._made(handover, turns), _SUMMARY)
        try:
            begun = await self._workspace.begin(self.channel, shape, patience=_PATIENCE_SECONDS)
        except TeamsError:
            self._failed(handover)
            raise
        name = begun or Name(self.channel, f"{_NAMELESS}{handover.id}")
        self._failures.pop(handover.id, None)
        if begun is not None:
            self._workspace.spawn(self._posted_as(begun, handover, turns), "what the experts see")
        for told in self._posts.made(handover.id, str(name)):
            self._workspace.say(name.place, told)
        return str(name)

    def _failed(self, handover: Handover) -> None:
        """Who waits is told once that nobody knows of it yet."""
        failures = self._failures[handover.id] = self._failures.get(handover.id, 0) + 1
        if len(self._failures) > _MOST_NAMES:
            del self._failures[next(iter(self._failures))]
        if failures == _UNREACHED_AFTER:
            place = _asker(handover)
            self._note(place, f"{UNREACHED} {_go_on(in_channel=root_of(place) is not None)}")

    async def relay(self, handover: Handover, turn: Turn) -> None:
        """Brings to the experts what the asker wrote since. Raises TeamsError."""
        if handover.message is not None:
            said = worded(f"{self._called(turn.question.user_id, (turn,))} wrote:", turn.question.text)
            ids = await self._post_all(turn.id, await self._address(parse(handover.message).place), said)
            for each in ids:
                self._workspace.spawn(self._shown(parse(handover.message).beside(each), handover, turn), "what the experts see")

    async def _shown(self, name: Name, handover: Handover, turn: Turn | None) -> None:
        """What it shows may be deleted later, or was meanwhile."""
        if not await self._service.shown_to_experts(PLATFORM, str(name), handover, turn):
            await removals(self._workspace).take_away(str(name))

    async def _posted_as(self, name: Name, handover: Handover, turns: Sequence[Turn]) -> None:
        """What was deleted while it was posted is no more on the card. What was edited meanwhile is relayed, like all that comes later."""
        await self._shown(name, handover, None)
        left = await self._service.turns_of(handover)
        if {turn.id for turn in turns} - {turn.id for turn in left} - {turn.question.replaces for turn in left}:
            await self._show(name, await self._card(handover), _SUMMARY)

    async def question_deleted(self, conversation: str) -> None:
        """The experts' posts show what is left of a conversation."""
        for handover in await self._service.handovers_of(PLATFORM, conversation):
            if handover.message is not None and _NAMELESS not in handover.message:
                card = await self._card(handover, ended_by=None if handover.ended_at is None else "an expert")
                self._workspace.spawn(self._show(parse(handover.message), card, _SUMMARY), "a deletion, to experts")

    async def files_came(self, said: Said, conversation: str) -> None:
        """The experts hear of files that CARE can't bring them, where they have the conversation."""
        handover = await self._service.handed_over(PLATFORM, conversation)
        if handover is None or not self._once.first(f"files {said.event_id}"):
            return
        post = self._posts.name(handover.id) or handover.message
        if post is None:
            self._posts.wait(handover.id, said.user, _of_files(said))
        else:
            self._workspace.say(parse(post).place, _of_files(said))

    async def expert_wrote(self, said: Said) -> bool:
        """Whether a message stands under a hand-over's post; what an expert said there to CARE is kept. Raises StoreError."""
        if said.value is not None and not said.text:
            return False  # a button, from a client that sends it as a message
        handover = await self._below(said)
        if handover is None:
            return await self._warned(said)
        if said.mentioned or (
            said.edition and await self._service.expert_said(PLATFORM, str(said.name))
        ):  # everything else there the experts say to each other
            await self._hear_expert(said, handover)
        return True

    async def _below(self, said: Said) -> Handover | None:
        """The hand-over under whose post a message stands: in its thread, or in a group chat as a reply to it."""
        root = root_of(said.name.place) or said.reply_to
        if self.channel is None or not root or channel_of(said.name.place) != channel_of(self.channel):
            return None
        return await self._service.handover_at(PLATFORM, f"{said.name.place}/{root}")

    async def _warned(self, said: Said) -> bool:
        """A post whose receipt got lost is made again, and only the second is known: nobody must write under the first unheard."""
        place = said.name.place
        theirs = self.channel is not None and channel_of(place) == channel_of(self.channel) and root_of(place) not in (None, said.name.id)
        if not (theirs and said.mentioned) or await self._service.known(PLATFORM, place):
            return False
        if self._once.first(f"expert {said.event_id}"):
            self._note(place, NOBODYS)
        return True

    async def expert_deleted(self, name: Name) -> bool:
        """Whether a message that was deleted was an expert's to an asker; then it is withdrawn. Raises StoreError."""
        if not await self._service.expert_deleted(PLATFORM, str(name)):
            return False
        if self._once.first(f"deleted {name}"):
            self._note(name.place, DELETED)
        return True

    async def _hear_expert(self, said: Said, handover: Handover) -> None:
        brought = handover.ended_at is None and bool(said.text)
        if brought:
            self._know(said.user, said.user_name)
            again = bool(said.edition) and await self._service.expert_said(PLATFORM, str(said.name))
            await self._service.expert_replied(handover.id, said.user, said.text, str(said.name), said.edition)
            if again and self._once.first(f"corrected {said.event_id}"):
                self._note(said.name.place, CORRECTED)
        if (said.files or not brought) and self._once.first(f"expert {said.event_id}"):
            self._note(said.name.place, words.ENDED if handover.ended_at is not None else words.NO_FILES)

    async def _send(self, press: Press) -> Outcome:
        """What an expert wrote into the card. The same press again is brought once."""
        handover = await self._pressed(press)
        text = press.words(cards.WORDS)
        if handover.ended_at is not None:
            return Outcome(words.ENDED)
        if text is None:
            return Outcome(NO_WORDS)
        self._know(press.by.user, press.by.user_name)
        await self._service.expert_replied(handover.id, press.by.user, text, f"{press.by.place}/{press.by.event_id}")
        if self._once.first(f"sent {press.by.event_id}"):
            for shape in worded(f"{press.by.user_name} answered the asker:", text):
                self._workspace.say(press.by.place, shape)
        return Outcome(SENT, await self._card(handover, told=f"{SENT[:-1]}: {cards.cut(text, 200)}"))

    async def _pressed(self, press: Press) -> Handover:
        """The hand-over whose post was pressed: the message says which, and the card must say the same. Raises InvokeRefused."""
        wanted, place = press.text(cards.HANDOVER), press.by.place
        root = root_of(place) or (None if press.by.message is None else press.by.message.id)
        handover = None if root is None else await self._service.handover_at(PLATFORM, f"{place}/{root}")
        if handover is None:  # only who can see the card knows that id
            handover = await self._service.handover_at(PLATFORM, f"{place}/{_NAMELESS}{wanted}")
        ours = self.channel is not None and channel_of(place) == channel_of(self.channel)
        if not ours or handover is None or handover.id != wanted:
            raise InvokeRefused(404, NOT_HERE)
        return handover

    async def bring(self, handover: Handover, reply: ExpertReply) -> None:
        """Brings an expert's words to the asker. Raises TeamsError."""
        does = "corrects" if await self._service.corrects(PLATFORM, reply) else "answers"
        answers = worded(f"{self._names.get(reply.expert_id, 'A person')} {does}:", reply.text)
        try:
            await self._post_all(reply.message, await self._address(_asker(handover)), answers)
        except Gone:
            self._note(parse(reply.message).place, words.ASKER_GONE)

    async def _hand_back(self, press: Press) -> Outcome:
        """The experts are done."""
        handover = await self._pressed(press)
        if handover.ended_at is None:
            with self._once.trying(f"back {handover.id}") as first:
                if first:
                    await self._service.hand_back(handover.id)
                    self._note(_asker(handover), BACK)
        card = await self._card(handover, ended_by=press.by.user_name)
        post = press.by.message if handover.message is None or _NAMELESS in handover.message else parse(handover.message)
        if post is not None:
            self._workspace.spawn(self._show(post, card, "Handed back."), "the end of a hand-over")
        return Outcome("Handed back.", card)

    async def _show(self, post: Name, card: Json, summary: str) -> None:
        """To all experts."""
        shape = cards.message(card, summary)
        await self._workspace.api.update(await self._address(post.place), post.id, shape, patience=_SHOW_SECONDS)

    async def _card(self, handover: Handover, *, told: str = "", ended_by: str | None = None) -> Json:
        return self._made(handover, await self._service.turns_of(handover), told=told, ended_by=ended_by)

    def _made(self, handover: Handover, turns: Sequence[Turn], *, told: str = "", ended_by: str | None = None) -> Json:
        threaded = self.channel is not None and not is_group(self.channel)
        return cards.handover(handover.id, self._called(handover.user_id, turns), turns, told=told, ended_by=ended_by, threaded=threaded)

    def _called(self, user: str, turns: Sequence[Turn]) -> str:
        """A person as Teams shows them, where it said so with what they wrote."""
        names = [turn.question.user_name for turn in turns if turn.question.user_id == user and turn.question.user_name]
        return names[-1] if names else self._names.get(user) or "Somebody"

    async def _post_all(self, what: str, to: Address, messages: Sequence[Json]) -> list[str]:
        """Posts something long, and gives the ids; tried again after a failure it goes on where that was. Raises TeamsError."""
        ids = self._posted.setdefault(what, [])
        for message in messages[len(ids) :]:
            ids.append(await self._workspace.api.post(to, message, patience=_PATIENCE_SECONDS))
        del self._posted[what]
        return [each for each in ids if each]

    async def _address(self, place: str) -> Address:
        return await self._workspace.address_of(place)

    def _note(self, place: str, text: str) -> None:
        self._workspace.say(place, shapes.note(text))

    def forget(self, user: str) -> None:
        """Nothing of this person is known here any more."""
        self._names.pop(user, None)
        self._posts.forget(user)

    def _know(self, user: str, name: str | None) -> None:
        if name:
            self._names[user] = name
            self._names.move_to_end(user)
            if len(self._names) > _MOST_NAMES:
                self._names.popitem(last=False)


def handed_over(kind: Kind, *, already: bool) -> str:
    """Tells the asker what happens next."""
    begun = (
        "A person already has this conversation. They answer here"
        if already
        else "I've passed this conversation on to a person. They answer here"
    )
    told = f"{begun}, and I stay silent until they hand it back to me. {_go_on(in_channel=kind == 'channel')}"
    for_all = f" {FOR_ALL}" if kind == "groupChat" else ""
    return f"{told}{for_all} In an emergency, call your local emergency number."


def _go_on(*, in_channel: bool) -> str:
    return "To go on with me meanwhile, mention me in a new post." if in_channel else "Write `new` to go on with me meanwhile."


def _of_files(said: Said) -> Json:
    what = "a file" if said.files == 1 else f"{said.files} files"
    told = f"sent {what} that I can't bring here. Ask them to send it to you directly, or to describe it."
    return worded(f"{said.user_name or 'The asker'} {told}", "")[0]


def _asker(handover: Handover) -> str:
    """The chat or thread in which they asked."""
    return handover.conversation_id.partition("/new/")[0]
