"""What somebody can ask of CARE itself, in a word: `help`, `new`, `export`, `forget me` and others. Knows no question's answer."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from bot.connectors import words
from bot.connectors.tasks import Once
from bot.connectors.teams import cards, shapes
from bot.connectors.teams.address import Address
from bot.connectors.teams.buttons import Outcome, Verb
from bot.connectors.teams.events import Said
from bot.connectors.teams.files import Files
from bot.connectors.teams.handover import FOR_ALL, Handovers
from bot.connectors.teams.names import PLATFORM, asked_in
from bot.connectors.teams.presses import Press
from bot.connectors.teams.removals import removals
from bot.connectors.teams.sdk import InvokeRefused
from bot.connectors.teams.workspace import Workspace
from bot.store import StoreError
from model.errors import EngineError

log = logging.getLogger(__name__)

NEW_IN_CHANNEL = "In a channel every thread is a conversation of its own: mention me in a new post to begin one."
OPTED_OUT = "From now on nothing that you write or vote is used for training. What you wrote is kept; `forget me` erases it."
OPTED_IN = "From now on what you write and vote may be used for training. `opt out` ends that."
FORGETTING = (
    "I erase everything that I kept of you, and tell you here when it is done. "
    "Should I be restarted meanwhile, it is done all the same, but you hear nothing more of it."
)
FORGOTTEN = (
    "Everything that I kept of you is erased, and I take away what I showed of it to experts, where Teams lets me. "
    "Other messages in Teams itself stay; delete those yourself."
)
NOT_YET_FORGOTTEN = (
    "I could not erase everything at once. Please write `forget me` again in a few minutes; "
    "the people who run CARE find the reason in its log."
)
KEPT = "Nothing is erased."
NOT_YOURS = "Only the person who asked for that can press it."
STOPPED = "Stopped."
NOTHING_TO_STOP = "I'm not writing anything for you here."
HELP = """**CARE answers support questions.** Write to me here; in a channel or a group chat, mention me.

- 👍 👎 under an answer (or as a reaction) rate it, and ask what it should have said. What you vote may teach me.
- *Edit* your question and I answer again; *delete* it and I forget it.
- `new` begin a new conversation
- `stop` stop the answer that I'm writing
- `human` talk to a person
- `status` is CARE well?
- `export` a file with everything that is kept of you
- `opt out` keep what you write out of training (`opt in` ends that)
- `forget me` erase everything that is kept of you

I'm a machine and can be wrong. In an emergency, call your local emergency number."""

Does = Callable[[Said], Awaitable[str | None]]


class Commands:
    """Words that are no questions; alone in a message, in small letters or large."""

    def __init__(self, workspace: Workspace, handovers: Handovers, files: Files) -> None:
        self._workspace = workspace
        self._service = workspace.service
        self._handovers = handovers
        self._files = files
        self._once = Once()
        self._does: Mapping[str, Does] = {
            "help": self._help,
            "new": self._new,
            "new conversation": self._new,
            "stop": self._stop,
            "status": self._status,
            "export": self._export,
            "forget me": self._forget,
            "forget": self._forget,
            "opt out": self._opt_out,
            "opt in": self._opt_in,
            "human": self._human,
        }

    def verbs(self) -> Mapping[str, Verb]:
        """What the buttons of these cards do."""
        return {cards.FORGET: self._erase, cards.KEEP: self._keep}

    async def hear(self, said: Said) -> bool:
        """Whether a message is a command; then it is done. Raises StoreError: then it comes again."""
        does = self._does.get(_word(said.text)) if said.private or said.mentioned else None
        if does is None or said.files:
            return False
        with self._once.trying(said.event_id) as first:
            told = await does(said) if first else None
        if told is not None:
            self._workspace.say(said.name.place, shapes.note(told))
        return True

    async def _help(self, said: Said) -> str:
        return HELP

    async def _new(self, said: Said) -> str:
        if said.kind == "channel":
            return NEW_IN_CHANNEL
        place = said.name.place
        await self._service.begin_new(PLATFORM, place, f"{place}/new/{said.event_id}")  # sent again, it begins no other
        return f"{words.NEW_BEGUN} {FOR_ALL}" if said.kind == "groupChat" else words.NEW_BEGUN

    async def _stop(self, said: Said) -> str | None:
        """What is being written for this person in this place; where something of it stands, that says so."""
        running = [turn.id for turn in self._service.running(PLATFORM, said.user) if asked_in(turn).place == said.name.place]
        stopped = [turn_id for turn_id in running if self._service.cancel(turn_id)]
        if not stopped:
            return NOTHING_TO_STOP
        return None if [name for each in stopped for name in await self._service.carried(each)] else STOPPED

    async def _status(self, said: Said) -> str:
        return words.status_text(self._service.status())

    async def _opt_out(self, said: Said) -> str:
        await self._service.opt_out(PLATFORM, said.user)
        return OPTED_OUT

    async def _opt_in(self, said: Said) -> str:
        await self._service.opt_in(PLATFORM, said.user)
        return OPTED_IN

    async def _human(self, said: Said) -> None:
        await self._handovers.asked_for(said, await self._workspace.conversation(said.name.place))

    async def _export(self, said: Said) -> str | None:
        return await self._files.offer(said)

    async def _forget(self, said: Said) -> None:
        """Asked before it is done: there is no way back."""
        self._workspace.say(said.name.place, cards.message(cards.forget(said.user), "Erase everything that CARE keeps of you?"))

    async def _keep(self, press: Press) -> Outcome:
        self._require_own(press)
        return Outcome(KEPT, cards.plain(KEPT))

    async def _erase(self, press: Press) -> Outcome:
        """The wish is kept at once, and they are told once nothing is left."""
        self._require_own(press)
        with self._once.trying(press.by.event_id) as first:
            if first:
                await self._service.wish_to_be_forgotten(PLATFORM, press.by.user)
                self._workspace.spawn(self._forget_now(press.by.user, press.by.address), "the erasure of a person")
        return Outcome(FORGETTING, cards.plain(FORGETTING))

    async def _forget_now(self, user: str, chat: Address) -> None:
        told = FORGOTTEN
        try:
            await self._service.forget(PLATFORM, user)
            self._workspace.spawn(removals(self._workspace).go_on(), "what experts saw of somebody who was forgotten")
        except (StoreError, EngineError, OSError) as error:
            log.error("somebody could not be forgotten at once", extra={"error": f"{type(error).__name__}: {error}"})
            told = NOT_YET_FORGOTTEN
        self._handovers.forget(user)
        self._workspace.tell(chat, shapes.note(told))

    def _require_own(self, press: Press) -> None:
        """Whoever presses is the one who is erased: a card that names somebody else is not theirs. Raises InvokeRefused."""
        if press.text(cards.WHO) != press.by.user:
            raise InvokeRefused(403, NOT_YOURS)


def _word(text: str) -> str:
    return " ".join(text.lower().replace("-", " ").strip(" /.!`\n").split())
