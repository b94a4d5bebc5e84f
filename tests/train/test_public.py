"""Public data: read where it lies, the same rows each time, and a damaged file is named."""

import json
import os
from pathlib import Path

import pytest

from model.chat import Message
from train.choose import choose
from train.errors import PublicDataInvalid
from train.examples import Example
from train.public import examples, measured_on
from train.recipe import load

PUBLIC = Path(os.environ.get("CARE_PUBLIC_DATA") or "../shared/data")
RECIPE = load("nightly").model_copy(update={"public_per_source": 40, "held_out": 5})


def test_without_a_folder_there_is_no_public_data(tmp_path: Path) -> None:
    assert examples(None, RECIPE, "s") == []
    assert examples(tmp_path, RECIPE, "s") == []


def test_a_recipe_may_want_none() -> None:
    assert examples(PUBLIC, RECIPE.model_copy(update={"public_per_source": 0}), "s") == []


def test_rows_are_chosen_by_their_name_and_not_by_their_place(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "general"
    folder.mkdir(parents=True)
    rows = [{"id": f"t{n}", "instruction": f"do {n}", "instances": [{"input": "", "output": f"done {n}"}]} for n in range(60)]
    path = folder / "self_instruct_seed_tasks.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    first = examples(tmp_path, RECIPE, "s")
    path.write_text("\n".join(json.dumps(row) for row in reversed(rows)))
    assert examples(tmp_path, RECIPE, "s") == first
    assert [sum(example.held_out for example in first), len(first)] == [5, 45]
    assert first[0].licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("general/self_instruct_seed_tasks.jsonl", b"{"),
        ("general/self_instruct_seed_tasks.jsonl", b'{"id": "x"}'),
        ("support/bitext_customer_support_4514.csv", b"a,b\n1,2\n"),
        ("medical/MedQuAD_9_CDC_QA.tar.gz", b"no archive"),
        ("banking/tau2_banking_documents.tar.gz", b"\x1f\x8b half"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "train" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(PublicDataInvalid, match=path.name):
        examples(tmp_path, RECIPE, "s")


def test_what_others_measure_on_is_read_from_tables_and_json_and_never_trained_on(tmp_path: Path) -> None:
    thirteen = "one two three four five six seven eight nine ten eleven twelve thirteen"
    (tmp_path / "eval" / "mmlu").mkdir(parents=True)
    (tmp_path / "safety").mkdir()
    (tmp_path / "eval" / "mmlu" / "test.csv").write_text("question,answer\nWhat is it?,B\n")
    (tmp_path / "eval" / "sets.json").write_text(json.dumps({"rows": [["in a list", {"text": thirteen}]]}))
    (tmp_path / "eval" / "lines.jsonl").write_text('{"question": "first"}\n{"question": "second"}\n')
    (tmp_path / "safety" / "prompts.tsv").write_text("a\tb\n")
    (tmp_path / "eval" / "archive.tar.gz").write_bytes(b"not read")
    found = set(measured_on(tmp_path))
    assert found >= {"What is it?", "in a list", thirteen, "first", "second", "a", "b"}
    row = Example("x", "x1", (Message("user", "Count!"),), f"Gladly: {thirteen}.", "other", "x", "x")
    assert not row.held_out
    assert choose([row], measured_on(tmp_path), 0.0).contaminated == 1
    (tmp_path / "safety" / "prompts.jsonl").write_text("{")
    with pytest.raises(PublicDataInvalid, match=r"prompts\.jsonl"):
        list(measured_on(tmp_path))


@pytest.mark.skipif(not (PUBLIC / "train").is_dir(), reason="no public data here: CARE_PUBLIC_DATA")
def test_every_public_source_gives_its_share_cleaned_and_with_its_licence() -> None:
    found = examples(PUBLIC, RECIPE, "s")
    sources = {source: [example for example in found if example.source == source] for source in {example.source for example in found}}
    assert sources.keys() == {"self-instruct", "bitext", "medquad", "tau2-bank", "tau2-telecom"}
    for rows in sources.values():
        assert [sum(row.held_out for row in rows), sum(not row.held_out for row in rows)] == [5, 40]
    for example in found:
        assert example.licence
        assert len(example.response.split()) <= 250
        assert "{{" not in example.response
        assert not example.response.startswith("Summary")
        assert "??" not in example.instruction
