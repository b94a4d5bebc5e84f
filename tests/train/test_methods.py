"""KTO, DPO and ORPO beside SFT: what each learns from, and that it learns it."""

from dataclasses import replace
from pathlib import Path

import pytest

from model import weights
from model.manifest import Lora
from model.shelf import CONFIG, WEIGHTS, unshelve
from model.tokens import Tokens
from model.weights import Base
from tests.fakes.loras import draft
from tests.model.tiny import save_tiny
from tests.train.test_finetune import CPU, RECIPE, examples, never, run, silent
from train.errors import TooLittleData
from train.evaluate import BASE, measure
from train.examples import Example
from train.finetune import finetune
from train.methods import Rows, rows
from train.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return save_tiny(tmp_path_factory.mktemp("wide"), "llama", hidden_size=256, intermediate_size=512, initializer_range=0.05)


def by(method: str, **fields: object) -> Recipe:
    return RECIPE.model_copy(update={"method": method, "steps": 12, "batch_size": 4, **fields})


def corrected(n: int) -> list[Example]:
    return [replace(example, rejected=f"lazy dog {at}") for at, example in enumerate(examples(n))]


def found(base: Base, given: list[Example], recipe: Recipe) -> Rows:
    return rows(Tokens(weights.load(base, CPU), 512), given, recipe)


def test_dpo_learns_from_corrections_kto_from_every_answer_good_or_bad(base: Base) -> None:
    given = [*corrected(2), *examples(5)[2:]]
    pairs = found(base, given, by("dpo"))
    assert (pairs.examples, [set(row) for row in pairs.rows]) == (2, [{"prompt_ids", "chosen_ids", "rejected_ids"}] * 2)
    votes = found(base, given, by("kto"))
    assert [row["label"] for row in votes.rows] == [True, False, True, False, True, True, True]


def test_a_correction_that_says_the_same_as_the_answer_is_no_pair(base: Base) -> None:
    same = [replace(example, rejected=f" {example.response}\n") for example in examples(3)]
    for method in ("dpo", "orpo"):
        with pytest.raises(TooLittleData, match=f"method = '{method}' learns from corrections that differ from the answer"):
            found(base, same, by(method))
    assert found(base, same, by("sft")).examples == 3


def test_kto_needs_answers_of_both_kinds(base: Base) -> None:
    with pytest.raises(TooLittleData, match="no answer was corrected"):
        found(base, examples(3), by("kto"))


@pytest.mark.parametrize("method", ["sft", "kto", "dpo", "orpo"])
def test_each_method_prefers_the_correction_to_what_was_corrected(base: Base, tmp_path: Path, method: str) -> None:
    given = corrected(8)
    made = run(tmp_path / "run")
    trained = finetune(base, CPU, given, by(method, learning_rate=0.01), made, silent, never)
    assert trained is not None
    assert sorted(path.name for path in made.candidate.iterdir() if path.is_dir()) == []
    contents = {name: (made.candidate / name).read_bytes() for name in (WEIGHTS, CONFIG)}
    lora = unshelve(Lora(draft("n1"), 1, {}, made.candidate), contents)
    better = measure(base, CPU, {"new": lora}, given, 400, lambda done, total: None)
    worse = measure(base, CPU, {"new": lora}, [each.instead(str(each.rejected)) for each in given], 400, lambda done, total: None)

    def margin(name: str) -> float:
        """How much more the better answers are expected than the others (nats a token)."""
        return sum(bad.loss - good.loss for good, bad in zip(better[name], worse[name], strict=True)) / len(given)

    assert margin("new") > margin(BASE) + 0.3
