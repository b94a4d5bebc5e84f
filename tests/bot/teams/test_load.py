"""Many people at once, more than the engine can answer: everybody hears of it within a second, and gets one last word."""

import asyncio
from collections import Counter

import pytest

from tests.bot.teams.conftest import Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import FakeTeams

PER_SECOND = 50


def p99(seconds: list[float]) -> float:
    return seconds[int(len(seconds) * 0.99) - 1]


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_thousand_activities_get_one_final_message_each_and_a_first_word_within_a_second(start: Start, teams: FakeTeams) -> None:
    engine = ScriptedEngine(step=lambda: asyncio.sleep(0.15), slots=8, queue=32)
    async with start(engine, drain=5) as care:
        flood = await teams.flood(1000, PER_SECOND)
        await care.idle(90)
        assert (len(flood.asked), len(flood.repeated)) == (950, 50)
        assert {said.status for said in flood.asked} == {each.status for each in flood.repeated} == {201}
        posts = [post for chat in teams.world.chats.values() for post in teams.posts(chat)]
        assert all(post.final for post in posts)
        assert Counter(post.place for post in posts) == Counter(said.place for said in flood.asked)
        statuses = Counter(str(turn["status"]) for turn in care.turns())
        assert sum(statuses.values()) == 950
        assert statuses["failed"] > 100, "the engine was saturated: some were told that it is busy"
        assert statuses["delivered"] > 100
        assert set(statuses) == {"failed", "delivered"}
        assert p99(flood.latencies()) < 1.0
        assert p99(flood.first_words(teams)) < 1.0
