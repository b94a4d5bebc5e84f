"""What was acknowledged survives a SIGKILL at any point, and is answered exactly once."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from tests.e2e.serving import Server, completion, events, running
from tests.fakes.server import POINTS

_ROUNDS = 5
_ASKERS = 4
_QUESTIONS = 12
_GONE = (aiohttp.ClientError, asyncio.IncompleteReadError, ConnectionError, TimeoutError)


@dataclass
class Seen:
    """What the people saw before the server died."""

    questions: dict[str, str] = field(default_factory=dict)  # event id → text, sent
    turns: dict[str, str] = field(default_factory=dict)  # turn id → text, receipt acknowledged
    ratings: dict[str, int] = field(default_factory=dict)  # turn id → verdict, receipt acknowledged


@pytest.mark.parametrize("point", POINTS)
async def test_no_acknowledged_question_or_rating_is_lost(tmp_path: Path, point: str) -> None:
    """Five rounds a point, side by side, each killed a little later than the one before."""
    rounds = (_round(tmp_path / f"home {count}", f"{point}:{3 * count}") for count in range(1, _ROUNDS + 1))
    await asyncio.gather(*rounds)


async def _round(home: Path, kill_at: str) -> None:
    seen = Seen()
    async with running(Server.scripted(home, "--kill-at", kill_at, pause=0.001)) as server:
        await _people_ask_until_it_dies(server, seen)
        assert await asyncio.to_thread(server.wait) == -9, "the point was never reached"
    async with running(Server.scripted(home)) as server:
        await _check_after_restart(server, seen, expected=lambda text: f"You asked: {text} Bye.")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_real_model_answers_after_crashes_in_the_middle_of_an_answer_and_at_its_end(embedded_home: Path) -> None:
    """Each start picks up what the last one left, and dies at the next point."""
    seen = Seen()
    for point in ("answering", "answered"):
        with Server.mortal(embedded_home, "--kill-at", f"{point}:2") as server:
            await _people_ask_until_it_dies(server, seen, askers=2)
            assert server.wait() == -9, f"{point} was never reached"
    with Server.mortal(embedded_home) as server:
        await _check_after_restart(server, seen, expected=None)


async def _people_ask_until_it_dies(server: Server, seen: Seen, askers: int = _ASKERS) -> None:
    async with aiohttp.ClientSession() as session:
        await server.ready(session)
    await asyncio.gather(_call_the_api(server, seen), *(_use_the_page(server, seen, f"person-{n}") for n in range(askers)))


async def _use_the_page(server: Server, seen: Seen, person: str) -> None:
    async with aiohttp.ClientSession(server.url, cookies={"care_user": person}) as session:
        try:
            for number in range(_QUESTIONS):
                text, event_id = f"{person} wants to know {number}", uuid4().hex
                seen.questions[f"{person}:{event_id}"] = text
                await _rate(session, seen, await _ask(session, seen, person, event_id, text), person)
        except _GONE:
            return


async def _ask(session: aiohttp.ClientSession, seen: Seen, person: str, event_id: str, text: str) -> str:
    turn = {}
    async with session.post(f"/api/conversations/{person}/turns", json={"id": event_id, "text": text}) as response:
        async for event, data in events(response):
            if event in ("turn", "done"):
                turn = data
                seen.turns[turn["id"]] = text
    return turn["id"]


async def _rate(session: aiohttp.ClientSession, seen: Seen, turn_id: str, person: str) -> None:
    rating = {"turn_id": turn_id, "user_id": person, "verdict": -1, "correction": f"better for {turn_id}"}
    async with session.post("/api/ratings", json=rating) as response:
        assert response.status == 200
        seen.ratings[turn_id] = -1


async def _call_the_api(server: Server, seen: Seen) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        try:
            for number in range(_QUESTIONS):
                text = f"the program wants to know {number} {uuid4().hex}"
                async with session.post("/v1/chat/completions", json=completion(text, stream=True, max_tokens=40)) as response:
                    async for _, data in events(response):
                        seen.turns[data["id"]] = text
        except _GONE:
            return


async def _check_after_restart(server: Server, seen: Seen, expected) -> None:
    async with aiohttp.ClientSession() as session:
        await server.ready(session)
    await _send_again(server, seen)
    await server.settled()
    turns = {row["id"]: row for row in server.rows("SELECT * FROM turns")}
    assert seen.turns.keys() <= turns.keys(), "an acknowledged question is gone"
    for row in turns.values():
        assert row["status"] in ("answered", "delivered")
        assert row["answer"]
        if expected is not None:
            assert row["answer"] == expected(row["question"])
    once = server.rows("SELECT event_id FROM turns WHERE platform = 'web'")
    assert sorted(row["event_id"] for row in once) == sorted(seen.questions)
    assert not server.rows("SELECT question FROM turns WHERE platform = 'api' GROUP BY question HAVING count(*) > 1")
    kept = {row["turn_id"]: row for row in server.rows("SELECT * FROM ratings")}
    assert seen.ratings.keys() <= kept.keys(), "an acknowledged rating is gone"
    assert all(kept[turn_id]["correction"] == f"better for {turn_id}" for turn_id in seen.ratings)
    assert server.rows("PRAGMA integrity_check")[0][0] == "ok"


async def _send_again(server: Server, seen: Seen) -> None:
    """What a page does that lost its connection: the same question with the same id."""
    for event, text in seen.questions.items():
        person, _, event_id = event.partition(":")
        async with aiohttp.ClientSession(server.url, cookies={"care_user": person}) as session:
            await _ask(session, seen, person, event_id, text)
