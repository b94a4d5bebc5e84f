"""A person gets all that is kept of them, and can be forgotten: in the database, in files, in what was trained."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot import forgetting
from bot.home import AlreadyRunning
from bot.notices import Notice
from bot.reviews import Review, Waiting
from bot.store import Forgotten, Store
from bot.turns import Question, Rating, Reply, Status, Turn, now
from model.chat import Message
from model.manifest import Draft
from model.shelf import Shelf
from tests.bot.conftest import Care, StartCare
from tests.bot.test_handovers import Platform
from tests.fakes.engine import ScriptedEngine
from tests.fakes.loras import draft, weights_folder
from train import runs
from train.examples import Example, write_snapshot

SECRET = "xylophone"
ADA, BOB = "U1", "U2"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    store = Store(home / "care.db")
    yield store
    store.close()


@pytest.fixture
def shelf(home: Path) -> Shelf:
    return Shelf(home / "loras")


def ask(store: Store, name: str, user: str, text: str, conversation: str = "c1", answer: str = "An answer.") -> Turn:
    question = Question(
        "slack", f"Ev {name}", conversation, user, text, now(), private=False, message=f"m {name}", user_name=f"Name of {user}"
    )
    store.receive(question, name, "other")
    store.shown(name, f"r {name}")
    return store.finish(name, Reply(answer, None, Status.ANSWERED, now()))


def people(store: Store) -> None:
    """Ada asks, Bob asks after her and alone, each says what they think of the other's answers."""
    ask(store, "ada1", ADA, f"my {SECRET} is broken", answer=f"Your {SECRET}?")
    ask(store, "bob1", BOB, "mine too", answer="Then buy new ones.")
    ask(store, "bob2", BOB, "something else", "c2")
    ask(store, "bob3", BOB, "something other", "c3")
    store.rate(Rating("ada1", BOB, 1, now()))
    store.rate(Rating("bob1", BOB, 1, now()))
    store.rate(Rating("bob2", ADA, -1, now(), f"no {SECRET}", f"use a {SECRET}"))
    store.rate(Rating("bob3", BOB, -1, now(), None, f"a {SECRET} is better", ADA))
    store.notify([Notice("n1", "taught", "slack", ADA, SECRET, f"You taught me {SECRET}", now())])
    store.queue_reviews(
        [Waiting("bob2", "other", "q", "", f"use a {SECRET}", "correction", "why", ("slack:U1", "slack:U2")),
         Waiting("bob3", "other", "q", "", "text", "correction", "why", ("slack:U2",))], now()
    )  # fmt: skip
    waiting = {each.turn_id: each for each in store.waiting_reviews()}
    store.review(Review("bob3", waiting["bob3"].sha256, "edited", "slack:U1", now(), f"edited {SECRET}"))
    store.introduced("slack", ADA, now())


def shelve(shelf: Shelf, name: str, *turn_ids: str, seed: int = 0) -> None:
    example_ids = tuple(f"turn/{turn_id}" for turn_id in turn_ids)
    made: Draft = replace(draft(name), example_ids=("starter/1", *example_ids))
    shelf.add(made, weights_folder(shelf.folder.parent / "trained" / name, seed=seed))


def example(turn_id: str, text: str, raters: tuple[str, ...] = ()) -> Example:
    return Example(f"turn/{turn_id}", "c", (Message("user", text),), "answer", "other", "correction", "internal", (turn_id,), raters)


def night(home: Path, name: str, *examples: Example, finished: bool = True) -> Path:
    """What a night leaves."""
    snapshot = write_snapshot(examples, home / "runs" / "snapshots")
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    runs.write_json(folder / "run.json", {"key": name, "snapshot": snapshot.sha256})
    for part in ("candidate", "checkpoints"):
        (folder / part).mkdir()
        (folder / part / "weights").write_text(f"weights of {SECRET}")
    quoted = {each.id: {"candidate": f"about {SECRET}" if each.id == "turn/ada1" else "fine"} for each in examples}
    runs.write_json(
        folder / "report.json",
        {
            "samples": quoted,
            "questions": {each.id: SECRET if each.id == "turn/ada1" else "fine" for each in examples},
            "taught": [{"turn_id": "ada1", "question": SECRET}],
            "waiting": [{"turn_id": "bob3", "why": "other"}],
            "verdict": "kept",
        },
    )
    (folder / "report.html").write_text(f"<p>{SECRET}</p>")
    if finished:
        runs.write_json(folder / "finished.json", {"verdict": "kept"})
    return folder


def holding(home: Path, text: str = SECRET) -> list[str]:
    """Files with these bytes in them."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and text.encode() in path.read_bytes())


def test_a_person_leaves_no_byte_in_the_database_or_its_log(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    assert holding(home)
    receipt = forgetting.forget(store, shelf, home, "slack", ADA)
    assert (receipt.turns, receipt.ratings, receipt.loras, receipt.waits_for_night) == (1, 1, (), False)
    assert holding(home) == []
    assert holding(home, "Name of U1") == []
    assert holding(home, "slack:U1") == []
    assert [turn.id for turn in store.thread("slack", "c1")] == ["bob1"]
    rated = {each.turn.id: each.ratings for each in store.rated()[0]}
    assert {name: [rating.correction for rating in ratings] for name, ratings in rated.items()} == {"bob1": [None], "bob3": [None]}
    assert store.reviews() == []
    assert store.answered_by("slack", "r ada1") is None


def test_who_is_forgotten_while_an_answer_introduces_care_is_not_remembered_as_introduced(store: Store, shelf: Shelf, home: Path) -> None:
    ask(store, "ada1", ADA, "hello")
    forgetting.forget(store, shelf, home, "slack", ADA)
    store.introduced("slack", ADA, now(), "ada1")
    assert store.kept_of("slack", ADA)["introduced_at"] is None
    assert not store.is_introduced("slack", ADA)


@pytest.mark.parametrize(
    ("platform", "place", "first", "begun"),
    [("slack", "T1/D1", "T1/D1/1.0", "T1/D1/2.0"), ("teams", "a:chat", "a:chat", "a:chat/new/7"), ("teams", "a:chat", "", "a:chat/new/7")],
)
def test_a_conversation_that_was_only_begun_is_given_out_and_forgotten_too(
    store: Store, shelf: Shelf, home: Path, platform: str, place: str, first: str, begun: str
) -> None:
    """Asked, then `new`, then `forget me`."""
    if first:
        store.receive(Question(platform, "Ev1", first, ADA, "hello", now()), "t1", "other")
    else:
        store.reached(platform, place, "address", ADA, now())
    store.begin_new(platform, place, begun)
    store.begin_new(platform, f"{place}2", f"{begun}2")
    assert store.kept_of(platform, ADA)["conversations_gone_on_with"] == [{"place": place, "conversation_id": begun}]
    forgetting.forget(store, shelf, home, platform, ADA)
    assert store.newest(platform, place) is None
    assert store.newest(platform, f"{place}2") == f"{begun}2", "somebody else's goes on"


def test_others_keep_what_is_theirs(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    before = store.kept_of("slack", BOB)["turns"]
    forgetting.forget(store, shelf, home, "slack", ADA)
    forgetting.forget(store, shelf, home, "teams", BOB)
    assert store.kept_of("slack", BOB)["turns"] == before


def test_an_opt_out_stays_and_what_was_erased_does_not_come_back(store: Store, shelf: Shelf, home: Path) -> None:
    ask(store, "ada1", ADA, "hello")
    store.opt_out("slack", ADA, now())
    forgetting.forget(store, shelf, home, "slack", ADA)
    assert store.opted_out() == {"slack:U1"}
    for event_id, message in (("Ev ada1", "other"), ("other", "m ada1")):
        with pytest.raises(Forgotten):
            store.receive(Question("slack", event_id, "c1", ADA, "hello", now(), message=message), "again", "other")
    assert not store.is_introduced("slack", ADA)


def test_loras_that_learned_from_a_person_never_answer_again(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    for number, (name, learned) in enumerate(
        {"clean": "bob9", "theirs": "ada1", "after": "bob1", "corrected": "bob2", "newest": "bob3"}.items()
    ):
        shelve(shelf, name, learned, seed=number)
        shelf.promote(name, by="test", reason="test")
    receipt = forgetting.forget(store, shelf, home, "slack", ADA)
    assert receipt.loras == ("after", "corrected", "newest", "theirs")
    assert (receipt.live, shelf.live(), [entry.id for entry in shelf.list()]) == ("clean", "clean", ["clean"])
    assert [lora.id for lora in shelf.quarantined()] == ["after", "corrected", "newest", "theirs"]
    assert [path.name for path in (shelf.folder / ".quarantine").glob("*/*")] == ["manifest.json"] * 4
    [notice] = store.untold("slack", receipt.at)
    assert "clean answers; the next night trains a new one" in notice.text
    assert shelf.rollback(by="test", reason="test").lora_id is None


def test_a_canary_that_learned_from_a_person_ends_and_the_base_answers(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    shelve(shelf, "first", "ada1")
    shelve(shelf, "second", "ada1", seed=1)
    shelf.promote("first", by="test", reason="test")
    shelf.try_out("second", by="test", reason="test")
    receipt = forgetting.forget(store, shelf, home, "slack", ADA)
    assert (receipt.live, shelf.live(), shelf.canary()) == (None, None, None)


def test_loras_without_a_persons_words_go_on(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    shelve(shelf, "first", "bob9")
    shelf.promote("first", by="test", reason="test")
    assert forgetting.forget(store, shelf, home, "slack", ADA).loras == ()
    assert shelf.live() == "first"


def test_what_nights_left_of_a_person_goes_and_the_figures_stay(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    other = night(home, "2026-11-20", example("bob9", "fine"))
    (other / "report.html").write_text("fine")
    runs.write_json(other / "report.json", {"samples": {}})
    (other / "candidate" / "weights").write_text("fine")
    (other / "checkpoints" / "weights").write_text("fine")
    theirs = night(home, "2026-11-21", example("ada1", f"my {SECRET}"), example("bob8", "fine"))
    rated = night(home, "2026-11-22", example("bob7", "fine", ("slack:U1",)))
    stopped = night(home, "2026-11-23", example("bob1", f"after {SECRET}"), finished=False)
    (home / "cache").mkdir()
    (home / "cache" / "curation.db").write_text("what was found of texts")
    (home / "care.db.before-erasures-1").write_text(SECRET)
    (home / "care.db.corrupt-1").write_text("of before")
    receipt = forgetting.forget(store, shelf, home, "slack", ADA)
    assert holding(home) == []
    assert not stopped.exists()
    told = json.loads((theirs / "report.json").read_text())
    assert told == {
        "samples": {"turn/bob8": {"candidate": "fine"}},
        "questions": {"turn/bob8": "fine"},
        "taught": [],
        "waiting": [],
        "verdict": "kept",
    }
    assert (rated / "report.json").exists()
    assert holding(home / "runs", "slack:U1") == []
    assert sorted(path.name for path in other.iterdir()) == [
        "candidate",
        "checkpoints",
        "finished.json",
        "report.html",
        "report.json",
        "run.json",
    ]
    assert len(list((home / "runs" / "snapshots").iterdir())) == 1
    assert receipt.left == (str(home / "care.db.corrupt-1"),)
    assert receipt.files > 10


def test_a_crash_between_the_database_and_the_files_is_made_up_for(
    store: Store, shelf: Shelf, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(store)
    shelve(shelf, "first", "ada1")
    shelf.promote("first", by="test", reason="test")
    night(home, "2026-11-21", example("ada1", f"my {SECRET}"))
    monkeypatch.setattr(forgetting.traces, "clean", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        forgetting.forget(store, shelf, home, "slack", ADA)
    assert holding(home)
    monkeypatch.undo()
    [receipt] = forgetting.finish(store, shelf, home)
    assert (receipt.turns, holding(home), store.pending_erasures()) == (1, [], [])
    assert forgetting.finish(store, shelf, home) == []


def test_what_a_running_night_has_in_hand_it_clears_away_itself(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    with runs.only_night(home):
        folder = night(home, "2026-11-25", example("ada1", f"my {SECRET}"), finished=False)
        receipt = forgetting.forget(store, shelf, home, "slack", ADA)
        assert receipt.waits_for_night
        assert folder.exists()
        assert holding(home, f"my {SECRET}")
        [last] = forgetting.finish(store, shelf, home, within_night=True)
        assert not last.waits_for_night
    assert holding(home) == []
    assert not folder.exists()


def test_a_reader_that_holds_the_log_is_waited_for(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    reader = sqlite3.connect(home / "care.db")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM turns").fetchall()
    store._connection.execute("PRAGMA busy_timeout = 1")
    forgetting.forget(store, shelf, home, "slack", ADA)
    assert holding(home) == ["care.db-wal"]
    assert len(store.pending_erasures()) == 1
    reader.close()
    forgetting.finish(store, shelf, home)
    assert (holding(home), store.pending_erasures()) == ([], [])


def test_the_receipt_says_nothing_of_who_or_what(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    receipt = forgetting.forget(store, shelf, home, "slack", ADA)
    kept = "".join(str(tuple(row)) for row in store._rows("SELECT * FROM erasures"))
    assert receipt.id in kept
    for word in (SECRET, ADA, "ada1"):
        assert word not in kept.replace(receipt.id, "")


def test_forgetting_again_or_somebody_unheard_of_is_without_harm(store: Store, shelf: Shelf, home: Path) -> None:
    people(store)
    for user in (ADA, ADA, "U404"):
        receipt = forgetting.forget(store, shelf, home, "slack", user)
    assert (receipt.turns, receipt.ratings) == (0, 0)


async def test_an_answer_that_is_being_written_is_erased_too(start_care: StartCare) -> None:
    going_on = asyncio.Event()
    async with start_care(ScriptedEngine(step=going_on.wait)) as care:
        care.service.connect(Platform())
        await care.service.ask(Question("slack", "Ev1", "c1", ADA, f"my {SECRET}", now(), message="m1"))
        forgetting = asyncio.create_task(care.service.forget("slack", ADA))
        await asyncio.sleep(0.05)
        going_on.set()
        assert (await forgetting).turns == 1
        assert holding(care.store.path.parent) == []


async def test_another_process_may_forget_while_the_answer_is_written(start_care: StartCare) -> None:
    going_on = asyncio.Event()
    async with start_care(ScriptedEngine(step=going_on.wait)) as care:
        platform = Platform()
        care.service.connect(platform)
        turn, _ = await care.service.ask(Question("slack", "Ev1", "c1", ADA, f"my {SECRET}", now(), message="m1"))
        while not care.engine.requests:
            await asyncio.sleep(0.01)
        elsewhere = Store(care.store.path)
        receipt = await asyncio.to_thread(forgetting.forget, elsewhere, care.shelf, care.store.path.parent, "slack", ADA)
        elsewhere.close()
        going_on.set()
        while care.service.cancel(turn.id):
            await asyncio.sleep(0.01)
        assert receipt.turns == 1
        assert platform.finished
        assert holding(care.store.path.parent) == []
        assert care.store.counts() == {}


async def test_the_next_start_goes_on_with_what_was_left(start_care: StartCare, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start_care() as care:
        people(care.store)
        night(home, "2026-11-21", example("ada1", f"my {SECRET}"))
        monkeypatch.setattr(forgetting.traces, "clean", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await care.service.forget("slack", ADA)
        monkeypatch.undo()
    async with start_care() as care:
        await care.service.finish_forgetting()
        assert holding(home) == []


async def test_a_person_gets_all_that_is_kept_of_them(care: Care) -> None:
    people(care.store)
    told = json.loads(await care.service.export("slack", ADA))
    assert told["person"] == "slack:U1"
    assert [(turn["question"], turn["answer"]) for turn in told["turns"]] == [(f"my {SECRET} is broken", f"Your {SECRET}?")]
    assert [rating["correction"] for rating in told["ratings"]] == [f"use a {SECRET}"]
    assert [each["correction"] for each in told["taught_by_others"]] == [f"a {SECRET} is better"]
    assert [review["edited"] for review in told["reviews"]] == [f"edited {SECRET}"]
    assert (len(told["notices"]), told["opted_out_at"], told["introduced_at"] is not None) == (1, None, True)
    assert json.loads(await care.service.export("slack", "U404"))["turns"] == []


def care_command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from bot.cli import main; main()", *arguments]
    return subprocess.run(command, env={"CARE_HOME": str(home), "PATH": ""}, cwd=home.parent, capture_output=True, text=True)


def test_the_commands_export_and_forget(store: Store, home: Path) -> None:
    people(store)
    exported = care_command(home, "export", "slack:U1")
    assert json.loads(exported.stdout)["turns"][0]["id"] == "ada1"
    refused = care_command(home, "forget", "slack:U1")
    assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
    assert care_command(home, "forget", "U1", "--yes").returncode == 2
    done = care_command(home, "forget", "slack:U1", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["turns"]) == (0, 1)
    assert holding(home) == []
    said = care_command(home, "forget", "slack:U1", "--yes")
    assert said.stdout.startswith("erased: 0 turns")
    assert care_command(home / "elsewhere", "export", "slack:U1").returncode == 2


def test_two_nights_still_exclude_each_other(home: Path) -> None:
    with runs.only_night(home), pytest.raises(AlreadyRunning):
        runs.only_night(home).__enter__()


async def test_a_deleted_message_goes_from_what_nights_left_too(start_care: StartCare, home: Path) -> None:
    async with start_care() as care:
        people(care.store)
        shelve(care.shelf, "first", "ada1")
        care.shelf.promote("first", by="test", reason="test")
        night(home, "2026-11-21", example("bob1", f"after my {SECRET}"))
        night(home, "2026-11-22", example("bob9", "fine"))
        await care.service.forget_message("slack", "m ada1")
        await asyncio.gather(*care.service._clearing)
        assert care.store.pending_erasures() == []
        assert len(list((home / "runs" / "snapshots").iterdir())) == 1
        assert care.shelf.live() == "first"  # until the next night


async def test_a_deleted_conversation_goes_from_what_nights_left_too(start_care: StartCare, home: Path) -> None:
    async with start_care() as care:
        people(care.store)
        night(home, "2026-11-21", example("bob2", "something else"))
        assert await care.service.delete_conversation("slack", "c2", BOB) == 1
    assert list((home / "runs" / "snapshots").iterdir()) == []


async def test_what_can_not_be_cleared_away_keeps_nobody_from_being_answered(
    start_care: StartCare, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    async with start_care() as care:
        people(care.store)
        monkeypatch.setattr(forgetting.traces, "clean", refuse)
        with pytest.raises(PermissionError):
            await care.service.forget("slack", ADA)
        await care.service.finish_forgetting()
        assert len(care.store.pending_erasures()) == 1
        assert (await care.ask())["status"] == 200
