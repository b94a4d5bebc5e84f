"""A running fake, an app that takes everything, and a client of the connector."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.fakes.teams import FakeTeams
from tests.fakes.teams.world import Chat, Json

Answer = Callable[[Json], Awaitable[web.Response | None]]


@pytest.fixture
async def teams() -> AsyncIterator[FakeTeams]:
    async with FakeTeams() as running:
        yield running


@dataclass
class App:
    """An app of ten lines: keeps what it was told, answers 201 unless a test answers."""

    teams: FakeTeams
    session: aiohttp.ClientSession
    told: list[Json] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    answer: Answer | None = None
    token: str = ""

    async def hear(self, request: web.Request) -> web.Response:
        """`POST /api/messages`."""
        self.told.append(await request.json())
        self.authorizations.append(request.headers.get("Authorization", ""))
        answered = await self.answer(self.told[-1]) if self.answer else None
        return answered or web.Response(status=201)

    async def log_in(self, **fields: str) -> tuple[int, Json]:
        """Asks for a token; a good one is kept."""
        good = {"grant_type": "client_credentials", "client_id": self.teams.app_id, "client_secret": self.teams.password}
        form = {**good, "scope": "https://api.botframework.com/.default", **fields}
        async with self.session.post(f"{self.teams.url}/login/{self.teams.tenant}/oauth2/v2.0/token", data=form) as response:
            answer = await response.json()
        self.token = answer.get("access_token", self.token)
        return response.status, answer

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Json]:
        """Any call of the connector."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.request(method, f"{self.teams.service_url}v3/conversations{path}", json=body, headers=headers) as response:
            return response.status, await response.json() if response.content_type == "application/json" else {
                "page": await response.text()
            }

    async def post(self, place: str | Chat, text: str = "Hello", **fields: object) -> tuple[int, Json]:
        """Sends a message."""
        where = place if isinstance(place, str) else place.id
        return await self.call("POST", f"/{where}/activities", {"type": "message", "text": text, **fields})

    async def stream(
        self, chat: Chat, text: str, sequence: int | None = 1, stream_id: str | None = None, kind: str = "streaming", **more: object
    ) -> tuple[int, Json]:
        """Sends one activity of a stream."""
        given = {"type": "streaminfo", "streamType": kind, "streamSequence": sequence, "streamId": stream_id}
        info = {name: value for name, value in given.items() if value is not None}
        activity = {"type": "message" if kind == "final" else "typing", "text": text, "entities": [info]}
        return await self.call("POST", f"/{chat.id}/activities", {**activity, **more})


@pytest.fixture
async def app(teams: FakeTeams) -> AsyncIterator[App]:
    """Told of everything, and logged in."""
    async with aiohttp.ClientSession() as session:
        app = App(teams, session)
        server = web.Application()
        server.router.add_post("/api/messages", app.hear)
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        teams.deliver_to(f"http://127.0.0.1:{runner.addresses[0][1]}/api/messages")
        await app.log_in()
        yield app
        await runner.cleanup()
