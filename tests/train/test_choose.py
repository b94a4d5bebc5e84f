"""Which rows a night trains on."""

from collections import Counter
from dataclasses import replace

from bot import domains
from model.chat import Message
from train.choose import choose, diverse
from train.examples import Example, shipped, texts

GIVEN = [example for example in shipped(domains.load().system_prompt) if not example.held_out]


def said(n: int, domain: str) -> list[Example]:
    """Accepted rows of people, none of them held out."""
    rows = []
    number = 0
    while len(rows) < n:
        number += 1
        name = f"turn/{domain}{number}"
        text = f"{number} question number {number * 37 % 101} of {domain} {number * 53 % 89}"
        row = Example(name, name, (Message("user", text),), f"Answer {text}.", domain, "correction", "internal", (name,))
        rows += [] if row.held_out else [row]
    return rows


def domains_of(examples: object) -> Counter[str]:
    return Counter(example.domain for example in examples)  # type: ignore[attr-defined]


def test_the_larger_domains_are_cut_to_the_smallest_and_what_people_said_goes_first() -> None:
    rows = choose([*GIVEN, *said(40, "telecom")], [], 0.1)
    sizes = domains_of(rows.examples)
    assert len(set(sizes.values())) == 1
    assert sum(bool(example.turn_ids) for example in rows.examples) == 40
    assert rows.unbalanced["telecom"] == domains_of(GIVEN)["telecom"] + 40 - sizes["telecom"]


def test_a_share_of_general_rows_stays_whatever_people_said() -> None:
    rows = choose([*GIVEN, *said(500, "telecom"), *said(500, "medical"), *said(500, "banking")], [], 0.1)
    given = sum(not example.turn_ids for example in rows.examples)
    assert given / len(rows.examples) >= 0.09


def test_general_public_data_is_the_replay_where_there_is_any() -> None:
    general = [replace(row, turn_ids=(), id=row.id.replace("turn", "public/x"), source="x") for row in said(300, "other")]
    rows = choose([*GIVEN, *general], [], 0.1)
    assert 0.09 < rows.replay / len(rows.examples) < 0.11


def test_an_empty_domain_is_left_out_of_the_balance() -> None:
    rows = choose(said(20, "telecom") + said(30, "banking"), [], 0.0)
    assert domains_of(rows.examples) == {"telecom": 20, "banking": 20}


def test_at_most_three_thousand() -> None:
    assert len(choose([*said(2500, "telecom"), *said(2500, "banking")], [], 0.0, most=300).examples) == 300


def test_thirteen_words_that_are_measured_on_are_not_trained_on() -> None:
    [row] = said(1, "telecom")
    leaked = replace(row, response="one two three four five six seven eight nine ten eleven twelve thirteen fourteen")
    found = choose([leaked, *GIVEN], ["zero " + leaked.response.upper()], 0.1)
    assert found.contaminated == 1
    assert leaked.id not in {example.id for example in found.examples}


def test_a_sample_covers_all_that_was_asked() -> None:
    topics = ("router", "invoice", "fever", "loan")
    rows = [replace(row, messages=(Message("user", f"{topics[n % 4]} {topics[n % 4]} {n}"),)) for n, row in enumerate(said(80, "other"))]
    assert {row.instruction.split()[0] for row in diverse(rows, 8)} == set(topics)
    assert diverse(rows, 8) == diverse(list(reversed(rows)), 8)


def test_a_short_row_that_is_measured_on_as_it_stands_is_not_trained_on_either() -> None:
    row, other = said(2, "telecom")
    assert [each.id for each in choose([row, other], texts([row]), 0.0).examples] == [other.id]


def test_three_full_domains_and_general_questions_of_people_leave_room_for_the_replay() -> None:
    general = [replace(row, turn_ids=(), id=row.id.replace("turn", "public/x"), source="x") for row in said(200, "other")]
    rows = choose([*(row for name in ("telecom", "banking", "medical", "other") for row in said(300, name)), *general], [], 0.1, most=400)
    assert len(rows.examples) <= 400
    assert rows.replay == 40
    assert len(set(domains_of([each for each in rows.examples if each.turn_ids]).values())) == 1
