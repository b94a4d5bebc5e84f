"""A whole CARE in this process, in a Slack of our own: a real store and service around a scripted engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot import domains
from bot.archive import Archive
from bot.connectors.slack.connector import SlackConnector
from bot.connectors.slack.manifest import EVENTS, SCOPES
from bot.metrics import Metrics
from bot.service import Service
from bot.settings import Settings
from bot.store import Store
from model.engine import Sampling
from model.shelf import Shelf
from tests.fakes.engine import ScriptedEngine
from tests.fakes.slack import ADMINS, EXPERTS, FakeSlack
from tests.fakes.slack.workspace import Message

Json = dict[str, object]


@dataclass
class Care:
    """What a test may look at."""

    slack: FakeSlack
    connector: SlackConnector
    service: Service
    engine: ScriptedEngine
    store: Store

    async def answer(self, asked: Message, seconds: float = 60.0) -> Message:
        """The first finished message in the thread of a question."""
        return (await self.answers(asked, 1, seconds))[0]

    async def answers(self, asked: Message, count: int, seconds: float = 60.0) -> list[Message]:
        """Once there are so many, and everything is over."""
        await self.slack.until(lambda: len(self.slack.answers(asked)) >= count, seconds)
        await self.idle()
        return self.slack.answers(asked)

    async def idle(self, seconds: float = 60.0) -> None:
        """Everything that came is acknowledged and answered, and nothing is being written any more."""
        await self.slack.settled(seconds)
        await self.slack.until(lambda: not self.service._tasks and not self.connector._workspace.tasks._tasks, seconds)

    def turns(self) -> list[Json]:
        """Every turn, as any SQLite tool reads it."""
        return [dict(row) for row in self.store._rows("SELECT * FROM turns ORDER BY rowid")]

    def ratings(self) -> list[Json]:
        return [dict(row) for row in self.store._rows("SELECT * FROM ratings")]


Start = Callable[..., AbstractAsyncContextManager[Care]]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    """A workspace in which CARE may and hears exactly what its manifest says."""
    async with FakeSlack(scopes=SCOPES, events=EVENTS) as fake:
        fake.outbox.ack_seconds = 1.0  # a third of Slack's: what a stopped CARE did not take comes again soon
        fake.outbox.interaction_seconds = fake.trigger_seconds = 30.0
        yield fake


@pytest.fixture
def start(tmp_path: Path, slack: FakeSlack) -> Start:
    """Starts CARE in the workspace; twice is a restart. `http` instead of Socket Mode."""

    @asynccontextmanager
    async def starting(
        engine: ScriptedEngine | None = None, *, http: bool = False, ready: bool = True, drain: float = 0.0, **settings: object
    ) -> AsyncIterator[Care]:
        engine = engine or ScriptedEngine()
        chosen = replace(
            Settings(home=tmp_path),
            slack_bot_token=slack.bot_token,
            slack_app_token=None if http else slack.app_token,
            slack_signing_secret=slack.signing_secret if http else None,
            slack_api_url=slack.api_url,
            slack_handover_channel=EXPERTS,
            slack_admin_channel=ADMINS,
            slack_sockets=1,
        )
        chosen = replace(chosen, **settings)
        store = Store(chosen.database)
        metrics, shelf = Metrics(engine.status), Shelf(chosen.loras)
        service = Service(Archive(store), engine, domains.load(), metrics, Sampling(), lambda *_: None, chosen, shelf)
        connector = SlackConnector(chosen, service)
        service.connect(connector)
        await service.resume()
        server = await _serve(connector, slack) if http else None
        await connector.start()
        if ready:
            await engine.start()
            service.engine_ready()
        if http:
            await slack.until(lambda: connector._workspace._identity)
        else:
            await slack.connected(chosen.slack_sockets)
        try:
            yield Care(slack, connector, service, engine, store)
        finally:
            await connector.stop_intake()
            await service.drain(drain)
            await connector.close()
            if server is not None:
                await server.close()
            await engine.close()
            await service.close()

    return starting


async def _serve(connector: SlackConnector, slack: FakeSlack) -> TestServer:
    app = web.Application()
    app.add_routes(connector.routes())
    server = TestServer(app)
    await server.start_server()
    slack.deliver_to(str(server.make_url("/slack/events")))
    return server


@pytest.fixture
async def care(start: Start) -> AsyncIterator[Care]:
    async with start() as running:
        yield running
