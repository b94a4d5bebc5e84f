"""Which ratings make an example, and which make none."""

import sqlite3
from pathlib import Path

import pytest

from bot import domains
from bot.store import DatabaseCorrupt, Store
from bot.turns import Prompt, Status
from model.chat import Message
from model.engine import Sampling
from tests.train.people import Day
from train.collect import CORRECTION, UP, accept
from train.examples import Example

RULES = domains.load()


def collected(day: Day, opted_out: frozenset[str] = frozenset()) -> tuple[dict[str, Example], dict[str, int]]:
    rated, corrupt = day.store.rated()
    found, reasons = accept(rated, RULES, opted_out)
    assert len(found) + sum(reasons.values()) == len(rated)
    return {each.example.turn_ids[0]: each.example for each in found}, {**reasons, **({"corrupt": len(corrupt)} if corrupt else {})}


def test_a_thumb_up_teaches_the_answer_and_a_correction_what_was_right(day: Day) -> None:
    liked, corrected = day.ask("Why is it slow?"), day.ask("What is Puffin?", "A bird.", user="bo", domain="banking")
    day.rate(liked, 1)
    day.rate(corrected, -1, user="bo", correction="  A roaming pack. ")
    examples, _ = collected(day)
    assert (examples[liked].response, examples[liked].source, examples[liked].rejected) == ("Switch it off and on.", UP, None)
    example = examples[corrected]
    assert (example.instruction, example.response, example.source) == ("What is Puffin?", "A roaming pack.", CORRECTION)
    assert example.rejected == "A bird."
    assert (example.domain, example.raters, example.group, example.id) == ("banking", ("web:bo",), "c-t2", "turn/t2")
    assert example.messages[0] == Message("system", RULES.system_prompt)


def test_a_thumb_up_with_a_better_wording_teaches_the_wording(day: Day) -> None:
    day.rate(day.ask("Why?"), 1, correction="Because of the cable.")
    examples, _ = collected(day)
    assert examples["t1"].response == "Because of the cable."


def test_a_withdrawn_rating_teaches_nothing_and_a_mere_thumb_down_neither(day: Day) -> None:
    withdrawn, disliked = day.ask("one"), day.ask("two")
    day.rate(withdrawn, -1, correction="what it should have said")
    day.rate(withdrawn, 0)
    day.rate(disliked, -1)
    assert collected(day) == ({}, {"withdrawn": 1, "disliked": 1})


def test_people_who_contradict_each_other_teach_nothing(day: Day) -> None:
    both_thumbs, two_corrections, thumb_and_correction, agreed = (day.ask(question) for question in ("a", "b", "c", "d"))
    day.rate(both_thumbs, 1)
    day.rate(both_thumbs, -1, user="bo")
    day.rate(two_corrections, -1, correction="41 countries")
    day.rate(two_corrections, -1, user="bo", correction="14 countries")
    day.rate(thumb_and_correction, 1)
    day.rate(thumb_and_correction, -1, user="bo", correction="no")
    day.rate(agreed, -1, correction="yes")
    day.rate(agreed, -1, user="bo", correction="yes ")
    day.rate(agreed, 0, user="cy")
    examples, funnel = collected(day)
    assert (funnel, list(examples)) == ({"contradictory": 3}, [agreed])
    assert examples[agreed].raters == ("web:ada", "web:bo")


def test_a_changed_mind_counts_as_the_last_word(day: Day) -> None:
    turn = day.ask("a")
    day.rate(turn, 1)
    day.rate(turn, -1, correction="better")
    assert collected(day)[0][turn].response == "better"


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_an_answer_that_did_not_come_is_not_learned_but_its_correction_is(day: Day, status: Status) -> None:
    liked, corrected = day.ask("a", "half an ans", status=status), day.ask("b", "", status=status)
    day.rate(liked, 1)
    day.rate(corrected, -1, correction="whole")
    examples, funnel = collected(day)
    assert (list(examples), funnel) == ([corrected], {"unanswered": 1})


def test_the_emergency_notice_is_the_bots_and_not_learned(day: Day) -> None:
    day.rate(day.ask("chest pain", f"{RULES.emergency_notice}\n\nSit down."), 1)
    assert collected(day)[0]["t1"].response == "Sit down."


def test_what_was_said_before_leads_as_it_did_when_it_was_asked(day: Day) -> None:
    day.ask("My router?", "Which one?", conversation="c")
    day.rate(day.ask("The white one.", "Restart it.", conversation="c"), 1)
    example = collected(day)[0]["t2"]
    assert [message.content for message in example.messages[1:]] == ["My router?", "Which one?", "The white one."]
    assert example.input == "user: My router?\nassistant: Which one?"


def test_a_caller_of_the_api_brings_its_own_context(day: Day) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Hi"))
    day.rate(day.ask("Hi", prompt=Prompt(messages, Sampling())), 1)
    assert collected(day)[0]["t1"].messages == messages


@pytest.mark.parametrize("damage", ["asked_at = 'yesterday'", "prompt = '{'", "prompt = '{}'", "answered_at = '24:99'"])
def test_rows_that_make_no_sense_are_counted_and_the_others_learned(day: Day, damage: str, tmp_path: Path) -> None:
    day.rate(day.ask("a"), 1)
    day.rate(day.ask("b"), 1)
    connection = sqlite3.connect(tmp_path / "care.db")
    connection.execute(f"UPDATE turns SET {damage} WHERE id = 't1'")
    connection.commit()
    connection.close()
    examples, funnel = collected(day)
    assert (list(examples), funnel) == (["t2"], {"corrupt": 1})


def test_a_damaged_database_is_an_integrity_error_and_left_alone(day: Day, tmp_path: Path) -> None:
    day.rate(day.ask("a"), 1)
    day.store.close()
    path = tmp_path / "care.db"
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    damaged = path.read_bytes()
    with pytest.raises(DatabaseCorrupt):
        Store(path, read_only=True).rated()
    assert path.read_bytes() == damaged


def test_somebody_who_has_opted_out_appears_nowhere(day: Day) -> None:
    for user in ("ada", "bo"):
        day.rate(day.ask(f"asked by {user}", user=user, conversation=f"alone-{user}"), 1, user=user)
    day.rate(day.ask("rated by another"), 1, user="bo")
    day.ask("said before by bo", user="bo", conversation="shared")
    day.rate(day.ask("in the same thread", conversation="shared"), 1)
    examples, reasons = collected(day, frozenset({"web:bo"}))
    assert ([each.instruction for each in examples.values()], reasons) == (["asked by ada"], {"opted_out": 3})
