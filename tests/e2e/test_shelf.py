"""Operators change what is live with `care loras`, `promote` and `rollback`; the real server follows without a failed request."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from model.shelf import WEIGHTS, Shelf
from tests.e2e.serving import CARE, Server, completion, events
from tests.e2e.warm import warm
from tests.fakes.loras import BASE, shelved
from tests.seconds import within


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def shelf(home: Path) -> Shelf:
    shelf = Shelf(home / "loras")
    for seed, lora_id in enumerate(("n1", "n2")):
        shelved(shelf, lora_id, seed=seed)
    return shelf


@pytest.fixture
def server(home: Path, shelf: Shelf) -> Iterator[Server]:
    with Server.scripted(home, pause=0.05) as running:
        yield running


def care(home: Path, *arguments: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
    """A command of `care`, without a terminal."""
    done = warm().run(arguments, {"CARE_HOME": str(home), "PATH": "/usr/bin:/bin"})
    assert done.returncode == exits, done.stderr
    assert "Traceback" not in done.stderr
    return done


async def test_streams_that_run_through_a_promotion_end_well_and_name_the_lora_they_began_with(
    home: Path, server: Server, shelf: Shelf
) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        await server.ready(session)

        async def stream(number: int) -> None:
            body = completion(f"one two three four five six {number}", stream=True)
            async with session.post("/v1/chat/completions", json=body) as response:
                assert response.status == 200
                ends = [data["choices"][0]["finish_reason"] async for _, data in events(response)]
            assert ends[-1] == "stop"

        before = [asyncio.create_task(stream(number)) for number in range(4)]
        while not server.rows("SELECT 1 FROM turns WHERE status = 'answering'"):
            await asyncio.sleep(0.01)
        promoted = json.loads((await asyncio.to_thread(care, home, "promote", "n1", "--yes", "--json")).stdout)
        after = [asyncio.create_task(stream(number)) for number in range(4, 8)]
        await asyncio.gather(*before, *after)
        assert promoted["live"] == "n1"
        await server.settled()
        rows = server.rows("SELECT lora_id FROM turns ORDER BY rowid")
        assert [row["lora_id"] for row in rows] == [None] * 4 + ["n1"] * 4


def _cold(home: Path, *arguments: str) -> str:
    """What the command says when an operator starts it."""
    return subprocess.run([CARE, *arguments], env={"CARE_HOME": str(home)}, capture_output=True, text=True, check=True).stdout


@pytest.mark.alone
async def test_a_promotion_is_served_within_three_seconds_and_a_rollback_within_five(home: Path, server: Server, shelf: Shelf) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        await server.ready(session)
        within(3.0, [json.loads(care(home, "promote", "n1", "--yes", "--json").stdout)["seconds"]])
        care(home, "promote", "n2", "--yes")
        began = time.monotonic()
        said = _cold(home, "rollback", "--yes", "--reason", "people complain")
        within(5.0, [time.monotonic() - began])
        assert said.startswith("live: n1 (before: n2); served after")
        async with session.get("/readyz") as response:
            assert (await response.json())["lora"] == "n1"
        assert shelf.history()[-1].reason == "people complain"
        assert "n1  live" in care(home, "loras").stdout
        assert "lora     n1" in care(home, "status").stdout


async def test_what_is_damaged_foreign_or_unknown_is_refused_and_the_old_one_serves_on(home: Path, server: Server, shelf: Shelf) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        await server.ready(session)
        care(home, "promote", "n1", "--yes")
        (shelf.folder / "n2" / WEIGHTS).write_bytes(b"tampered")
        shelved(shelf, "foreign", seed=3, base=replace(BASE, weights_sha256="f" * 64))
        shelved(shelf, "worse", seed=4, accepted=False)
        shelved(shelf, "alone", seed=5, control=True)
        assert "not what its manifest lists" in care(home, "promote", "n2", "--yes", exits=20).stderr
        assert "was trained on scripted" in care(home, "promote", "foreign", "--yes", exits=20).stderr
        assert "there is no LoRA 'n9'" in care(home, "promote", "n9", "--yes", exits=2).stderr
        assert "answer loss against the base (0.1, limit 0)" in care(home, "promote", "worse", "--yes", exits=11).stderr
        assert "is a control" in care(home, "promote", "alone", "--yes", exits=11).stderr
        assert "add --yes" in care(home, "promote", "n1", exits=2).stderr
        async with session.get("/readyz") as response:
            assert (await response.json())["lora"] == "n1"
        care(home, "promote", "worse", "--yes", "--force")
        assert shelf.live() == "worse"


def test_what_the_server_can_not_load_is_taken_back(home: Path, shelf: Shelf) -> None:
    care(home, "promote", "n1", "--yes")
    with Server.scripted(home, "--refuse-lora", "n2") as server:
        asyncio.run(_ready(server))
        said = care(home, "promote", "n2", "--yes", exits=12).stderr
        assert "promoted and taken back (the script refuses it); n1 is live" in said
        assert shelf.live() == "n1"
        assert json.loads(care(home, "status", "--json").stdout)["served"] == "n1"


async def _ready(server: Server) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        await server.ready(session)


def test_without_a_server_the_next_start_serves_it(home: Path, shelf: Shelf) -> None:
    assert "the next start serves it" in care(home, "promote", "n1", "--yes").stdout
    told = json.loads(care(home, "loras", "--json").stdout)
    assert [(row["id"], row["state"], row["served"]) for row in told] == [("n2", "candidate", False), ("n1", "live", False)]
    assert told[1]["example_ids"] == ["turn/1", "starter/2"]
    with Server.scripted(home) as server:
        asyncio.run(_ready(server))
        assert json.loads(care(home, "status", "--json").stdout)["served"] == "n1"
    care(home, "rollback", "--yes")
    assert "the base is live" in care(home, "rollback", "--yes", exits=2).stderr


def test_an_empty_shelf_says_so(tmp_path: Path) -> None:
    done = care(tmp_path, "loras")
    assert (done.stdout, "the base answers" in done.stderr) == ("", True)
