"""What a night promotes answers a share of the conversations of the real server first; what fails there never answers all."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from bot import promotion
from model.shelf import Shelf
from tests.e2e.serving import Server, completion
from tests.e2e.test_shelf import care, home, shelf  # noqa: F401  # fixtures


async def test_a_canary_answers_its_share_until_its_hours_are_over(home: Path, shelf: Shelf) -> None:  # noqa: F811
    settings = {"CARE_CANARY_SHARE": "50", "CARE_CANARY_HOURS": "1"}
    with Server.scripted(home, settings=settings) as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            assert await asyncio.to_thread(promotion.try_out, shelf, home, "n1", by="night", reason="every gate passed")
            assert (shelf.canary(), shelf.live()) == ("n1", None)
            for _ in range(2):
                for number in range(16):
                    body = completion("hello", metadata={"conversation_id": f"c{number}"})
                    async with session.post("/v1/chat/completions", json=body) as response:
                        assert response.status == 200
            await server.settled()
            rows = server.rows("SELECT conversation_id, count(DISTINCT coalesce(lora_id, 'base')) AS n FROM turns GROUP BY 1")
            assert [row["n"] for row in rows] == [1] * 16, "a conversation stays with who answered it"
            assert {row["lora_id"] for row in server.rows("SELECT DISTINCT lora_id FROM turns")} == {None, "n1"}
            listed = json.loads((await asyncio.to_thread(care, home, "loras", "--json")).stdout)
            assert [(each["state"], each["served"]) for each in listed if each["id"] == "n1"] == [("canary", True)]
            assert listed[-1]["last_change"]["reason"] == "every gate passed"
            ended = json.loads((await asyncio.to_thread(care, home, "rollback", "--yes", "--json")).stdout)
            assert (ended["action"], ended["before"], shelf.canary()) == ("withdraw", "n1", None)


async def test_without_hours_it_answers_all_as_soon_as_its_smoke_test_passed(home: Path, shelf: Shelf) -> None:  # noqa: F811
    with Server.scripted(home, settings={"CARE_CANARY_HOURS": "0"}) as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            assert await asyncio.to_thread(promotion.try_out, shelf, home, "n1", by="night", reason="every gate passed")
            await asyncio.to_thread(promotion.wait_until_live, home, "n1")
            assert (shelf.live(), shelf.canary()) == ("n1", None)
            assert shelf.history()[-1].by == "watch"


async def test_one_that_answers_nonsense_is_taken_back_while_the_night_looks_on(home: Path, shelf: Shelf) -> None:  # noqa: F811
    with Server.scripted(home, "--nonsense-lora", "n2") as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            with pytest.raises(promotion.Reverted, match="smoke test failed: of 30 replies 30 went in circles"):
                await asyncio.to_thread(promotion.try_out, shelf, home, "n2", by="night", reason="every gate passed")
            assert (shelf.live(), shelf.canary()) == (None, None)


def test_without_a_server_there_is_nobody_to_try_it_on(home: Path, shelf: Shelf) -> None:  # noqa: F811
    assert not promotion.try_out(shelf, home, "n1", by="night", reason="every gate passed")
    assert shelf.canary() is None


async def test_a_bad_lora_that_somebody_forced_live_is_rolled_back_within_ninety_seconds(home: Path, shelf: Shelf) -> None:  # noqa: F811
    shelf.promote("n1", by="test", reason="before")
    with Server.scripted(home, "--nonsense-lora", "n2") as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            await asyncio.to_thread(care, home, "promote", "n2", "--force", "--yes")
            async with asyncio.timeout(90):
                while shelf.live() == "n2":
                    await asyncio.sleep(0.2)
            assert shelf.live() == "n1"
            [last] = [each for each in json.loads((await asyncio.to_thread(care, home, "loras", "--json")).stdout) if each["id"] == "n2"]
            assert (last["last_change"]["action"], last["last_change"]["by"]) == ("rollback", "watch")
            assert "smoke test failed" in last["last_change"]["reason"]
            notices = server.rows("SELECT kind, text FROM notices")
            assert [row["kind"] for row in notices] == ["rollback"]
