"""The server follows the shelf: what is live there answers here, and what can't be loaded changes nothing."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.watch import Watch
from model.errors import Busy, LoraDamaged
from model.shelf import WEIGHTS, Shelf
from tests.bot.conftest import Care, StartCare
from tests.fakes.engine import ScriptedEngine
from tests.fakes.loras import BASE, shelved


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "loras")


@pytest.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine()
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture
def watch(shelf: Shelf, engine: ScriptedEngine) -> Watch:
    return Watch(shelf, engine)


def promote(shelf: Shelf, *lora_ids: str) -> None:
    for seed, lora_id in enumerate(lora_ids):
        shelved(shelf, lora_id, seed=seed)
        shelf.promote(lora_id, by="test", reason="")


def tamper(shelf: Shelf, lora_id: str) -> None:
    (shelf.folder / lora_id / WEIGHTS).write_bytes(b"not what it was")


async def test_an_empty_shelf_leaves_the_base(watch: Watch, engine: ScriptedEngine) -> None:
    await watch.look()
    assert (engine.status().live, engine.status().loras, watch.fault) == (None, (), None)


async def test_what_becomes_live_is_served_at_the_next_look_and_so_is_its_rollback(
    watch: Watch, engine: ScriptedEngine, shelf: Shelf
) -> None:
    promote(shelf, "n1", "n2")
    await watch.look()
    assert engine.status().live == "n2"
    shelf.rollback(by="test", reason="")
    await watch.look()
    assert engine.status().live == "n1"
    shelf.rollback(by="test", reason="")
    await watch.look()
    assert engine.status().live is None


async def test_a_tampered_lora_changes_nothing_and_is_said_once(
    watch: Watch, engine: ScriptedEngine, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    promote(shelf, "n1")
    await watch.look()
    promote(shelf, "n2")
    tamper(shelf, "n2")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await watch.look()
    assert engine.status().live == "n1"
    assert watch.fault is not None
    assert watch.fault.lora == "n2"
    assert "not what its manifest lists" in watch.fault.message
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    shelf.rollback(by="test", reason="")
    await watch.look()
    assert watch.fault is None


@pytest.mark.parametrize("error", [LoraDamaged("other shapes"), Busy("no memory")])
async def test_an_engine_that_refuses_keeps_the_old_one(
    watch: Watch, engine: ScriptedEngine, shelf: Shelf, error: LoraDamaged | Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(shelf, "n1")
    await watch.look()
    engine.refuses["n2"] = error
    promote(shelf, "n2")
    await watch.look()
    assert engine.status().live == "n1"
    assert watch.fault is not None
    engine.refuses.clear()
    await watch.look()
    assert engine.status().live == "n1", "it is tried again after a minute, not at every look"
    monkeypatch.setattr("bot.watch._RETRY_SECONDS", 0.0)
    await watch.look()
    assert (engine.status().live, watch.fault) == ("n2", None)


async def test_a_lora_of_another_base_is_not_served(watch: Watch, engine: ScriptedEngine, shelf: Shelf) -> None:
    shelved(shelf, "n1", base=replace(BASE, weights_sha256="f" * 64))
    shelf.promote("n1", by="test", reason="")
    await watch.look()
    assert engine.status().live is None
    assert watch.fault is not None
    assert "set CARE_MODEL back" in watch.fault.message


async def test_at_a_start_with_a_damaged_live_lora_the_nearest_good_predecessor_answers(
    watch: Watch, engine: ScriptedEngine, shelf: Shelf
) -> None:
    promote(shelf, "n1", "n2", "n3")
    tamper(shelf, "n3")
    tamper(shelf, "n2")
    await watch.look()
    assert engine.status().live == "n1"
    assert watch.fault is not None
    assert watch.fault.lora == "n3"


async def test_a_link_that_leads_astray_changes_nothing(watch: Watch, engine: ScriptedEngine, shelf: Shelf) -> None:
    promote(shelf, "n1")
    await watch.look()
    (shelf.folder / "live").unlink()
    (shelf.folder / "live").symlink_to("/etc")
    for _ in range(2):
        await watch.look()
        assert engine.status().live == "n1"
        assert watch.fault is not None


async def test_live_its_predecessor_and_the_newest_others_are_at_hand_and_no_more(
    watch: Watch, engine: ScriptedEngine, shelf: Shelf
) -> None:
    promote(shelf, *(f"n{number}" for number in range(1, 7)))
    shelved(shelf, "n7", seed=7)
    shelved(shelf, "n8", seed=8, base=replace(BASE, quantization="none"))
    await watch.look()
    assert engine.status().live == "n6"
    assert set(engine.status().loras) == {"n6", "n5", "n7"}, "n8 is of another base: it takes a place, and is not loaded"
    shelf.rollback(by="test", reason="")
    await watch.look()
    assert {"n5", "n4"} < set(engine.status().loras)
    assert len(engine.status().loras) <= 4


async def test_readiness_says_what_is_served_and_stays_ready_over_a_damaged_one(start_care: StartCare, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "loras")
    promote(shelf, "n1")
    async with start_care() as care:
        told = await (await care.client.get("/readyz")).json()
        assert (told["status"], told["lora"], told["base"]["name"]) == ("ready", "n1", "scripted")
        promote(shelf, "n2")
        tamper(shelf, "n2")
        await care.watch.look()
        response = await care.client.get("/readyz")
        told = await response.json()
        assert (response.status, told["lora"], told["lora_fault"]["lora"]) == (200, "n1", "n2")
        assert 'care_lora_live{lora="n1"} 1.0' in await (await care.client.get("/metrics")).text()


async def test_a_turn_names_the_lora_that_answered_it(start_care: StartCare, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "loras")
    promote(shelf, "n1", "n2")
    async with start_care() as care:
        assert [model["id"] for model in (await (await care.client.get("/v1/models")).json())["data"]] == ["care", "base", "n2", "n1"]
        for model, lora_id in (("care", "n2"), ("base", None), ("n1", "n1")):
            assert await _answered_by(care, model) == lora_id
        shelf.rollback(by="test", reason="")
        await care.watch.look()
        assert await _answered_by(care, "care") == "n1"
        assert (await care.ask(model="n9"))["status"] == 404


async def _answered_by(care: Care, model: str) -> str | None:
    turn = care.store.turn((await care.ask(model=model))["id"])
    assert turn.reply is not None
    assert care.engine.requests[-1].lora == turn.reply.lora_id
    return turn.reply.lora_id


async def test_a_canary_that_could_not_be_loaded_is_told_of_and_tried_again(
    watch: Watch, engine: ScriptedEngine, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(shelf, "n1")
    await watch.look()
    shelved(shelf, "n2", seed=5)
    sound = (shelf.folder / "n2" / WEIGHTS).read_bytes()
    shelf.try_out("n2", by="test", reason="")
    tamper(shelf, "n2")
    for _ in range(3):
        await watch.look()
        assert watch.fault is not None
        assert (watch.fault.lora, watch.canary) == ("n2", None)
    (shelf.folder / "n2" / WEIGHTS).write_bytes(sound)
    monkeypatch.setattr("bot.watch._RETRY_SECONDS", 0.0)
    await watch.look()
    await watch.look()
    assert (watch.canary, watch.fault, engine.status().live) == ("n2", None, "n1")
