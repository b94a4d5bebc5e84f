"""What a training will take: against what autograd really keeps, and what is said when it does not fit."""

import json
from pathlib import Path

import pytest
import torch

from model import weights
from model.device import Device
from tests.model.tiny import save_tiny
from train import plan
from train.errors import TooLarge
from train.finetune import trainable
from train.foresee import last_rate
from train.lean import make_lean
from train.plan import GIB, Anatomy
from train.recipe import Recipe, load

# Phi-3.5-mini-instruct, from its config.json.
PHI = Anatomy(3072, 8192, 3072, 32, ((3072, 9216), (3072, 3072), (3072, 16384), (8192, 3072)) * 32, 2 * 32064 * 3072 + 65 * 3072)
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
    assert plan.require(PHI, NIGHTLY, 600, 2**40, "cpu").activations < plan.plan(PHI, NIGHTLY).activations / 3


def test_pairs_take_twice_the_rows() -> None:
    one, two = plan.plan(PHI, NIGHTLY), plan.plan(PHI, recipe(method="dpo"))
    assert (two.activations, two.learning) == (2 * one.activations, one.learning * 5 // 4)


def test_a_rank_over_a_layers_is_refused() -> None:
    narrow = Anatomy(64, 192, 16, 1, ((64, 16), (64, 192)), 1000)
    with pytest.raises(TooLarge, match=r"rank = 32 is over the narrowest linear layer's 16"):
        plan.require(narrow, recipe(rank=32), 10**6, 2**40, "cpu")


def test_time_is_what_the_last_night_took_for_so_many_operations(tmp_path: Path) -> None:
    for day, model in (("2026-03-01", "phi"), ("2026-03-02", "phi"), ("2026-03-03", "other")):
        (tmp_path / day).mkdir()
        told = {"model": model, "recipe": NIGHTLY.facts(), "cost": {"training": 236.0 if day > "2026-03-01" else 1.0}}
        (tmp_path / day / "report.json").write_text(json.dumps(told))
    rate = last_rate(tmp_path, PHI, "phi")
    assert rate is not None
    assert plan.operations(PHI, NIGHTLY) / rate == pytest.approx(236)
    assert plan.operations(PHI, recipe(steps=59, gradient_checkpointing=False)) / rate == pytest.approx(236 / 2 * 2 / 3)
    assert plan.operations(PHI, recipe(method="dpo")) / rate == pytest.approx(236 * 2 * 4 / 3)
    assert last_rate(tmp_path, PHI, "unknown") is None


def test_the_papers_training_of_phi_is_44_quadrillion_operations_at_most() -> None:
    assert plan.operations(PHI, load("care-paper")) / 1e15 == pytest.approx(44, rel=0.02)


def test_full_fine_tuning_takes_sixteen_bytes_a_weight_and_is_refused_for_large_models() -> None:
    small = Anatomy(64, 192, 16, 1, ((64, 16), (64, 192)), 1000)
    found = plan.require(small, recipe(method="full", rank=32), 10**6, 2**40, "cpu")
    weights_of_it = 64 * 16 + 64 * 192 + 1000
    assert (found.weights, found.learning) == (4 * weights_of_it, 12 * weights_of_it)
    with pytest.raises(
        TooLarge, match=r"all 3,821,079,552 weights of this model, and is for models of at most 1,000,000,000: set method = \"sft\""
    ):
        plan.require(PHI, recipe(method="full"), 10**6, 2**40, "cuda")


def test_where_full_fine_tuning_does_not_fit_a_lora_may() -> None:
    smollm = Anatomy(576, 1536, 192, 30, ((576, 960), (576, 576), (576, 3072), (1536, 576)) * 30, 49152 * 576 + 61 * 576)
    asked = recipe(method="full", batch_size=1, max_tokens=256)
    with pytest.raises(TooLarge, match=r'in the recipe, method = "sft" fits, or free memory'):
        plan.require(smollm, asked, 10**6, GIB, "cpu")


def test_the_advice_for_kto_leaves_it_two_rows_to_compare() -> None:
    asked = recipe(method="kto", batch_size=4, accumulate=4)
    least = plan.plan(PHI, recipe(method="kto", batch_size=2, max_tokens=512)).total
    with pytest.raises(TooLarge, match=r"batch_size = 2, accumulate = 8, max_tokens = 512 fits"):
        plan.require(PHI, asked, 10**6, least, "cuda")
