"""What people write, as questions: who is meant, which conversation it belongs to, what became of it. Knows no answer.

A question is committed before its activity is acknowledged. The same message comes again after every lost acknowledgement, now and
then under another id: the store's unique keys make one question of them.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from bot.connectors import inside, words
from bot.connectors.inside import Json
from bot.connectors.tasks import Once
from bot.connectors.teams import events, shapes
from bot.connectors.teams.address import Address
from bot.connectors.teams.errors import Gone, Refused
from bot.connectors.teams.events import Said
from bot.connectors.teams.names import PLATFORM, Name, root_of
from bot.connectors.teams.removals import removals
from bot.connectors.teams.workspace import Workspace
from bot.connectors.wishes import says_more, wishes_for_a_person
from bot.store import Forgotten, NotYours
from bot.turns import Question, now

log = logging.getLogger(__name__)

_WELCOME_SECONDS = 60.0

Hears = Callable[[Said], Awaitable[bool]]


class Experts(Protocol):
    """Who takes conversations over."""

    async def asked_for(self, said: Said, conversation: str) -> None:
        """Somebody wrote that they want a person."""
        ...

    async def files_came(self, said: Said, conversation: str) -> None:
        """Somebody sent files, which CARE can't bring anybody."""
        ...

    async def expert_wrote(self, said: Said) -> bool:
        """Whether a message stands under a hand-over's post, and is none for CARE."""
        ...

    async def expert_deleted(self, name: Name) -> bool:
        """Whether a message that was deleted was an expert's to an asker."""
        ...

    async def question_deleted(self, conversation: str) -> None:
        """Somebody deleted a question: the experts see it no more."""
        ...


class Listeners:
    """Activities of messages, and of CARE's coming into a chat. `first` hear what may be no question, and say whether it was theirs."""

    def __init__(self, workspace: Workspace, experts: Experts, first: Sequence[Hears]) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._experts = experts
        self._first = first
        self._removals = removals(workspace)
        self._told = Once()

    async def message(self, activity: Json) -> None:
        """`message`: somebody wrote, or sent a card."""
        said = events.said(activity)
        if said is not None:
            await self._workspace.reached(activity)
            await self._heard(said)

    async def edited(self, activity: Json) -> None:
        """`messageUpdate`: somebody's question says something else now."""
        said = events.said(activity, edited=True)
        if said is None:
            return
        await self._workspace.reached(activity)
        try:
            before = await self._service.asked_in(PLATFORM, str(said.name))
            if before is None:
                await self._heard(said)  # only now CARE is asked, or hears of it
            elif said.text:
                changed = before.question.is_changed_by(said.text, said.edition)
                if changed and await self._heed(said, before.question.conversation_id):
                    await self._service.edit(self._question(said, said.text, ""))
        except (Forgotten, NotYours) as error:
            log.info("an edit was not taken", extra={"message": str(said.name), "error": type(error).__name__})

    async def deleted(self, activity: Json) -> None:
        """`messageDelete`: what was asked in it, and what was answered to it, is gone too."""
        name = events.name(activity)
        if name is None or await self._experts.expert_deleted(name):
            return
        answered = await self._service.answered_by(PLATFORM, str(name))
        if answered is not None:
            self._service.cancel(answered.id)  # nobody reads it any more
            return
        asked = await self._service.asked_in(PLATFORM, str(name))
        for carrier in await self._service.forget_message(PLATFORM, str(name)):
            self._workspace.spawn(self._removals.take_away(carrier), "the answer to a deleted question")
        if asked is not None:
            await self._experts.question_deleted(asked.question.conversation_id)

    async def installed(self, activity: Json) -> None:
        """`installationUpdate`, add: CARE came into a chat or a team, and says hello once."""
        try:
            place = Address.of(activity).place
        except ValueError:
            return
        if await self._service.address(PLATFORM, place) is not None:
            return
        address = await self._workspace.reached(activity, greet=True)
        self._workspace.spawn(self._welcome(address), "a welcome")

    async def greet(self) -> None:
        """Says the hellos that a stop came before, except to those who have come to know CARE since."""
        for each in await self._service.unwelcomed(PLATFORM):
            address = Address.parse(each)
            if address.user_id is not None and await self._service.introduction(PLATFORM, address.user_id) is None:
                await self._service.welcomed(PLATFORM, address.place)
            else:
                self._workspace.spawn(self._welcome(address), "a welcome")

    async def joined(self, activity: Json) -> None:
        """`conversationUpdate`: comes with every installation too, which is heard there."""

    async def left(self, activity: Json) -> None:
        """`installationUpdate`, remove: what is still to be said there finds nobody, and ends by itself. Coming back, CARE says hello."""
        log.info("CARE was removed from a chat")
        place = inside.text(activity, "conversation", "id")
        await self._service.out_of_reach(PLATFORM, place)

    async def _welcome(self, to: Address) -> None:
        notice, human = self._service.notice(), self._workspace.has_experts
        shape = shapes.welcome(notice, human=human) if to.private else shapes.group_welcome(notice)
        with suppress(Gone, Refused):  # nobody there can be greeted
            await self._workspace.api.post(to, shape, patience=_WELCOME_SECONDS)
        await self._service.welcomed(PLATFORM, to.place)
        if to.user_id is not None:
            await self._service.introduced(PLATFORM, to.user_id)

    async def _heard(self, said: Said) -> None:
        spoken_to = said.private or said.mentioned or said.value is not None
        if spoken_to:
            for hears in self._first:
                if await hears(said):
                    return
        if await self._experts.expert_wrote(said) or not (spoken_to or await self._goes_on(said)):
            return
        if said.value is not None and not said.text:
            return  # a card that nobody knows any more
        await self._asked(said)

    async def _goes_on(self, said: Said) -> bool:
        """Whether a message in a thread is a follow-up: this person has asked CARE something there, and speaks to nobody else."""
        if root_of(said.name.place) is None or said.others:
            return False
        return await self._service.known(PLATFORM, said.name.place, said.user)

    async def _asked(self, said: Said) -> None:
        conversation = await self._workspace.conversation(said.name.place)
        if said.text and await self._heed(said, conversation):
            await self._ask(said, conversation)
        elif not said.text and await self._service.handed_over(PLATFORM, conversation) is None and self._told.first(said.event_id):
            self._note(said, shapes.files_declined(asked=False) if said.files else words.NOTHING_ASKED)
        if said.files:
            await self._experts.files_came(said, conversation)

    async def _heed(self, said: Said, conversation: str) -> bool:
        """Hands over where a person is wished for; whether there is more in the words than that wish."""
        wish = wishes_for_a_person(said.text)
        if wish:
            await self._experts.asked_for(said, conversation)
        return not wish or says_more(said.text)

    async def _ask(self, said: Said, conversation: str) -> None:
        try:
            _, new = await self._service.ask(self._question(said, said.text, conversation))
        except (Forgotten, NotYours) as error:
            log.info("a message was not taken", extra={"message": str(said.name), "error": type(error).__name__})
            return
        if new and said.files:
            self._note(said, shapes.files_declined(asked=True))

    def _question(self, said: Said, text: str, conversation: str) -> Question:
        return Question(
            platform=PLATFORM,
            event_id=said.event_id,
            conversation_id=conversation,
            user_id=said.user,
            text=text,
            asked_at=now(),
            private=said.private,
            user_name=said.user_name,
            message=str(said.name),
            edition=said.edition,
        )

    def _note(self, said: Said, text: str) -> None:
        self._workspace.say(said.name.place, shapes.note(text))
