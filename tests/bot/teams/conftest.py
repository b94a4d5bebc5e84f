"""A whole CARE in this process, in a Teams of our own: a real store and service around a scripted engine. And the door of it alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot import domains
from bot.archive import Archive
from bot.connectors.teams.address import Address
from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.connector import TeamsConnector
from bot.connectors.teams.post import Pace
from bot.metrics import Metrics
from bot.service import Service
from bot.settings import Settings
from bot.store import Store
from model.engine import Sampling
from model.shelf import Shelf
from tests.bot.teams.door import Door, opened
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, BOT_ID, TENANT, FakeTeams, Message, Person

Json = dict[str, object]

# Teams' own pace is a request a second: the tests' clocks run faster.
PACE = Pace(chunk=0.05, sparse=0.1, idle=0.5, retry=0.05)
HELLO = {"type": "message", "text": "Hello"}


def personal(teams: FakeTeams, person: Person = ADA) -> Address:
    return Address(teams.service_url, teams.personal(person).id, "personal", BOT_ID, TENANT, person.id)


@dataclass
class Care:
    """What a test may look at."""

    teams: FakeTeams
    connector: TeamsConnector
    service: Service
    engine: ScriptedEngine
    store: Store

    async def answer(self, asked: Message, seconds: float = 60.0) -> Message:
        """The first finished message after a question."""
        return (await self.answers(asked, 1, seconds))[0]

    async def answers(self, asked: Message, count: int, seconds: float = 60.0) -> list[Message]:
        """Once there are so many, and everything is over."""
        await self.teams.until(lambda: len(self.teams.answers(asked)) >= count, seconds)
        await self.idle()
        return self.teams.answers(asked)

    async def idle(self, seconds: float = 60.0) -> None:
        """Everything that came is acknowledged and answered."""
        await self.teams.settled(seconds)
        await self.teams.until(lambda: not self.service._tasks and not self.connector._workspace.tasks._tasks, seconds)

    def turns(self) -> list[Json]:
        """Every turn, as any SQLite tool reads it."""
        return self.rows("SELECT * FROM turns ORDER BY rowid")

    def ratings(self) -> list[Json]:
        return self.rows("SELECT * FROM ratings")

    def rows(self, sql: str) -> list[Json]:
        return [dict(row) for row in self.store._rows(sql)]


Start = Callable[..., AbstractAsyncContextManager[Care]]


@pytest.fixture
async def teams() -> AsyncIterator[FakeTeams]:
    async with FakeTeams() as fake:
        fake.streams.gap = PACE.chunk
        yield fake


@pytest.fixture
def start(tmp_path: Path, teams: FakeTeams) -> Start:
    """Starts CARE in the tenant; twice is a restart."""

    @asynccontextmanager
    async def starting(
        engine: ScriptedEngine | None = None, *, ready: bool = True, drain: float = 0.0, **settings: object
    ) -> AsyncIterator[Care]:
        engine = engine or ScriptedEngine()
        chosen = replace(Settings(home=tmp_path), **{**teams.settings(), **settings})
        store = Store(chosen.database)
        metrics, shelf = Metrics(engine.status), Shelf(chosen.loras)
        service = Service(Archive(store), engine, domains.load(), metrics, Sampling(), lambda *_: None, chosen, shelf)
        connector = TeamsConnector(chosen, service)
        connector._workspace.pace = PACE
        service.connect(connector)
        await service.resume()
        app = web.Application()
        app.add_routes(connector.routes())
        server = TestServer(app, handler_cancellation=True)
        await server.start_server()
        teams.deliver_to(str(server.make_url("/api/messages")))
        await connector.start()
        if ready:
            await engine.start()
            service.engine_ready()
        try:
            yield Care(teams, connector, service, engine, store)
        finally:
            await connector.stop_intake()
            await service.drain(drain)
            await connector.close()
            await server.close()
            await engine.close()
            await service.close()

    return starting


@pytest.fixture
async def care(start: Start) -> AsyncIterator[Care]:
    async with start() as running:
        yield running


@pytest.fixture
async def door(teams: FakeTeams) -> AsyncIterator[Door]:
    async with opened(teams) as found:
        yield found


@pytest.fixture
async def api(teams: FakeTeams) -> AsyncIterator[TeamsApi]:
    api = TeamsApi(replace(Settings(), **teams.settings()))
    yield api
    await api.close()
