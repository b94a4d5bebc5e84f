import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Migrations

from bot import database
from bot.migrations import migrations
from bot.reviews import Waiting
from bot.store import DatabaseCorrupt, DatabaseTooNew, NotYours, StorageUnavailable, Store, UnknownTurn
from bot.turns import Prompt, Question, Rating, Reply, Status, Turn
from model.chat import Message
from model.engine import Sampling

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUESTION = Question("web", "e1", "c1", "ada", "Why?", NOON)
WAITING = Waiting("t1", "other", "Why?", "", "So.", "correction", "why", ())
REPLY = Reply("Because.", None, Status.ANSWERED, NOON, None, "stop", 3, 2)


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "care.db")
    yield opened
    opened.close()


def receive(store: Store, turn_id: str = "t1", **changes: object) -> Turn:
    return store.receive(replace(QUESTION, event_id=f"event of {turn_id}", **changes), turn_id, "other")


def answer(store: Store, turn_id: str) -> None:
    store.begin(turn_id)
    store.finish(turn_id, REPLY)


def test_a_question_comes_back_as_it_was_asked(store: Store) -> None:
    prompt = Prompt((Message("user", "Warum? 🙂"),), Sampling(0.5, 0.8, 7, 42, ("\n", "stop")), "base")
    question = replace(QUESTION, prompt=prompt, private=False)
    turn = store.receive(question, "t1", "banking")
    assert turn == Turn("t1", question, "banking", Status.RECEIVED)


def test_a_duplicate_event_is_recorded_once(store: Store) -> None:
    first = store.receive(QUESTION, "t1", "other")
    assert store.receive(QUESTION, "t2", "other") == first
    assert store.counts() == {Status.RECEIVED: 1}


def test_a_turn_ends_once(store: Store) -> None:
    receive(store)
    answer(store, "t1")
    store.finish("t1", replace(REPLY, text="Another.", status=Status.FAILED))
    assert store.turn("t1").reply == REPLY


def test_a_delivered_turn_stays_delivered(store: Store) -> None:
    receive(store)
    answer(store, "t1")
    store.delivered(["t1"])
    store.delivered(["t1"])
    store.shown("t1", "elsewhere")
    assert store.turn("t1").status is Status.DELIVERED


def test_only_what_is_unfinished_is_picked_up_oldest_first(store: Store) -> None:
    for turn_id in ("t1", "t2", "t3", "t4", "t5"):
        receive(store, turn_id)
    store.shown("t2", "message 2")
    store.begin("t2")
    answer(store, "t3")
    answer(store, "t4")
    store.delivered(["t4"])
    store.finish("t5", replace(REPLY, status=Status.CANCELLED))
    assert [(turn.id, turn.reply_ref) for turn in store.unfinished()] == [("t1", None), ("t2", "message 2"), ("t3", None)]


def test_history_is_what_was_answered_before_in_the_same_conversation(store: Store) -> None:
    receive(store, "t1")
    answer(store, "t1")
    receive(store, "elsewhere", conversation_id="c2")
    answer(store, "elsewhere")
    receive(store, "cancelled")
    store.finish("cancelled", replace(REPLY, status=Status.CANCELLED))
    receive(store, "t2")
    answer(store, "t2")
    now = receive(store, "t3")
    later = receive(store, "t4")
    answer(store, "t4")
    assert [turn.id for turn in store.history(now)] == ["t1", "t2"]
    assert [turn.id for turn in store.history(later)] == ["t1", "t2"]


def test_a_question_asked_again_takes_the_place_of_the_first(store: Store) -> None:
    receive(store, "t1")
    answer(store, "t1")
    again = receive(store, "t2", replaces="t1")
    assert store.history(again) == []
    assert [turn.id for turn in store.conversation("web", "c1", "ada").turns] == ["t2"]


def test_a_second_try_that_failed_does_not_hide_the_first_answer(store: Store) -> None:
    receive(store, "t1")
    answer(store, "t1")
    receive(store, "t2", replaces="t1")
    store.finish("t2", replace(REPLY, status=Status.FAILED))
    assert [turn.id for turn in store.conversation("web", "c1", "ada").turns] == ["t1", "t2"]
    assert [turn.id for turn in store.history(receive(store, "t3"))] == ["t1"]


def test_deleting_works_while_somebody_else_reads(store: Store, tmp_path: Path) -> None:
    receive(store)
    reader = sqlite3.connect(tmp_path / "care.db")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM turns").fetchall()
    store._connection.execute("PRAGMA busy_timeout = 1")
    assert store.delete_conversation("web", "c1", "ada", NOON) == 1
    reader.close()


def test_only_a_turn_of_the_same_conversation_can_be_replaced(store: Store) -> None:
    receive(store, "t1", conversation_id="c0")
    with pytest.raises(UnknownTurn, match="not in conversation"):
        receive(store, "t2", replaces="t1")
    with pytest.raises(UnknownTurn):
        receive(store, "t2", replaces="never")


def test_the_last_word_of_a_person_wins(store: Store) -> None:
    receive(store, private=False)
    store.rate(Rating("t1", "ada", 1, NOON))
    store.rate(Rating("t1", "bob", 1, NOON))
    store.rate(Rating("t1", "ada", -1, NOON, "wrong", "It is 42."))
    assert store.conversation("web", "c1", "ada").turns[0].rating == Rating("t1", "ada", -1, NOON, "wrong", "It is 42.")
    assert store.verdicts() == {1: 1, -1: 1}


def test_a_withdrawn_rating_stays_as_a_row(store: Store) -> None:
    receive(store)
    store.rate(Rating("t1", "ada", 1, NOON))
    store.rate(Rating("t1", "ada", 0, NOON))
    assert store.verdicts() == {0: 1}


def test_a_private_turn_is_its_askers_alone(store: Store) -> None:
    receive(store)
    with pytest.raises(NotYours):
        store.rate(Rating("t1", "eve", 1, NOON))
    with pytest.raises(NotYours):
        receive(store, "t2", user_id="eve")
    with pytest.raises(UnknownTurn):
        store.conversation("web", "c1", "eve")
    with pytest.raises(UnknownTurn):
        store.rate(Rating("never", "ada", 1, NOON))


def test_a_deleted_conversation_leaves_no_byte(store: Store, tmp_path: Path) -> None:
    receive(store, "t1", text="the secret word is xylophone")
    answer(store, "t1")
    store.rate(Rating("t1", "ada", -1, NOON, None, "xylophone indeed"))
    receive(store, "t2", conversation_id="c2")
    assert store.delete_conversation("web", "c1", "ada", NOON) == 1
    assert [head.id for head in store.conversations("web", "ada")] == ["c2"]
    assert not any(b"xylophone" in file.read_bytes() for file in tmp_path.iterdir())


def test_conversations_are_listed_by_their_first_question_last_used_first(store: Store) -> None:
    receive(store, "t1", text="first\n question")
    receive(store, "t2", conversation_id="c2", text="x" * 200)
    receive(store, "t3", text="second question")
    assert [(head.id, head.title) for head in store.conversations("web", "ada")] == [("c1", "first question"), ("c2", "x" * 80 + "…")]


def test_the_database_keeps_what_it_acknowledged(store: Store, tmp_path: Path) -> None:
    reader = sqlite3.connect(tmp_path / "care.db")
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    receive(store)
    assert reader.execute("SELECT id, status, lora_id, asked_at FROM turns").fetchall() == [
        ("t1", "received", None, "2026-01-01T12:00:00.000000+00:00")
    ]
    reader.close()


def test_a_corrupt_database_is_kept_aside_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "care.db"
    path.write_bytes(b"this is no database" * 500)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(DatabaseCorrupt, match="copied to"):
            Store(path)
    assert path.read_bytes() == before
    assert [aside.read_bytes() for aside in tmp_path.glob("care.db.corrupt-*")] == [before]


def test_damage_inside_a_database_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "care.db"
    opened = Store(path)
    for number in range(50):
        receive(opened, f"t{number}", text="x" * 2000)
    opened.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 : 4096 * 4] = os.urandom(4096)
    path.write_bytes(damaged)
    with pytest.raises(DatabaseCorrupt):
        Store(path)


def test_a_database_of_a_newer_care_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "care.db"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('care', 'from_the_future', '')")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseTooNew, match="from_the_future"):
        Store(path)


def test_a_migration_makes_a_backup_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "care.db"
    opened = Store(path)
    receive(opened)
    opened.close()
    newer = Migrations("care")
    newer._migrations = list(database.migrations._migrations)
    newer(name="second")(lambda db: db.execute("DELETE FROM turns"))
    monkeypatch.setattr(database, "migrations", newer)
    Store(path).close()
    (backup,) = tmp_path.glob("care.db.before-second-*")
    connection = sqlite3.connect(backup)
    assert connection.execute("SELECT id FROM turns").fetchall() == [("t1",)]
    connection.close()


def test_what_waits_for_a_reviewer_since_before_shows_from_the_next_night_on_what_it_corrects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = list(migrations._migrations)
    older = [each.name for each in every].index("what_corrections_correct")
    monkeypatch.setattr(migrations, "_migrations", every[:older])
    opened = Store(tmp_path / "care.db")
    receive(opened)
    with opened._write() as db:
        db.execute(
            "INSERT INTO reviews (turn_id, sha256, domain, instruction, input, response, source, why, people, queued_at) "
            "VALUES ('t1', ?, 'other', 'Why?', '', 'So.', 'correction', 'why', '[]', '2026-01-01T12:00:00.000Z')",
            (WAITING.sha256,),
        )
    opened.close()
    monkeypatch.setattr(migrations, "_migrations", every)
    opened = Store(tmp_path / "care.db")
    assert opened.waiting_reviews() == [WAITING]
    told = replace(WAITING, corrects="Because.")
    opened.queue_reviews([told], NOON)
    assert opened.waiting_reviews() == [told]
    opened.close()


def test_a_locked_database_says_so(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "care.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match="locked"):
        receive(store)
    other.close()
    assert receive(store).status is Status.RECEIVED
