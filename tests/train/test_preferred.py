"""KTO, DPO and ORPO on packed rows: TRL's own losses and gradients, from fewer tokens."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerFast, Trainer

from tests.train.learners import FP32, learner
from tests.train.test_finetune import run
from train.methods import Row, trainer
from train.preferred import judged, pairs
from train.recipe import load

PAIRS: list[Row] = [
    {"prompt_ids": [5, 6, 7, 8, 9], "chosen_ids": [20, 21, 22], "rejected_ids": [23, 24]},
    {"prompt_ids": [5, 6, 7, 10], "chosen_ids": [25], "rejected_ids": [20, 26, 27, 28]},
    {"prompt_ids": [5, 6, 7, 8, 9, 11], "chosen_ids": [29, 30, 31, 32], "rejected_ids": [29]},
]
JUDGED: Sequence[Row] = [
    {"prompt_ids": each["prompt_ids"], "completion_ids": each[name], "label": name == "chosen_ids"}
    for each in PAIRS
    for name in ("chosen_ids", "rejected_ids")
][:5]


def test_a_batch_of_pairs_reads_once_what_its_rows_begin_with() -> None:
    batch = pairs(PAIRS)
    assert batch["rows"] == (3, (5, 2, 7, 4, 5, 4))
    assert [label for label in batch["labels"][0].tolist() if label != -100] == [20, 21, 22, 25, 29, 30, 31, 32, 23, 24, 20, 26, 27, 28, 29]


def test_judged_answers_stand_beside_answers_to_other_prompts() -> None:
    batch = judged([{**row, "KL_completion_ids": [40 + at]} for at, row in enumerate(JUDGED)])
    assert batch["label"].tolist() == [True, False, True, False, True]
    assert [label for label in batch["others"]["labels"][0].tolist() if label != -100] == [40, 41, 42, 43, 44]


def made(
    folder: Path, method: str, *, packs: bool, monkeypatch: pytest.MonkeyPatch, checkpointing: bool = False
) -> tuple[Trainer, PeftModel]:
    """A trainer whose LoRA has learned something since it was built."""
    network = learner(folder, "phi3", checkpointing=checkpointing)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()  # as a training begins: TRL's copy is of this
    if not packs:
        monkeypatch.setattr("train.methods.packable", lambda network: False)
    recipe = load("embedded").model_copy(update={"method": method, "batch_size": 5 if method == "kto" else 3, "beta": 0.3})
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    found = trainer(network, tokenizer, JUDGED if method == "kto" else PAIRS, FP32, recipe, run(folder / "run"))
    torch.manual_seed(4)
    for name, parameter in sorted(network.named_parameters()):
        if ".default." in name:
            parameter.data.normal_(0, 0.1)
    return found, network


def first_loss(found: Trainer, network: PeftModel) -> tuple[float, torch.Tensor, Any]:
    batch = next(iter(found.get_train_dataloader()))
    loss = found.compute_loss(found.model, batch)
    loss.backward()
    gradients = [each.grad.flatten() for name, each in sorted(network.named_parameters()) if each.grad is not None and ".default." in name]
    return loss.item(), torch.cat(gradients), batch


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_loss_and_gradients_are_those_of_trls_trainer(tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, gradient, _ = first_loss(*made(tmp_path / "a", method, packs=True, monkeypatch=monkeypatch))
    theirs, wanted, _ = first_loss(*made(tmp_path / "b", method, packs=False, monkeypatch=monkeypatch))
    assert mine == pytest.approx(theirs, abs=1e-5)
    assert (gradient - wanted).norm() < 1e-4 * wanted.norm()


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_activations_that_are_computed_again_are_those_with_the_lora_on(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was off when the base was read."""
    kept, wanted, _ = first_loss(*made(tmp_path / "a", method, packs=True, monkeypatch=monkeypatch))
    again, gradient, _ = first_loss(*made(tmp_path / "b", method, packs=True, monkeypatch=monkeypatch, checkpointing=True))
    assert again == pytest.approx(kept)
    torch.testing.assert_close(gradient, wanted)


def test_orpos_loss_is_that_of_trls_trainer_but_for_the_prompts_likelihood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, *_ = first_loss(*made(tmp_path / "a", "orpo", packs=True, monkeypatch=monkeypatch))
    found, network = made(tmp_path / "b", "orpo", packs=False, monkeypatch=monkeypatch)
    theirs, _, batch = first_loss(found, network)
    better, _, logits, _, with_prompts = found.concatenated_forward(network, batch)
    labels = batch["chosen_labels"][:, 1:]
    answers = torch.nn.functional.cross_entropy(logits[:, : labels.shape[1]].flatten(0, 1), labels.flatten())
    assert mine == pytest.approx(theirs - (with_prompts - answers).item(), abs=1e-5)
    assert better.shape == (3,)


@pytest.mark.parametrize("sure_of", ["chosen_ids", "rejected_ids"])
def test_orpo_learns_on_from_an_answer_that_can_not_become_likelier(tmp_path: Path, sure_of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is as likely as rounding tells has no odds, and would make every gradient no number."""
    found, network = made(tmp_path / "a", "orpo", packs=True, monkeypatch=monkeypatch)
    plain, first = found._likelihoods, slice(0, 1) if sure_of == "chosen_ids" else slice(3, 4)

    def likelihoods(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
        each, tokens = plain(*args)
        sure = torch.ones_like(each)
        sure[first] = 0
        return each * sure, tokens

    monkeypatch.setattr(found, "_likelihoods", likelihoods)
    loss, gradients, _ = first_loss(found, network)
    assert math.isfinite(loss)
    assert torch.isfinite(gradients).all()
    assert gradients.norm() > 0
