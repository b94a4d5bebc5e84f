"""What the parts of this connector share: the API, the service, where chats are reached, and tasks. Decides nothing."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from bot.connectors.tasks import Tasks
from bot.connectors.teams.address import Address
from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.errors import Gone, TeamsError, Unreachable
from bot.connectors.teams.names import PLATFORM, Name, is_group, root_of
from bot.connectors.teams.post import Pace
from bot.service import Service
from bot.settings import Settings

Json = Mapping[str, Any]

_SAY_SECONDS = 60.0


class Workspace:
    """One tenant's Teams. Addresses stand in the store alone: what is erased there is known nowhere else."""

    def __init__(self, settings: Settings, service: Service, api: TeamsApi) -> None:
        self.settings = settings
        self.service = service
        self.api = api
        self.hosts = frozenset(settings.links)
        self.pace = Pace()
        self._streaming: set[str] = set()
        self.tasks = Tasks(PLATFORM, TeamsError)

    @property
    def has_experts(self) -> bool:
        """Whether there is anybody to hand conversations over to."""
        return bool(self.settings.teams_handover_channel)

    async def reached(self, activity: Json, *, greet: bool = False) -> Address:
        """Remembers where the chat of an activity is reached, now and after a restart, and that it is owed a welcome. Raises StoreError."""
        address = Address.of(activity)
        known = await self.service.address(PLATFORM, address.place)
        if known != address.text():
            await self.service.reached(PLATFORM, address.place, address.text(), address.user_id, greet=greet)
        return address

    async def address_of(self, place: str) -> Address:
        """Where a chat is reached. Raises Gone where nobody knows: nothing came from there, or its person was forgotten."""
        known = await self.service.address(PLATFORM, place)
        if known is not None:
            return Address.parse(known)
        if root_of(place) is None and place != self.settings.teams_handover_channel:
            raise Gone("nobody knows where this chat is reached")
        return await self._begun(place)

    async def _begun(self, place: str) -> Address:
        """A thread that CARE began itself, or the channel or group chat that the settings name."""
        address = (await self.anywhere()).channel(place)
        return replace(address, kind="groupChat") if is_group(place) else address

    async def begin(self, channel_id: str, activity: Json, *, patience: float) -> Name | None:
        """A new post in a channel, or a message in a group chat, whether anything came from there or not; None where it stands and Teams
        does not say its id. Raises TeamsError.
        """
        channel = await self._begun(channel_id)
        if is_group(channel_id):
            posted = await self.api.post(channel, activity, patience=patience)
            return Name(channel_id, posted) if posted else None
        thread, message_id = await self.api.begin_thread(channel, activity, patience=patience)
        return Name(thread.place, message_id)

    async def anywhere(self) -> Address:
        """Any address in this Teams. Raises Unreachable while none is known."""
        known = await self.service.any_address(PLATFORM)
        if known is None:
            raise Unreachable("nobody has written to CARE in Teams yet, and only what comes from there says where it is", sent=False)
        return Address.parse(known)

    async def conversation(self, place: str) -> str:
        """The conversation that goes on in a place: a thread's own, in a chat the one that was begun last."""
        return await self.service.newest(PLATFORM, place) or place

    def may_stream(self, place: str) -> bool:
        """Takes the one stream that a chat can have; whoever does gives it back with `streamed`."""
        if place in self._streaming:
            return False
        self._streaming.add(place)
        return True

    def streamed(self, place: str) -> None:
        """The stream in a chat has ended."""
        self._streaming.discard(place)

    def spawn(self, work: Coroutine[None, None, None], what: str) -> "asyncio.Task[None]":
        """Does something after the acknowledgement; this workspace owns it."""
        return self.tasks.spawn(work, what)

    def say(self, place: str, activity: Json) -> None:
        """Posts something that is no answer; nobody waits for it."""

        async def post() -> None:
            await self.api.post(await self.address_of(place), activity, patience=_SAY_SECONDS)

        self.spawn(post(), "a note")

    def tell(self, to: Address, activity: Json) -> None:
        """`say` where the store may not know the chat any more: its person was forgotten."""

        async def post() -> None:
            await self.api.post(to, activity, patience=_SAY_SECONDS)

        self.spawn(post(), "a note")

    async def close(self) -> None:
        """Lets what runs finish for a moment, and ends the rest."""
        await self.tasks.close()
        await self.api.close()
