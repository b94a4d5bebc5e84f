"""KTO, DPO and ORPO beside SFT: what each learns from, and that it learns it."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.reviews import DOWN
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
from train.methods import Row, Rows, _alike, _mismatched, _weights, rows
from train.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return save_tiny(tmp_path_factory.mktemp("wide"), "llama", hidden_size=256, intermediate_size=512, initializer_range=0.05)


def by(method: str, **fields: object) -> Recipe:
    return RECIPE.model_copy(update={"method": method, "steps": 12, "batch_size": 4, **fields})


def corrected(n: int) -> list[Example]:
    return [replace(example, rejected=f"lazy dog {at}") for at, example in enumerate(examples(n))]


def disliked(n: int) -> list[Example]:
    return [replace(each, id=f"bad-{each.id}", source=DOWN, response=f"lazy dog {at}") for at, each in enumerate(examples(n))]


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
    for given, said in ((examples(3), "3 good and 0 bad"), (disliked(2), "0 good and 2 bad")):
        with pytest.raises(TooLittleData, match=said):
            found(base, given, by("kto"))


@pytest.mark.parametrize("method", ["sft", "kto", "dpo"])
def test_where_no_row_fits_that_is_said_and_not_what_else_is_missing(base: Base, method: str) -> None:
    with pytest.raises(TooLittleData, match="none of 3 rows fits into max_tokens = 8; set more in the recipe"):
        found(base, corrected(3), by(method, max_tokens=8))


def test_an_answer_that_is_only_known_to_be_bad_is_a_row_of_kto_alone(base: Base) -> None:
    given = [*corrected(1), *disliked(3)]
    assert [row["label"] for row in found(base, given, by("kto")).rows] == [True, False, False, False, False]
    for method in ("sft", "dpo", "orpo"):
        learned = found(base, given, by(method))
        assert (len(learned.rows), learned.examples, learned.too_long) == (1, 1, 0), method


def test_a_few_thumbs_never_weigh_more_than_ten_times_as_much() -> None:
    def row(good: bool) -> Row:
        return {"label": good}

    assert _weights([row(True)] * 30 + [row(False)] * 10) == {"undesirable_weight": 3}
    assert _weights([row(True)] * 200 + [row(False)]) == {"undesirable_weight": 10}
    assert _weights([row(True)] + [row(False)] * 200) == {"desirable_weight": 10}


def test_kto_measures_its_drift_on_another_rows_answer_even_in_a_last_batch_of_one() -> None:
    def given(n: int) -> list[Row]:
        return [{"completion_ids": [at]} for at in range(n)]

    assert [row["KL_completion_ids"] for row in _mismatched(given(6), 3)] == [[2], [0], [1], [5], [3], [4]]
    assert [row["KL_completion_ids"] for row in _mismatched(given(5), 2)] == [[1], [0], [3], [2], [3]]


@pytest.mark.parametrize("n", [103, 104, 2])
def test_rows_that_are_padded_stand_beside_others_of_their_length_and_long_batches_between_short_ones(n: int) -> None:
    given: list[Row] = [{"input_ids": [0] * (1 + at * 37 % n)} for at in range(n)]
    dealt = _alike(given, 4, seed=7)
    assert sorted(map(id, dealt)) == sorted(map(id, given))
    lengths = [len(row["input_ids"]) for row in dealt]  # type: ignore[arg-type]
    batches = [lengths[at : at + 4] for at in range(0, n, 4)]
    if n > 100:
        assert sum(max(each) * len(each) for each in batches) < 1.06 * sum(lengths)
        assert lengths[:40] != sorted(lengths[:40])
    assert dealt == _alike(given, 4, seed=7)


@pytest.mark.parametrize("method", ["sft", "kto", "dpo", "orpo"])
def test_each_method_prefers_what_was_good_to_what_was_not(base: Base, tmp_path: Path, method: str) -> None:
    given = [*examples(8), *disliked(8)] if method == "kto" else corrected(8)
    good_before, bad_before, good_after, bad_after = measured(base, given, by(method, learning_rate=0.01), tmp_path / "run")
    assert bad_after - good_after > bad_before - good_before + 0.3


def measured(base: Base, given: list[Example], recipe: Recipe, folder: Path) -> tuple[float, float, float, float]:
    """The mean loss of good and bad answers (nats a token) before a training on them, and after it."""
    made = run(folder)
    assert finetune(base, CPU, given, recipe, made, silent, never) is not None
    assert [path for path in made.candidate.iterdir() if path.is_dir()] == []
    contents = {name: (made.candidate / name).read_bytes() for name in (WEIGHTS, CONFIG)}
    lora = unshelve(Lora(draft("n1"), 1, {}, made.candidate), contents)
    good = [each for each in given if each.good]
    bad = [each for each in given if not each.good] + [each.instead(each.worse) for each in given if each.worse is not None]
    losses = [measure(base, CPU, {"new": lora}, part, 400, lambda done, total: None) for part in (good, bad)]
    before, after = ([sum(score.loss for score in part[name]) / len(part[name]) for part in losses] for name in (BASE, "new"))
    return before[0], before[1], after[0], after[1]


def test_what_can_not_be_packed_trains_by_trl_to_the_same_losses(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = by("sft", steps=2, batch_size=8, dropout=0.0, warmup_steps=0)
    losses = []
    for name in ("packed", "by trl"):
        trained = finetune(base, CPU, examples(8), learned, run(tmp_path / name), silent, never)
        assert trained is not None
        losses.append([each.loss for each in trained.losses])
        monkeypatch.setattr("train.methods.packable", lambda network: False)
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
