"""What the service promises every platform: recorded before acknowledged, answered once, never refused afterwards."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from bot.connectors.base import ReaderLeft
from bot.store import StorageFull, StorageUnavailable, Store
from bot.turns import Question, Status, Turn, now
from model.engine import Request
from model.errors import Busy, NotReady
from tests.bot.conftest import Care, StartCare
from tests.fakes.engine import ScriptedEngine, echo

QUESTION = Question("slack", "event 1", "C1:1.0", "U1", "Why is my router slow?", now())


class Platform:
    """A platform of our own that remembers what it was told to show."""

    platform = "slack"

    def __init__(self, leaves_after: int | None = None) -> None:
        self.shown: dict[str, list[str]] = {}
        self.finished: list[Turn] = []
        self.interrupted: list[str] = []
        self.opened: list[tuple[str, str | None]] = []
        self.leaves_after = leaves_after
        self.places: list[tuple[str, int]] = []

    def open(self, turn: Turn) -> "Delivery":
        self.opened.append((turn.id, turn.reply_ref))
        return Delivery(self, turn)


class Delivery:
    def __init__(self, platform: Platform, turn: Turn) -> None:
        self.platform = platform
        self.turn_id = turn.id
        self.pieces = platform.shown.setdefault(turn.id, [])
        self.ref = turn.reply_ref or f"message of {turn.id}"

    async def begin(self) -> str:
        return self.ref

    async def waits(self, place: int) -> None:
        self.platform.places.append((self.turn_id, place))

    async def show(self, piece: str) -> None:
        if self.platform.leaves_after is not None and len(self.pieces) >= self.platform.leaves_after:
            raise ReaderLeft
        self.pieces.append(piece)

    async def finish(self, turn: Turn) -> bool:
        self.platform.finished.append(turn)
        return True

    def interrupt(self) -> None:
        self.platform.interrupted.append(self.ref)


async def test_a_platform_sees_an_answer_begin_grow_and_end(care: Care) -> None:
    platform = Platform()
    care.service.connect(platform)
    turn, fresh = await care.service.receive(QUESTION)
    assert fresh
    ended = await care.service.wait(turn.id)
    assert ended.status is Status.DELIVERED
    assert ended.reply_ref == f"message of {turn.id}"
    assert "".join(platform.shown[turn.id]) == ended.reply.text == "You asked: Why is my router slow? Bye."
    assert platform.finished[0].status is Status.ANSWERED


async def test_a_duplicate_event_is_answered_once(care: Care) -> None:
    care.service.connect(Platform())
    first, _ = await care.service.receive(QUESTION)
    again, fresh = await care.service.receive(replace(QUESTION, text="something else"))
    assert (again.id, fresh) == (first.id, False)
    await care.service.wait(first.id)
    assert len(care.engine.requests) == 1


async def test_a_question_received_before_the_model_is_loaded_is_answered_afterwards(start_care: StartCare) -> None:
    async with start_care(ready=False) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.receive(QUESTION)
        assert turn.status is Status.RECEIVED
        await care.engine.start()
        care.service.engine_ready()
        assert (await care.service.wait(turn.id)).status is Status.DELIVERED


async def test_what_was_acknowledged_waits_for_room_and_is_never_refused(start_care: StartCare) -> None:
    async with start_care(ScriptedEngine(slots=1, queue=1)) as care:
        care.service.connect(Platform())
        received = [await care.service.receive(replace(QUESTION, event_id=f"event {n}")) for n in range(20)]
        ended = [await care.service.wait(turn.id) for turn, _ in received]
        assert {turn.status for turn in ended} == {Status.DELIVERED}


async def test_a_reader_who_leaves_cancels_the_turn(care: Care) -> None:
    care.service.connect(Platform(leaves_after=2))
    turn, _ = await care.service.receive(QUESTION)
    ended = await care.service.wait(turn.id)
    assert (ended.status, ended.reply.text) == (Status.CANCELLED, "You asked: Why ")
    assert care.engine.status().running == 0


async def test_a_question_sent_again_takes_up_an_answer_that_was_given_up(care: Care) -> None:
    """As after a stall of the disk: recorded, and nobody at work on it."""
    care.service.connect(Platform())
    lost = care.store.receive(QUESTION, "lost", "telecom")
    turn, fresh = await care.service.receive(QUESTION)
    assert (turn.id, fresh) == (lost.id, True)
    assert (await care.service.wait(lost.id)).status is Status.DELIVERED


async def test_an_engine_out_of_memory_is_asked_again(start_care: StartCare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.answering._BUSY_RETRY_SECONDS", 0.0)
    left = [2]

    def short_of_memory(request: Request) -> Sequence[str]:
        left[0] -= 1
        if left[0] >= 0:
            raise Busy("out of memory")
        return echo(request)

    async with start_care(ScriptedEngine(short_of_memory)) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.receive(QUESTION)
        assert (await care.service.wait(turn.id)).reply.text == "You asked: Why is my router slow? Bye."


async def test_a_store_that_does_not_begin_in_time_records_nothing(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.archive._DEADLINE_SECONDS", 0.01)
    care.service.connect(Platform())
    stalled = threading.Event()
    stalling = asyncio.create_task(care.service._archive.run(lambda store: stalled.wait(60)))
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await care.service.receive(QUESTION)
    stalled.set()
    assert await stalling
    assert care.store.counts() == {}


async def test_without_a_model_a_drain_does_not_wait(start_care: StartCare) -> None:
    async with start_care(ready=False) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.receive(QUESTION)
        await asyncio.wait_for(care.service.drain(600), 60)
        assert care.store.turn(turn.id).status is Status.RECEIVED


async def test_an_emergency_is_answered_with_numbers_even_when_nothing_else_can_be(start_care: StartCare) -> None:
    async with start_care(ready=False) as care:
        refused = await care.ask("My father can't breathe")
        assert refused["status"] == 503
        assert "call your local emergency number" in refused["error"]["message"].lower()


async def test_a_drain_lets_answers_finish(start_care: StartCare) -> None:
    gate = asyncio.Event()
    async with start_care(ScriptedEngine(step=gate.wait)) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.receive(QUESTION)
        draining = asyncio.create_task(care.service.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(NotReady, match="shutting down"):
            await care.service.receive(replace(QUESTION, event_id="event 2"))
        gate.set()
        await draining
        assert (await care.service.turn(turn.id)).status is Status.DELIVERED


async def test_what_a_drain_interrupts_is_answered_at_the_next_start_into_the_same_message(start_care: StartCare) -> None:
    async with start_care(ScriptedEngine(step=asyncio.Event().wait)) as care:
        before = Platform()
        care.service.connect(before)
        turn, _ = await care.service.receive(QUESTION)
        while not care.engine.requests:
            await asyncio.sleep(0)
        await care.service.drain(0)
        assert before.interrupted == [f"message of {turn.id}"]
        assert care.store.turn(turn.id).status is Status.ANSWERING
    async with start_care() as care:
        platform = Platform()
        care.service.connect(platform)
        assert await care.service.resume() == 1
        assert (await care.service.wait(turn.id)).status is Status.DELIVERED
        assert platform.opened == [(turn.id, f"message of {turn.id}")]
        assert await care.service.resume() == 0


async def test_a_stored_answer_that_was_not_delivered_is_only_delivered(start_care: StartCare) -> None:
    async with start_care() as care:
        platform = Platform()
        care.service.connect(platform)
        turn, _ = await care.service.receive(QUESTION)
        answered = await care.service.wait(turn.id)
        care.store._connection.execute("UPDATE turns SET status = 'answered'")
        care.store._connection.commit()
    async with start_care() as care:
        platform = Platform()
        care.service.connect(platform)
        await care.service.resume()
        assert (await care.service.wait(turn.id)).status is Status.DELIVERED
        assert platform.finished[0].reply.text == answered.reply.text
        assert care.engine.requests == []


async def test_a_full_disk_refuses_new_questions_and_keeps_what_is_being_answered(
    start_care: StartCare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.answering._SAVE_PAUSES", (0.0,))
    gate = asyncio.Event()
    async with start_care(ScriptedEngine(lambda request: ["a page and more " * 500], gate.wait)) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.receive(QUESTION)
        while not care.engine.requests:
            await asyncio.sleep(0)
        pages = care.store._connection.execute("PRAGMA page_count").fetchone()[0]
        care.store._connection.execute(f"PRAGMA max_page_count = {pages}")
        refused = await care.ask("a question that needs more than one page " * 50)
        assert (refused["status"], refused["error"]["code"]) == (503, "storage_full")
        gate.set()
        while "the store refuses" not in caplog.text:
            await asyncio.sleep(0)
        care.store._connection.execute("PRAGMA max_page_count = 1000000")
        assert (await care.service.wait(turn.id)).status is Status.DELIVERED


async def test_no_log_line_holds_the_text_of_a_message(care: Care, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await care.ask("xylophone")
    assert not any("xylophone" in str(vars(record)) for record in caplog.records)


async def test_metrics_count_turns_and_ratings_with_help_and_units(care: Care) -> None:
    answer = await care.ask("My router is slow")
    await care.client.post("/api/ratings", json={"turn_id": answer["id"], "user_id": "u", "verdict": -1})
    await care.ask("x " * 600)
    text = await (await care.client.get("/metrics")).text()
    for line in (
        'care_turns_total{domain="telecom",platform="api",status="answered"} 1.0',
        'care_ratings_total{verdict="-1"} 1.0',
        'care_refused_total{reason="ContextLengthExceeded"} 1.0',
        "care_engine_ready 1.0",
        "# HELP care_first_piece_seconds Seconds from a recorded question to its first piece of text.",
    ):
        assert line in text
    assert "xylophone" not in text


async def test_readiness_names_what_is_missing(start_care: StartCare, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start_care(ready=False) as care:
        assert (await care.client.get("/livez")).status == 200
        assert (await care.client.get("/readyz")).status == 503
        await care.engine.start()
        assert (await (await care.client.get("/readyz")).json()) == {
            "status": "ready",
            "lora": None,
            "base": asdict(care.engine.base),
            "canary": None,
            "smoke_tests": {},
        }

        def full(self: Store) -> None:
            raise StorageFull("the disk is full")

        monkeypatch.setattr(Store, "probe", full)
        monkeypatch.setattr("bot.service._PROBE_SECONDS", 0)
        answer = await care.client.get("/readyz")
        assert (answer.status, (await answer.json())["faults"]) == (503, ["the disk is full"])
