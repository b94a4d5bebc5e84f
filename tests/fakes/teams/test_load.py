"""The fake under load, in the same process as the app: it must never be what a connector's test waits for."""

import asyncio
import time
from collections import Counter

import pytest
from aiohttp import web

from tests.fakes.teams import FakeTeams
from tests.fakes.teams.conftest import App
from tests.fakes.teams.world import Json
from tests.seconds import within


@pytest.mark.alone
async def test_a_thousand_activities_cost_little_and_none_is_lost(teams: FakeTeams, app: App) -> None:
    pending: list[asyncio.Task[object]] = []

    async def answer(activity: Json) -> web.Response:
        if [told["id"] for told in app.told].count(activity["id"]) == 1:
            pending.append(asyncio.create_task(app.post(activity["conversation"]["id"], "An answer")))
        return web.Response(status=201)

    app.answer, teams.connector.rates = answer, ()
    cpu = time.process_time()
    flood = await teams.flood(1000, per_second=1000)
    await asyncio.gather(*pending)
    computed = time.process_time() - cpu
    assert (len(flood.asked), len(flood.repeated), len(app.told)) == (950, 50, 1000)
    assert Counter(Counter(told["id"] for told in app.told).values()) == {1: 950, 2: 25}
    assert len({said.place for said in flood.asked}) > 300
    assert {said.chat.kind for said in flood.asked} == {"personal", "groupChat", "channel"}
    assert teams.keys.fetches == 0
    within(5.0, [computed])
    within(2.0, [flood.latencies()[-1], flood.first_words(teams)[-1]])
