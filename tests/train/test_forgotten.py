"""Forgetting reaches what nights made: real nights on a tiny model, and no byte of a person's words after it."""

import json
from pathlib import Path

import pytest

from bot import forgetting
from tests.train.nights import Nights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SECRET = "xylophone"


def say_something(nights: Nights) -> str:
    """Somebody whose words are known again; their turn."""
    turn_id = nights.day.ask(f"how do I tune my {SECRET} at home?", "Switch it off and on.", user="u0", user_name="Zebediah")
    nights.day.rate(turn_id, -1, user="u0", correction=f"Tune the {SECRET} with a small file under every single bar.")
    return turn_id


def holding(nights: Nights) -> list[str]:
    """Files with their words, their name or their turn as a row; what the night printed is the terminal's."""
    said = [nights.home / "night.out", nights.home / "night.err"]
    files = [path for path in nights.home.rglob("*") if path.is_file() and path not in said]
    return [str(path) for path in files if any(word in path.read_bytes() for word in (SECRET.encode(), b"Zebediah", b"web:u0"))]


def forget(nights: Nights) -> forgetting.Receipt:
    return forgetting.forget(nights.day.store, nights.shelf, nights.home, "web", "u0")


def test_a_person_is_gone_from_all_that_a_night_left_and_the_next_learns_without_them(nights: Nights) -> None:
    turn_id = say_something(nights)
    nights.people_say(12, first=1)
    assert nights.run("--json", marks=2) in (0, 11), nights.said  # with the suites, which random weights pass by chance
    first = str(nights.result["lora"])
    nights.shelf.promote(first, by="test", reason="test")
    assert holding(nights)
    receipt = forget(nights)
    assert receipt.loras == (first,)
    assert (holding(nights), nights.shelf.live()) == ([], None)
    assert list(nights.home.glob("runs/*/candidate")) == []

    assert nights.run("--json") == 0, nights.said
    second = nights.shelf.read(str(nights.result["lora"]))
    assert second.id == nights.shelf.live() != first
    assert f"turn/{turn_id}" not in second.draft.example_ids
    assert len([name for name in second.draft.example_ids if name.startswith("turn/")]) == 12
    assert holding(nights) == []


def test_a_night_in_which_somebody_is_forgotten_comes_to_nothing(nights: Nights) -> None:
    say_something(nights)
    nights.people_say(12, first=1)
    assert nights.run(patch="forget somebody") == 15, nights.said
    assert "asked to be forgotten" in nights.said
    assert holding(nights) == []
    assert nights.shelf.list() == []
    assert nights.day.store.pending_erasures() == []
    assert nights.run("--json") == 0, nights.said
    assert holding(nights) == []


def test_the_next_night_clears_away_what_a_killed_one_left(nights: Nights) -> None:
    say_something(nights)
    nights.people_say(12, first=1)
    assert nights.run(kill="after:training") == -9
    assert holding(nights)
    forget(nights)
    assert holding(nights) == []
    assert [json.loads(path.read_text()) for path in Path(nights.home).glob("runs/*/run.json")] == []
