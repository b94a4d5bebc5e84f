"""The door alone: the real webhook, trust and dispatch, with listeners that keep what they hear."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.connector import door
from bot.connectors.teams.keys import Keys
from bot.connectors.teams.sdk import Ears, Payload
from bot.connectors.teams.webhook import Webhook
from bot.settings import Settings
from tests.fakes.teams import FakeTeams


@dataclass
class Door:
    """What a test may look at."""

    teams: FakeTeams
    api: TeamsApi
    webhook: Webhook
    heard: list[tuple[str, Payload]] = field(default_factory=list)
    error: Exception | None = None

    @property
    def url(self) -> str:
        assert self.teams.outbox.url is not None
        return self.teams.outbox.url

    @property
    def keys(self) -> Keys:
        assert self.webhook._trust is not None
        return self.webhook._trust._keys

    async def knock(self, body: object, token: str | None = "", **headers: str) -> int:
        """The status of a request: with a good token, with this one, or with None without."""
        bearer = {} if token is None else self.teams.bearer(token or None)
        return (await self.teams.post_raw(body, {**bearer, **headers}))[0]

    def listener(self, name: str):
        async def listen(payload: Payload) -> None:
            self.heard.append((name, payload))
            if self.error is not None:
                raise self.error

        return listen

    def invoked(self, answer: dict):
        async def invoke(payload: Payload) -> dict:
            self.heard.append((str(payload["name"]), payload))
            if self.error is not None:
                raise self.error
            return answer

        return invoke


@asynccontextmanager
async def opened(teams: FakeTeams, **settings: object) -> AsyncIterator[Door]:
    chosen = replace(Settings(), **{**teams.settings(), **settings})
    api = TeamsApi(chosen)
    found = Door(teams, api, None)  # type: ignore[arg-type]
    names = ("message", "edited", "deleted", "reacted", "installed", "joined", "left")
    invokes = {"message/submitAction": found.invoked({}), "adaptiveCard/action": found.invoked({"statusCode": 200, "value": {"x": None}})}
    found.webhook = door(chosen, api, Ears(**{name: found.listener(name) for name in names}, invokes=invokes))
    app = web.Application()
    app.add_routes(found.webhook.routes())
    server = TestServer(app)
    await server.start_server()
    teams.deliver_to(str(server.make_url("/api/messages")))
    try:
        yield found
    finally:
        await server.close()
        await found.webhook.close()
        await api.close()
