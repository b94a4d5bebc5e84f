"""Nights of thumbs alone, and of corrections that correct nothing, on a tiny model: what they learn, and what they refuse to."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.reviews import DOWN
from bot.turns import Verdict
from model import weights
from model.device import find_device
from model.manifest import Lora
from tests.train.nights import Nights
from train.evaluate import BASE, measure
from train.examples import Example, to_messages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_thumbs_alone_teach_a_kto_night_what_not_to_answer_and_change_nothing_for_other_nights(nights: Nights) -> None:
    nights.day.voted_by_many(1, 12)
    assert nights.run("--dry-run", "--json") == 0
    before = nights.result["snapshot_sha256"]
    nights.day.voted_by_many(-1, 14, first=100)
    with nights.day.store._write() as db:
        db.execute("UPDATE turns SET answer = upper(answer) WHERE id IN (SELECT turn_id FROM ratings WHERE verdict = -1)")
    assert nights.run("--dry-run", "--json") == 0
    assert nights.result["snapshot_sha256"] == before
    assert nights.run("--json", steps=6, method="kto", repeat_people="8") in (0, 11), nights.said
    told = nights.result
    rows = [json.loads(line) for line in Path(str(told["snapshot"])).read_text().splitlines()]
    bad = [row for row in rows if row["source"] == DOWN]
    assert (told["funnel"]["bad"], {row["split"] for row in bad}) == (len(bad), {"train"})  # type: ignore[index]
    assert set(shelved(nights).draft.example_ids) == {row["id"] for row in rows}
    unlearned = losses(nights, bad)
    assert sum(after - before for before, after in unlearned) / len(bad) > 0.3


def shelved(nights: Nights) -> Lora:
    return nights.shelf.read(str(nights.result["lora"]))


def losses(nights: Nights, rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Of each row's answer, for the base and for the night's LoRA."""
    base, lora = weights.find(str(nights.model), nights.home), shelved(nights)
    items = [Example(row["id"], row["id"], to_messages(row["messages"]), row["response"], row["domain"], "x", "x") for row in rows]
    opened = nights.shelf.open(lora.id, lora.draft.base)
    scores = measure(base, find_device("cpu"), {"new": opened}, items, 1900, lambda done, total: None)
    return [(before.loss, after.loss) for before, after in zip(scores[BASE], scores["new"], strict=True)]


@pytest.mark.parametrize(
    ("verdict", "said"), [(1, "good and 0 bad; wait for thumbs down or corrections, or use sft"), (-1, "0 good and 1")]
)
def test_thumbs_all_one_way_exit_10_before_a_model_is_looked_for(nights: Nights, verdict: Verdict, said: str) -> None:
    nights.day.voted_by_many(verdict, 14)
    nights.model = nights.home / "nowhere"
    assert nights.run(method="kto") == 10
    assert said in nights.said
    assert nights.run("--control", method="kto") == 10
    assert "a control is trained without the ratings" in nights.said


def test_corrections_that_repeat_the_answer_are_no_pairs_and_the_night_says_so(nights: Nights) -> None:
    nights.day.voted_by_many(-1, 14)
    with nights.day.store._write() as db:
        db.execute("UPDATE ratings SET correction = (SELECT upper(answer) FROM turns WHERE id = turn_id)")
    nights.model = nights.home / "nowhere"
    assert nights.run("--json", method="dpo") == 10
    repeated = nights.result["funnel"]["repeated"]  # type: ignore[index]
    assert repeated > 8
    assert f"there is none ({repeated} only repeat it, but for spaces and capitals)" in nights.said
