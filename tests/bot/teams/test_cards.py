"""Every card is one that Teams takes, however long and nasty what stands in it is."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bot.connectors.nights import Example, Gate, Report
from bot.connectors.teams import cards
from bot.connectors.teams.handover import worded
from bot.connectors.teams.report import report_card
from bot.notices import OPERATORS, Notice
from bot.turns import Question, Reply, Status, Turn
from tests.fakes.teams import cards as teams

NOW = datetime(2026, 11, 25, tzinfo=UTC)
NASTY = '<at>Everyone</at> [pay here](https://evil.example) **bold** \\ "quote" \u202e'
LONG = ("x" * 9000, "ä" * 9000, "🙂" * 9000, "\\" * 9000, "\n" * 9000, NASTY * 90)
MESSAGE_BYTES = 28_000


def turn(question: str = "Why?", answer: str | None = "Because.") -> Turn:
    reply = Reply(answer, None, Status.ANSWERED, NOW) if answer is not None else None
    return Turn("t1", Question("teams", "e1", "a:1", "29:1", question, NOW, user_name="Ada"), "other", Status.ANSWERED, reply)


def report(text: str) -> Report:
    gates = tuple(Gate(text[:400], 1.0, 1.0, number % 2 > 0) for number in range(60))
    examples = tuple(Example(text, "banking", 1.0, text, text) for _ in range(3))
    return Report("promoted", "2026-11-25-ab12", gates, examples, examples, (text,) * 3, b"png", b"x" * 14_000)


def notice(text: str) -> Notice:
    return Notice("n1", "report", OPERATORS, "", "s", f"{text}\n{text}", NOW)


MADE: dict[str, Callable[[str], dict[str, object]]] = {
    "rating": lambda text: cards.rating("t1", told=text[:100]),
    "feedback": lambda text: cards.feedback("t1", -1, reason=text, correction=text),
    "forget": lambda text: cards.forget("29:1"),
    "hand-over": lambda text: cards.handover("h1", text[:80], [turn(text, text)] * 30, told=text[:200]),
    "handed back": lambda text: cards.handover("h1", "Ada", [turn(text, text)] * 3, ended_by=text[:80]),
    "report": lambda text: report_card(notice(text), report(text)),
    "decided": lambda text: report_card(notice(text), report(text), told=text[:200]),
}


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("name", MADE)
def test_a_card_is_one_that_teams_takes_and_fits_a_message(name: str, text: str) -> None:
    card = MADE[name](text)
    teams.check(card)
    assert card["version"] == "1.4"
    assert name == "feedback" or len(json.dumps(cards.message(card, "Something happened"))) < MESSAGE_BYTES  # that one is no message


def test_what_people_wrote_stands_in_text_runs_alone() -> None:
    for made in (cards.handover("h1", NASTY, [turn(NASTY, NASTY)]), report_card(notice("Kept"), report(NASTY))):
        for each in teams.walk(made):
            if each.get("type") == "TextBlock":
                assert NASTY[:20] not in str(each["text"])


def test_the_card_below_an_answer_names_it_and_has_both_thumbs_and_both_fields() -> None:
    card = cards.rating("t1")
    assert [each.get("title") for each in teams.actions(card)] == ["👍", "👎", "👎 Say what was wrong", "Send"]
    assert [each["id"] for each in teams.inputs(card)] == [cards.REASON, cards.CORRECTION]
    assert [each["data"][cards.TURN] for each in teams.actions(card) if "data" in each] == ["t1"] * 3


def test_who_knows_no_execute_submits_the_same() -> None:
    for action in teams.actions(cards.rating("t1")):
        if action["type"] == "Action.Execute":
            assert action["fallback"]["type"] == "Action.Submit"
            assert action["fallback"]["data"] == action["data"]
            assert action["data"][cards.VERB] == action["verb"]


def test_a_conversation_that_is_handed_back_has_no_buttons() -> None:
    assert teams.actions(cards.handover("h1", "Ada", [turn()], ended_by="Grace")) == []


@pytest.mark.parametrize(
    "text", ["&" * 40_000, "\n".join("<" * 9 for _ in range(3000)), "äword " * 3000, "```\n" + "code\n" * 3000, "'\"" * 20_000]
)
def test_what_people_write_to_each_other_is_brought_whole(text: str) -> None:
    messages = worded("Grace answers:", text)
    assert all(len(json.dumps(each)) < MESSAGE_BYTES for each in messages)
    brought = "".join(each["text"] for each in messages)
    for sign, shown in (("&", "&amp;"), ("<", "&lt;"), ("äword", "äword"), ("code", "code"), ("'", "'")):
        if sign in text:
            assert brought.count(shown) == text.count(sign)
    assert "…" not in brought
