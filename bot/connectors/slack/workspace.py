"""What the parts of this connector share: the API, the service, what is left of the minute, who CARE is, and tasks. Decides nothing."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from weakref import WeakValueDictionary

from bot.connectors.slack.api import Blocks, Identity, SlackApi
from bot.connectors.slack.budget import Budget
from bot.connectors.slack.errors import SlackError
from bot.connectors.slack.names import PLATFORM, Name
from bot.connectors.tasks import Tasks
from bot.service import Service
from bot.settings import Settings

_PATIENCE_SECONDS = 20.0
_SAY_SECONDS = 60.0
_MOST_ROOTS = 10_000


class Unknown(Exception):
    """Slack has not said yet who CARE is there."""


class Workspace:
    """One Slack workspace."""

    def __init__(self, settings: Settings, service: Service, api: SlackApi) -> None:
        self.settings = settings
        self.service = service
        self.api = api
        self.budget = Budget()
        self.hosts = frozenset(settings.links)
        self._identity: Identity | None = None
        self._introduced = asyncio.Event()
        self._claimed: set[str] = set()
        self._threads: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._roots: OrderedDict[str, str] = OrderedDict()
        self.tasks = Tasks(PLATFORM, SlackError)

    @property
    def identity(self) -> Identity:
        """Who CARE is here. Raises Unknown before Slack has said so."""
        if self._identity is None:
            raise Unknown("Slack has not said yet who CARE is; is SLACK_BOT_TOKEN right?")
        return self._identity

    async def introduce(self, patience: float) -> Identity:
        """Asks Slack who CARE is. Raises SlackError."""
        self._identity = await self.api.identity(patience)
        self._introduced.set()
        return self._identity

    async def known(self) -> Identity:
        """Who CARE is here, once Slack has said so."""
        await self._introduced.wait()
        return self.identity

    def posting_in(self, thread: Name) -> asyncio.Lock:
        """Held while a message is posted in a thread and noted as its answer's: until then it looks like nobody's."""
        return self._threads.setdefault(str(thread), asyncio.Lock())

    def claim(self, message: str) -> bool:
        """Whether nobody else in this process took that message for theirs."""
        if message in self._claimed:
            return False
        self._claimed.add(message)
        return True

    def remember_root(self, message: Name, root: str) -> None:
        """The thread of a message, so that nobody has to ask Slack."""
        self._roots[str(message)] = root
        if len(self._roots) > _MOST_ROOTS:
            self._roots.popitem(last=False)

    def remembered_root(self, message: Name) -> str | None:
        return self._roots.get(str(message))

    async def root_of(self, message: Name) -> str:
        """The message that the thread of a message begins with. Raises SlackError."""
        known = self._roots.get(str(message))
        if known is None:
            found = await self.api.thread(message.channel, message.ts, patience=_PATIENCE_SECONDS)
            known = next((each.thread_ts for each in found if each.thread_ts), None) or message.ts
            self.remember_root(message, known)
        return known

    @property
    def has_experts(self) -> bool:
        """Whether there is anybody to hand conversations over to."""
        return bool(self.settings.slack_handover_channel)

    def allows(self, channel: str) -> bool:
        """Whether CARE may speak in a channel. DMs need no permission."""
        return not self.settings.slack_channels or channel in self.settings.slack_channels or channel.startswith("D")

    def spawn(self, work: Coroutine[None, None, None], what: str) -> "asyncio.Task[None]":
        """Does something after the acknowledgement; this workspace owns it."""
        return self.tasks.spawn(work, what)

    def whisper(self, channel: str, user: str, text: str, blocks: Blocks | None = None, thread_ts: str | None = None) -> None:
        """Tells one person something, if Slack lets us; nobody waits for it."""
        self.spawn(self.api.ephemeral(channel, user, text, blocks, thread_ts), "a note to one person")

    def say(self, channel: str, text: str, blocks: Blocks, thread_ts: str | None = None) -> None:
        """Posts something that is no answer; nobody waits for it."""

        async def post() -> None:
            await self.api.post(channel, text, blocks, thread_ts, patience=_SAY_SECONDS)

        self.spawn(post(), "a note")

    async def close(self) -> None:
        """Lets what runs finish for a moment, and ends the rest."""
        await self.tasks.close()
        await self.api.close()
