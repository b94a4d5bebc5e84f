"""SIGTERM with answers in flight: what can finish does, the rest is answered at the next start."""

import asyncio
import contextlib
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.serving import Server, completion, events

_IN_FLIGHT = 8


async def _read(session: aiohttp.ClientSession, number: int, begun: asyncio.Semaphore) -> tuple[str, str]:
    """The turn's id and as much of the answer as came."""
    text, turn_id = "", ""
    try:
        async with session.post("/v1/chat/completions", json=completion(f"question {number}", stream=True)) as response:
            async for _, data in events(response):
                if not turn_id:
                    turn_id = data["id"]
                    begun.release()
                if "error" in data:
                    assert data["error"]["code"] == "not_ready"
                    break
                text += data["choices"][0]["delta"].get("content", "")
    except aiohttp.ClientError:
        pass
    return turn_id, text


@pytest.mark.parametrize(("pause", "drain", "finish"), [(0.05, "20", True), (2.0, "1", False)])
async def test_sigterm_with_eight_in_flight_loses_nothing(tmp_path: Path, pause: float, drain: str, finish: bool) -> None:
    home = tmp_path / "home"
    begun = asyncio.Semaphore(0)
    with Server.scripted(home, pause=pause, settings={"CARE_DRAIN_SECONDS": drain}) as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            readers = [asyncio.create_task(_read(session, number, begun)) for number in range(_IN_FLIGHT)]
            for _ in range(_IN_FLIGHT):
                await begun.acquire()
            server.process.send_signal(signal.SIGTERM)
            read = dict(await asyncio.gather(*readers))
        assert await asyncio.to_thread(server.wait) == 0
        unfinished = server.rows("SELECT id FROM turns WHERE status IN ('received', 'answering')")
        assert len(unfinished) == (0 if finish else _IN_FLIGHT)
        assert finish == all(text.endswith("Bye.") for text in read.values())
    with Server.scripted(home) as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
        await server.settled()
        answers = {row["id"]: row["answer"] for row in server.rows("SELECT id, answer FROM turns")}
    assert answers.keys() == read.keys()
    assert all(answer.startswith("You asked: question") and answer.endswith("Bye.") for answer in answers.values())


async def test_a_server_whose_engine_breaks_ends_so_that_it_is_started_again(tmp_path: Path) -> None:
    with Server.scripted(tmp_path / "home", "--break-at", "3") as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            with contextlib.suppress(aiohttp.ClientError):
                for number in range(3):
                    async with session.post("/v1/chat/completions", json=completion(f"question {number}")) as response:
                        await response.read()
            assert await asyncio.to_thread(server.wait) == 1
    assert "the script broke" in server.log()
    with Server.scripted(tmp_path / "home") as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
        await server.settled()
        assert len(server.rows("SELECT id FROM turns WHERE status IN ('answered', 'delivered')")) == 3
