"""A whole CARE in this process: a real store, service and HTTP application around a scripted engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot import app, domains
from bot.archive import Archive
from bot.judge import Judge
from bot.metrics import Metrics
from bot.service import Service
from bot.settings import Settings
from bot.store import Store
from bot.watch import Watch
from model.engine import Sampling
from model.shelf import Shelf
from tests.fakes.engine import ScriptedEngine

USER = "ada"


@dataclass
class Care:
    """What a test may look at."""

    client: TestClient
    service: Service
    engine: ScriptedEngine
    store: Store
    watch: Watch
    judge: Judge
    shelf: Shelf

    async def ask(self, text: str = "Why is my bill so high?", **fields: object) -> dict:
        """A completion's JSON, whatever its status."""
        body = {"model": "care", "messages": [{"role": "user", "content": text}], **fields}
        response = await self.client.post("/v1/chat/completions", json=body)
        return {"status": response.status, **await response.json()}


StartCare = Callable[..., AbstractAsyncContextManager[Care]]


@pytest.fixture
def start_care(tmp_path: Path) -> StartCare:
    """Starts CARE with a given engine and settings; twice on the same home is a restart."""

    @asynccontextmanager
    async def start(engine: ScriptedEngine | None = None, ready: bool = True, **settings: object) -> AsyncIterator[Care]:
        engine = engine or ScriptedEngine()
        chosen = replace(Settings(home=tmp_path), **settings)
        store = Store(chosen.database)
        metrics = Metrics(engine.status)
        archive, shelf, rules = Archive(store), Shelf(chosen.loras), domains.load()
        watch = Watch(shelf, engine, chosen.canary_share)
        judge = Judge(shelf, engine, archive, watch, rules, chosen)
        sampling = Sampling(max_tokens=chosen.max_tokens)
        service = Service(archive, engine, rules, metrics, sampling, watch.choose, chosen, shelf)
        server = TestServer(app.application(chosen, service, engine, metrics, watch, judge), handler_cancellation=True)
        client = TestClient(server, cookies={"care_user": USER})
        await client.start_server()
        await service.resume()
        if ready:
            await engine.start()
            await watch.look()
            service.engine_ready()
        try:
            yield Care(client, service, engine, store, watch, judge, shelf)
        finally:
            await service.drain(0)
            await client.close()
            await engine.close()
            await service.close()

    return start


@pytest.fixture
async def care(start_care: StartCare) -> AsyncIterator[Care]:
    async with start_care() as running:
        yield running
