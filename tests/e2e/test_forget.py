"""`care forget` beside a running server: it serves a LoRA without the person's words, and an answer in the making is erased too."""

import asyncio
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from bot.store import Store
from bot.turns import Question
from model.shelf import Shelf
from tests.e2e.serving import CARE, Server, completion, running
from tests.fakes.loras import draft, shelved, weights_folder

SECRET = "xylophone"


def care(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CARE_", "SLACK_"))}
    return subprocess.run(
        [str(CARE), *arguments], env={**environment, "CARE_HOME": str(home)}, cwd=home, capture_output=True, text=True, timeout=60
    )


def learned_from(home: Path) -> None:
    """A clean LoRA, and a live one that was trained on a turn of the person "ada"."""
    home.mkdir(parents=True)
    store = Store(home / "care.db")
    store.receive(Question("api", "e1", "c1", "ada", f"my {SECRET}", datetime.now(UTC)), "1", "other")
    store.close()
    shelf = Shelf(home / "loras")
    clean = draft("clean")
    object.__setattr__(clean, "example_ids", ("starter/1",))
    shelf.add(clean, weights_folder(home.parent / "clean"))
    shelved(shelf, "theirs", seed=1)  # its manifest names turn/1
    for name in ("clean", "theirs"):
        shelf.promote(name, by="test", reason="test")


async def test_a_running_server_serves_what_is_clean_and_keeps_nothing_of_the_person(tmp_path: Path) -> None:
    home = tmp_path / "home"
    learned_from(home)
    async with running(Server.scripted(home, pause=0.3)) as server, aiohttp.ClientSession() as session:
        await server.ready(session)
        asking = asyncio.create_task(_ask(session, server, f"tell me of my {SECRET} at home"))
        while not server.rows("SELECT 1 FROM turns WHERE status = 'answering'"):
            await asyncio.sleep(0.05)
        done = await asyncio.to_thread(care, home, "forget", "api:ada", "--yes", "--json")
        assert done.returncode == 0, done.stderr
        receipt = json.loads(done.stdout)
        assert (receipt["turns"], receipt["loras"], receipt["live"]) == (2, ["theirs"], "clean")
        async with session.get(f"{server.url}/readyz") as response:
            assert (await response.json())["lora"] == "clean"
        assert SECRET in await asking  # who asked still gets the answer
        assert server.rows("SELECT * FROM turns") == []
        listed = json.loads((await asyncio.to_thread(care, home, "loras", "--json")).stdout)
        assert {each["id"]: each["state"] for each in listed} == {"clean": "live", "theirs": "quarantined"}
        files = [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
        assert files == []


async def _ask(session: aiohttp.ClientSession, server: Server, text: str) -> str:
    async with session.post(f"{server.url}/v1/chat/completions", json=completion(text, user="ada")) as response:
        told = await response.json()
        return str(told["choices"][0]["message"]["content"])
