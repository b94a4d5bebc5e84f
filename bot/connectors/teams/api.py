"""What CARE does in Teams: post, update, delete, begin a thread, open a chat. Knows where answers may go; no vendor's type.

An address comes from an activity, and so from whoever sent it: nothing leaves, and no token is fetched for it, unless its host is on the
list of those that are Teams'.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bot.connectors.teams.address import Address
from bot.connectors.teams.calls import Calls
from bot.connectors.teams.errors import Limited, Refused, Unreachable
from bot.connectors.teams.http import Http
from bot.connectors.teams.names import channel_of
from bot.connectors.teams.tokens import App, Tokens
from bot.settings import Settings, is_loopback

Json = Mapping[str, Any]
T = TypeVar("T")

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_RETRY_SECONDS = 1.0
_MOST_RETRY_SECONDS = 60.0


class Hosts:
    """Where answers may go."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts

    def allows(self, url: str) -> bool:
        """Whether an address is one of Teams', or a host's under it. Without TLS only on this machine."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if host is None or parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            return False
        if not url.isascii() or not url.isprintable() or any(each in url for each in "{}\\ "):  # the SDK formats it
            return False
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            return False
        return any(host == each or host.endswith(f".{each}") for each in self._hosts)


class TeamsApi:
    """As one app, in its tenant."""

    def __init__(self, settings: Settings) -> None:
        # Whom nobody verified may name any address: then answers stay on this machine.
        self.hosts = Hosts(_THIS_MACHINE if settings.teams_no_auth else settings.teams_service_hosts)
        self.http = Http()
        self._tokens: Tokens | None = None
        if settings.teams_app_id is not None:
            assert settings.teams_app_password is not None, "the settings belong together"
            assert settings.teams_tenant_id is not None, "the settings belong together"
            app = App(settings.teams_app_id, settings.teams_app_password, settings.teams_tenant_id)
            self._tokens = Tokens(app, settings.teams_login_url, self.http)
        self._calls = Calls(self.http, self._tokens)

    async def post(self, to: Address, activity: Json, *, patience: float = 0.0) -> str:
        """The new message's id; "" for what only grows a stream. All raise TeamsError."""
        return await self._call(to, "post", lambda: self._calls.post(to.service_url, to.place, _addressed(to, activity)), patience)

    async def update(self, to: Address, message_id: str, activity: Json, *, patience: float = 0.0) -> None:
        content = {**_addressed(to, activity), "id": message_id}
        await self._call(to, "update", lambda: self._calls.update(to.service_url, to.place, message_id, content), patience, repeatable=True)

    async def delete(self, to: Address, message_id: str, *, patience: float = 0.0) -> None:
        await self._call(to, "delete", lambda: self._calls.delete(to.service_url, to.place, message_id), patience, repeatable=True)

    async def begin_thread(self, channel: Address, activity: Json, *, patience: float = 0.0) -> tuple[Address, str]:
        """A new post in a channel: the address of its thread, and its id."""
        channel_id = channel_of(channel.place)
        parameters = {
            "isGroup": True,
            "bot": {"id": channel.bot_id},
            "channelData": {"channel": {"id": channel_id}, **_tenant_data(channel)},
            "activity": dict(activity),
            **({"tenantId": channel.tenant} if channel.tenant else {}),
        }
        place, message_id = await self._call(channel, "begin", lambda: self._calls.create(channel.service_url, parameters), patience)
        if not place:
            raise Unreachable("Teams did not say where the new thread is", sent=True)
        return channel.at(place), message_id or place.rpartition("=")[2]

    async def open_direct(self, user_id: str, like: Address) -> Address:
        """A person's personal chat, in the tenant of another address."""
        parameters = {
            "isGroup": False,
            "bot": {"id": like.bot_id},
            "members": [{"id": user_id}],
            "channelData": _tenant_data(like),
            **({"tenantId": like.tenant} if like.tenant else {}),
        }
        place, _ = await self._call(like, "open", lambda: self._calls.create(like.service_url, parameters), 0.0, repeatable=True)
        if not place:
            raise Unreachable("Teams did not say where the chat is", sent=True)
        return Address(like.service_url, place, "personal", like.bot_id, like.tenant, user_id)

    async def close(self) -> None:
        if self._tokens is not None:
            await self._tokens.close()
        await self.http.close()

    async def _call(self, to: Address, what: str, call: Callable[[], Awaitable[T]], patience: float, *, repeatable: bool = False) -> T:
        """Tried again for as long as `patience` says: after 429 as late as Teams wants, after a broken connection if it never got there
        or is `repeatable`.
        """
        if not self.hosts.allows(to.service_url):
            raise Refused(f"{what}: {urlsplit(to.service_url).hostname!r} is no host of Teams' (TEAMS_SERVICE_HOSTS)")
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + patience, _RETRY_SECONDS
        while True:
            try:
                return await call()
            except Limited as error:
                if loop.time() + error.seconds > deadline:
                    raise
                await asyncio.sleep(error.seconds)
            except Unreachable as error:
                if (error.sent and not repeatable) or loop.time() + pause > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MOST_RETRY_SECONDS)


def _addressed(to: Address, activity: Json) -> dict[str, Any]:
    """From CARE, to whom it is for."""
    conversation = {"id": to.place, "conversationType": to.kind, **({"tenantId": to.tenant} if to.tenant else {})}
    recipient = {"recipient": {"id": to.user_id}} if to.user_id else {}
    return {**activity, "from": {"id": to.bot_id}, "conversation": conversation, **recipient}


def _tenant_data(of: Address) -> dict[str, Any]:
    return {"tenant": {"id": of.tenant}} if of.tenant else {}
