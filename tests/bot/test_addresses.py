"""How people can be reached, and ratings that name no answer: kept, given out, erased, never learned from."""

import json
from datetime import timedelta
from pathlib import Path

from bot.addresses import UnattributedRating
from bot.store import Store
from bot.turns import now


def rating(user_id: str = "ada", verdict: int = 1, reason: str | None = None, conversation: str = "chat") -> UnattributedRating:
    return UnattributedRating("teams", conversation, user_id, verdict, reason, now())  # type: ignore[arg-type]


def test_a_person_is_reached_where_they_were_reached_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "care.db")
    assert store.address("teams", "old") is None
    store.reached("teams", "old", "address 1", "ada", now())
    store.reached("teams", "new", "address 2", "ada", now() + timedelta(seconds=1))
    store.reached("teams", "group", "address 3", None, now() + timedelta(seconds=2))
    assert (store.address("teams", "old"), store.personal_address("teams", "ada")) == ("address 1", "address 2")
    assert store.any_address("teams") == "address 3"
    store.reached("teams", "old", "address 4", "ada", now() + timedelta(seconds=3))
    assert (store.address("teams", "old"), store.personal_address("teams", "ada")) == ("address 4", "address 4")
    assert (store.address("slack", "old"), store.personal_address("teams", "grace"), store.any_address("slack")) == (None, None, None)


def test_every_rating_that_names_no_answer_is_kept_but_a_repeated_one_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "care.db")
    for each in (
        rating(),
        rating(),
        rating(verdict=-1, reason="Wrong"),
        rating(verdict=-1, reason="Wrong"),
        rating(verdict=-1, reason="Rude"),
    ):
        store.rated_nothing(each)
    kept = store._rows("SELECT verdict, reason FROM unattributed_ratings ORDER BY rowid")
    assert [tuple(row) for row in kept] == [(1, None), (-1, "Wrong"), (-1, "Rude")]
    assert store.rated() == ([], []), "the night learns from none of them"


def test_who_is_forgotten_is_reached_no_more_and_their_words_are_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "care.db")
    for user in ("ada", "grace"):
        store.reached("teams", f"chat of {user}", f"address of {user}", user, now())
        store.rated_nothing(rating(user, reason=f"words of {user}"))
    kept = json.dumps(store.kept_of("teams", "ada"))
    assert all(each in kept for each in ("address of ada", "words of ada"))
    assert "grace" not in kept
    store.erase_person("teams", "ada", "erasure", now())
    assert store.personal_address("teams", "ada") is None
    assert store.personal_address("teams", "grace") == "address of grace"
    kept = json.dumps(store.kept_of("teams", "ada"))
    assert not any(each in kept for each in ("address of ada", "words of ada"))
    store.close()
    assert not any(b"of ada" in file.read_bytes() for file in tmp_path.glob("care.db*")), "no page of the file holds them either"
