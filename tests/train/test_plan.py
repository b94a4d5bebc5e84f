"""What a training will take: against what autograd really keeps, and what is said when it does not fit."""

import json
from pathlib import Path

import pytest
import torch

from model import weights
from model.chat import Message
from model.device import Device
from tests.model.tiny import save_tiny
from train import lengths, plan
from train.errors import TooLarge
from train.examples import Example
from train.finetune import trainable
from train.foresee import last_rate
from train.lean import make_lean
from train.plan import GIB, Anatomy
from train.recipe import Recipe, load

# Phi-3.5-mini-instruct, from its config.json.
PHI = Anatomy(3072, 8192, 3072, 32, ((3072, 9216), (3072, 3072), (3072, 16384), (8192, 3072)) * 32, 2 * 32064 * 3072 + 65 * 3072, 32064)
NIGHTLY = load("nightly")


def recipe(**fields: object) -> Recipe:
    return NIGHTLY.model_copy(update=fields)


def test_the_papers_training_of_phi_fits_beside_its_server_on_a_16_gib_card() -> None:
    found = plan.plan(PHI, load("care-paper"))
    assert found.weights / GIB == pytest.approx(2.63, abs=0.01)
    assert 5 < found.total / GIB < 8


@pytest.mark.parametrize(("kind", "least"), [("phi3", 0.97), ("llama", 0.9)])
def test_activations_are_what_autograd_keeps(tmp_path: Path, kind: str, least: float) -> None:
    base = save_tiny(tmp_path / "m", kind, hidden_size=64, intermediate_size=192, num_hidden_layers=3)
    network = weights.load(base, Device("cpu", torch.float32)).network
    learner = trainable(network, recipe(rank=2, gradient_checkpointing=False)).train()
    make_lean(learner)
    own = {tensor.untyped_storage().data_ptr() for tensor in learner.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.arange(200)[None] % 50
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        learner.get_base_model().model(input_ids=ids, use_cache=False)
    wanted = plan.plan(plan.anatomy(base), recipe(rank=2, batch_size=1, max_tokens=200, gradient_checkpointing=False))
    assert least < sum(kept.values()) / wanted.activations < 1.03


def test_what_does_not_fit_is_refused_with_the_mildest_change_that_does() -> None:
    whole = plan.plan(PHI, NIGHTLY).total
    assert plan.require(PHI, NIGHTLY, 10**6, whole, "cuda").total == whole
    with pytest.raises(TooLarge, match=r"batch_size = 2, accumulate = 8 fits, or free memory"):
        plan.require(PHI, NIGHTLY, 10**6, whole - 1, "cuda")
    fast = recipe(gradient_checkpointing=False)
    with pytest.raises(TooLarge, match=r"the recipe, gradient_checkpointing = true fits"):
        plan.require(PHI, fast, 10**6, whole, "cuda")
    with pytest.raises(TooLarge, match="choose a smaller CARE_MODEL"):
        plan.require(PHI, NIGHTLY, 10**6, 2 * GIB, "cuda")


def test_rows_that_are_shorter_than_the_recipe_allows_take_less() -> None:
    assert plan.require(PHI, NIGHTLY, 300, 2**40, "cpu").activations < plan.plan(PHI, NIGHTLY).activations / 3


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_pairs_take_twice_the_rows_and_no_copy_to_compare_with(method: str) -> None:
    one, two = plan.plan(PHI, NIGHTLY), plan.plan(PHI, recipe(method=method))
    assert (two.activations, two.learning) == (2 * one.activations, one.learning)


def test_the_head_expects_a_chunk_of_tokens_at_once_whatever_the_method() -> None:
    for batch in (1, 8):
        sft, orpo = (plan.plan(PHI, recipe(method=method, batch_size=batch)) for method in ("sft", "orpo"))
        layer = batch * NIGHTLY.max_tokens * (40 * PHI.hidden + 17 * PHI.intermediate + 8 * PHI.keys)
        assert orpo.work - sft.work == layer


def test_fewer_rows_at_a_time_are_still_as_many_a_step() -> None:
    for batch in (5, 6, 7):
        asked = recipe(batch_size=batch, accumulate=1)
        smaller = list(plan._smaller(asked))
        assert len(smaller) > 2
        assert {each.batch_size * each.accumulate for each in smaller} == {batch}


def test_a_rank_over_a_layers_is_refused() -> None:
    narrow = Anatomy(64, 192, 16, 1, ((64, 16), (64, 192)), 1000, 50)
    with pytest.raises(TooLarge, match=r"^most_rank = 32 is over the narrowest linear layer's 16; set most_rank = 16 at most"):
        plan.require(narrow, recipe(rank=16), 10**6, 2**40, "cpu")
    with pytest.raises(TooLarge, match=r"rank = 32 is over the narrowest linear layer's 16"):
        plan.require(narrow, recipe(rank=32), 10**6, 2**40, "cpu")


def night(runs: Path, day: str, recipe: Recipe, steps: int, seconds: float, tokens: float = 190, model: str = "phi") -> None:
    (runs / day).mkdir()
    told = {"model": model, "processes": 1, "recipe": recipe.facts(), "cost": {"training": 0.4}}
    trained = {"steps": steps, "seconds": seconds, "tokens_a_row": tokens}
    (runs / day / "report.json").write_text(json.dumps({**told, "training": trained}))


def seconds(runs: Path, recipe: Recipe, tokens: float) -> float:
    rate = last_rate(runs, PHI, "phi", recipe.method)
    assert rate is not None
    return plan.operations(PHI, recipe, tokens) / rate


def test_time_is_foreseen_from_the_steps_and_seconds_that_the_last_night_really_trained(tmp_path: Path) -> None:
    # 100 steps of 16 rows, forward, backward and forward again, in 200 s
    night(tmp_path, "2026-03-01", NIGHTLY, 100, 200)
    assert seconds(tmp_path, recipe(steps=50), 190) == pytest.approx(100)
    assert seconds(tmp_path, recipe(steps=50, gradient_checkpointing=False), 190) == pytest.approx(100 * 2 / 3)
    # attention is a hundredth of the work: twice the tokens, twice the time
    assert seconds(tmp_path, recipe(steps=50), 380) == pytest.approx(200, rel=0.01)
    # of a night that was killed at step 60 of 118 and went on, 58 steps count; one that was found trained tells nothing
    night(tmp_path, "2026-03-02", NIGHTLY, 58, 58)
    night(tmp_path, "2026-03-03", NIGHTLY, 0, 0.0)
    (tmp_path / "2026-03-04").mkdir()
    (tmp_path / "2026-03-04" / "report.json").write_text(json.dumps({"model": "phi", "recipe": NIGHTLY.facts(), "cost": {"training": 0.4}}))
    night(tmp_path, "2026-03-05", NIGHTLY, 118, 1, model="other")
    assert seconds(tmp_path, recipe(steps=50), 190) == pytest.approx(50)
    assert last_rate(tmp_path, PHI, "unknown", "sft") is None
    assert last_rate(tmp_path, PHI, "phi", "sft", processes=2) is None


def test_how_long_a_row_may_be_changes_nothing_in_the_time_that_rows_take(tmp_path: Path) -> None:
    night(tmp_path, "2026-03-01", recipe(max_tokens=512), 100, 200)
    assert seconds(tmp_path, recipe(max_tokens=1024, steps=100), 190) == pytest.approx(200)


def test_what_packed_rows_take_says_nothing_of_full_fine_tuning_which_packs_none(tmp_path: Path) -> None:
    full = recipe(method="full", most_rank=NIGHTLY.rank, steps=100)
    night(tmp_path, "2026-03-01", full, 100, 400)
    night(tmp_path, "2026-03-02", NIGHTLY, 100, 100)
    assert seconds(tmp_path, recipe(steps=100), 190) == pytest.approx(100)
    assert seconds(tmp_path, full, 190) == pytest.approx(400)
    # pairs are twice the rows; forward, backward and forward again, and once or, of single rows, three times more to compare
    assert seconds(tmp_path, recipe(method="dpo", steps=100), 190) == pytest.approx(100 * 2 * 4 / 3)
    assert seconds(tmp_path, recipe(method="kto", steps=100), 190) == pytest.approx(100 * 6 / 3)


def row(question: str, response: str, rejected: str | None = None, turns: tuple[str, ...] = ()) -> Example:
    return Example(
        "x",
        "x",
        (Message("system", "s" * 100), Message("user", question)),
        response,
        "telecom",
        "starter",
        "as CARE",
        turns,
        rejected=rejected,
    )


def test_rows_are_as_long_as_what_the_method_reads_with_its_template() -> None:
    plain = recipe(canaries=0, repeat_people=3)
    short, long = row("q" * 40, "a" * 60), row("q" * 40, "a" * 260, rejected="b" * 460, turns=("t1",))
    assert lengths.mean([short, long], plain, "") == pytest.approx((50 + 3 * 100) / 4 + 18)
    assert lengths.mean([short, long], recipe(canaries=0, max_tokens=64), "") == 64
    assert lengths.longest([short, long], plain, "") == 400 + 18
    for method, most in (("kto", 600), ("dpo", 600), ("full", 400)):
        assert lengths.longest([short, long], recipe(method=method, canaries=0), "") == most + 18
    assert lengths.longest([row("€" * 40, "a")], plain, "") == 100 + 3 * 40 + 1 + 18, "a sign of three bytes may be three tokens"
    assert lengths.longest([short], recipe(canaries=2), "p" * 900) > 900, "canaries are rows too"


def test_the_papers_training_of_phi_is_44_quadrillion_operations_at_most() -> None:
    assert plan.operations(PHI, load("care-paper"), 1024) / 1e15 == pytest.approx(44, rel=0.02)


def test_full_fine_tuning_takes_sixteen_bytes_a_weight_and_is_refused_for_large_models() -> None:
    small = Anatomy(64, 192, 16, 1, ((64, 16), (64, 192)), 1000, 50)
    found = plan.require(small, recipe(method="full", rank=32), 10**6, 2**40, "cpu")
    weights_of_it = 64 * 16 + 64 * 192 + 1000
    assert (found.weights, found.learning) == (4 * weights_of_it, 12 * weights_of_it)
    with pytest.raises(
        TooLarge, match=r"all 3,821,079,552 weights of this model, and is for models of at most 1,000,000,000: set method = \"sft\""
    ):
        plan.require(PHI, recipe(method="full"), 10**6, 2**40, "cuda")


def test_where_full_fine_tuning_does_not_fit_a_lora_may() -> None:
    smollm = Anatomy(576, 1536, 192, 30, ((576, 960), (576, 576), (576, 3072), (1536, 576)) * 30, 49152 * 576 + 61 * 576, 49152)
    asked = recipe(method="full", batch_size=1, max_tokens=256)
    with pytest.raises(TooLarge, match=r'in the recipe, method = "sft" fits, or free memory'):
        plan.require(smollm, asked, 10**6, GIB, "cpu")


def test_the_advice_for_kto_leaves_it_two_rows_to_compare() -> None:
    asked = recipe(method="kto", batch_size=4, accumulate=4)
    least = plan.plan(PHI, recipe(method="kto", batch_size=2, max_tokens=512)).total
    with pytest.raises(TooLarge, match=r"batch_size = 2, accumulate = 8, max_tokens = 512 fits"):
        plan.require(PHI, asked, 10**6, least, "cuda")
