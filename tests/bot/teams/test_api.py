"""What leaves for Teams, where it may go, and what its answers mean: the SDK's client against a server of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.connectors.teams.address import Address
from bot.connectors.teams.api import TeamsApi
from bot.settings import Settings

APP = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-2222-3333-4444-555555555555"
PLACE = "19:meeting_Zm9v@thread.v2;messageid=1700000000000"


@dataclass
class Teams:
    """A server that answers as it is told to, and keeps what it got."""

    answers: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=list)
    got: list[tuple[str, str, dict, str | None]] = field(default_factory=list)
    tokens: int = 0
    url: str = ""

    async def login(self, request: web.Request) -> web.Response:
        self.tokens += 1
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": f"token {self.tokens}"})

    async def call(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        self.got.append((request.method, request.rel_url.raw_path, body, request.headers.get("Authorization")))
        if self.answers:
            return await self.answers.pop(0)(request)
        return web.json_response({"id": "1700000000001"}, status=201)

    def will(self, status: int, body: object = None, **headers: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response(body if body is not None else {}, status=status, headers=headers)

        self.answers.append(answer)

    def address(self, **fields: object) -> Address:
        return Address(
            **{"service_url": f"{self.url}/teams/", "place": PLACE, "kind": "channel", "bot_id": f"28:{APP}", "tenant": TENANT, **fields}
        )


@asynccontextmanager
async def served(teams: Teams) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(f"/login/{TENANT}/oauth2/v2.0/token", teams.login)
    app.router.add_route("*", "/teams/{path:.*}", teams.call)
    server = TestServer(app)
    await server.start_server()
    teams.url = str(server.make_url("")).rstrip("/")
    try:
        yield teams.url
    finally:
        await server.close()


@pytest.fixture
async def teams() -> AsyncIterator[Teams]:
    found = Teams()
    async with served(found):
        yield found


@pytest.fixture
async def api(teams: Teams) -> AsyncIterator[TeamsApi]:
    api = TeamsApi(settings(teams.url))
    yield api
    await api.close()


def settings(url: str) -> Settings:
    return Settings(
        teams_app_id=APP,
        teams_app_password="secret",
        teams_tenant_id=TENANT,
        teams_login_url=f"{url}/login/",
        teams_service_hosts=("127.0.0.1",),
    )


STREAMED = {
    "type": "typing",
    "text": "Looking…",
    "entities": [
        {"type": "streaminfo", "streamType": "informative", "streamSequence": 1},
        {"type": "https://schema.org/Message", "@type": "Message", "citation": [{"@type": "Claim", "position": 1}]},
    ],
    "channelData": {"feedbackLoop": {"type": "custom"}, "none": None, "nested": [{"Keep.Dots": {"": 1.5}}]},
    "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {"$schema": "x", "version": "1.4", "body": []}}],
}


async def test_every_key_of_an_activity_reaches_the_wire(teams: Teams, api: TeamsApi) -> None:
    assert await api.post(teams.address(), STREAMED) == "1700000000001"
    await api.update(teams.address(), "17", STREAMED)
    for method, _, body, _ in teams.got:
        assert {name: body[name] for name in STREAMED} == STREAMED, method
        assert (body["from"], body["conversation"]["id"]) == ({"id": f"28:{APP}"}, PLACE)
    assert [(method, path) for method, path, _, _ in teams.got] == [
        ("POST", "/teams/v3/conversations/19%3Ameeting_Zm9v%40thread.v2%3Bmessageid%3D1700000000000/activities"),
        ("PUT", "/teams/v3/conversations/19%3Ameeting_Zm9v%40thread.v2%3Bmessageid%3D1700000000000/activities/17"),
    ]


async def test_a_token_is_fetched_once_for_many_calls(teams: Teams, api: TeamsApi) -> None:
    for _ in range(3):
        await api.post(teams.address(), {"type": "message", "text": "Hello"})
    assert teams.tokens == 1
    assert {token for *_, token in teams.got} == {"Bearer token 1"}
