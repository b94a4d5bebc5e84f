"""Examples: the starter set, the split that holds for ever, and snapshots that are equal where the examples are."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from model.chat import Message
from train.examples import FROZEN, STARTER, Example, shipped, write_snapshot

SHIPPED = shipped("You are CARE.")
SET = [example for example in SHIPPED if example.source == STARTER]
ROWS = [
    json.loads(line) for path in sorted(Path("train/starter").glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("domain", ["telecom", "medical", "banking"])
def test_the_starter_set_has_sixty_of_each_domain_with_triage_refusals_and_hand_over(domain: str) -> None:
    kinds = Counter(row["kind"] for row in ROWS if row["id"].startswith(domain))
    assert kinds.total() >= 60
    assert min(kinds[kind] for kind in ("triage", "refusal", "handover")) >= 5
    assert sum(example.domain == domain for example in SET) == kinds.total()


def test_no_starter_row_stands_twice_and_none_is_long() -> None:
    assert len({row["instruction"].lower() for row in ROWS}) == len({row["response"] for row in ROWS}) == len(ROWS)
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert max(len(row["response"].split()) for row in ROWS) <= 90


def test_no_starter_answer_asks_for_a_secret_or_names_a_number_to_call() -> None:
    asking = re.compile(r"(tell|send|give|type|enter|write) (me|us) (your|the) (pin|password|code|card number)", re.IGNORECASE)
    known = {"988", "116 123", "112", "911", "999", "000"}
    for row in ROWS:
        assert not asking.search(row["response"]), row["id"]
        assert not [number for number in re.findall(r"\+?\d[\d ]{6,}\d", row["response"]) if number not in known], row["id"]


def test_one_group_in_ten_is_held_out_for_ever() -> None:
    def held_out(group: str) -> bool:
        return replace(SET[0], group=group).held_out

    assert 0.09 < sum(held_out(f"conversation {n}") for n in range(10_000)) / 10_000 < 0.11
    # Written down once: a change here would train on what was held out before.
    assert [n for n in range(40) if held_out(f"c{n}")] == HELD_OUT


HELD_OUT = [0, 4, 18, 23, 26, 36]


def example(name: str) -> Example:
    messages = (Message("system", "s"), Message("user", f"question {name}"))
    return Example(f"turn/{name}", name, messages, "Antwort für dich", "telecom", "rated up", "internal", (name,), ("web:ada",))


def test_equal_examples_in_any_order_give_one_file_of_equal_bytes(tmp_path: Path) -> None:
    first = write_snapshot([example("a"), example("b")], tmp_path)
    again = write_snapshot([example("b"), example("a")], tmp_path)
    assert first == again
    assert len(list(tmp_path.iterdir())) == 1
    assert write_snapshot([example("a")], tmp_path) != first


def test_a_snapshot_row_says_where_it_came_from(tmp_path: Path) -> None:
    [row] = [json.loads(line) for line in write_snapshot([example("a")], tmp_path).path.read_text().splitlines()]
    assert {key: row[key] for key in ("instruction", "input", "response", "domain", "source", "licence", "turn_ids", "raters")} == {
        "instruction": "question a",
        "input": "",
        "response": "Antwort für dich",
        "domain": "telecom",
        "source": "rated up",
        "licence": "internal",
        "turn_ids": ["a"],
        "raters": ["web:ada"],
    }


def test_a_damaged_snapshot_is_written_again(tmp_path: Path) -> None:
    first = write_snapshot([example("a")], tmp_path)
    content = first.path.read_bytes()
    first.path.write_bytes(b"half")
    assert write_snapshot([example("a")], tmp_path).path.read_bytes() == content


def test_sixteen_items_of_each_domain_are_frozen_and_no_document_of_the_starter_set() -> None:
    frozen = [example for example in SHIPPED if example.source == FROZEN]
    assert Counter(example.domain for example in frozen) == {"telecom": 16, "medical": 16, "banking": 16}
    assert all(example.held_out for example in frozen)
    assert {example.instruction for example in frozen}.isdisjoint(example.instruction for example in SET)
