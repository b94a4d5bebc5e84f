"""Public data: read where it lies, the same rows each time, and a damaged file is named."""

import json
import os
from pathlib import Path

import pytest

from train.errors import PublicDataInvalid
from train.public import examples
from train.recipe import load

PUBLIC = Path(os.environ.get("CARE_PUBLIC_DATA") or "../shared/data")
RECIPE = load("nightly").model_copy(update={"public_per_source": 40})


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
    assert len(first) == 40
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


@pytest.mark.skipif(not (PUBLIC / "train").is_dir(), reason="no public data here: CARE_PUBLIC_DATA")
def test_every_public_source_gives_its_share_cleaned_and_with_its_licence() -> None:
    found = examples(PUBLIC, RECIPE, "s")
    sources = {source: [example for example in found if example.source == source] for source in {example.source for example in found}}
    assert {source: len(rows) for source, rows in sources.items()} == {"self-instruct": 40, "bitext": 40, "medquad": 40, "tau2-bank": 40}
    for example in found:
        assert example.licence
        assert len(example.response.split()) <= 250
        assert "{{" not in example.response
        assert not example.response.startswith("Summary")
        assert "??" not in example.instruction
