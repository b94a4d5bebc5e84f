"""SFT without padding: the same loss and gradients as of each row by itself."""

from pathlib import Path

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32
from peft import PeftModel
from transformers import TrainerCallback, TrainingArguments

from tests.train.learners import learner
from train.lean import make_lean
from train.packed import PackedTrainer, packable, packed


def row(prompt: list[int], answer: list[int]) -> dict[str, list[int]]:
    return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer}


ROWS = [row([5, 6, 7, 8, 9], [20, 21, 22]), row([5, 6, 7, 10], [23]), row([5, 6, 7, 8, 9, 11, 12], [24, 25, 26, 27])]
UNLIKE = [row([30, 31], [32, 33]), row([40, 41, 42], [43])]
ONE_PROMPT = [row([5, 6, 7], [20]), row([5, 6, 7], [20]), row([5, 6, 7], [21, 22])]


def gradients(network: PeftModel) -> torch.Tensor:
    found = torch.cat([parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None])
    network.zero_grad()
    return found


def trainer(network: PeftModel, folder: Path) -> PackedTrainer:
    return PackedTrainer(network, args=TrainingArguments(str(folder), use_cpu=True, report_to=[]))


def test_a_batch_reads_once_what_its_rows_begin_with() -> None:
    batch = packed(ROWS)
    assert batch["rows"] == (3, (5, 2, 8))
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 20, 21, 22, 10, 23, 8, 9, 11, 12, 24, 25, 26, 27]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 3, 4, 5, 6, 7, 8, 9, 10]]
    assert [label for label in batch["labels"][0].tolist() if label != -100] == [20, 21, 22, 23, 24, 25, 26, 27]


def test_each_answer_is_expected_from_a_token_of_its_own_row() -> None:
    assert packed(ONE_PROMPT)["rows"] == (2, (2, 2, 3))
    assert packed(UNLIKE)["rows"] == (0, (4, 4))
    assert packed(ROWS[:1])["rows"] == (0, (8,))


@pytest.mark.parametrize("kind", ["llama", "phi3"])
@pytest.mark.parametrize("rows", [ROWS, UNLIKE, ONE_PROMPT, ROWS[:1]], ids=["common beginning", "none", "one prompt", "one row"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed again"])
def test_loss_and_gradients_are_those_of_each_row_by_itself(
    tmp_path: Path, kind: str, rows: list[dict[str, list[int]]], checkpointing: bool
) -> None:
    network = learner(tmp_path / "m", kind, checkpointing=checkpointing)
    answers = sum(label != -100 for each in rows for label in each["labels"])
    alone = 0.0
    for each in rows:
        labels = torch.tensor([each["labels"]])
        loss = network(input_ids=torch.tensor([each["input_ids"]]), labels=labels).loss * (labels != -100).sum() / answers
        loss.backward()
        alone += loss.item()
    wanted = gradients(network)
    loss = trainer(network, tmp_path).compute_loss(network, packed(rows))
    loss.backward()
    assert loss.item() == pytest.approx(alone, rel=1e-5)
    assert (gradients(network) - wanted).norm() < 1e-4 * wanted.norm()


def test_many_labels_are_read_by_the_head_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = learner(tmp_path / "m")
    whole = trainer(network, tmp_path)
    losses, found = [], []
    for positions in (256, 3):
        monkeypatch.setattr("train.packed.HEAD_POSITIONS", positions)
        losses.append(whole.compute_loss(network, packed(ROWS)))
        losses[-1].backward()
        found.append(gradients(network))
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float16, 2**10), (torch.bfloat16, 1)], ids=["fp16, scaled", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed again"])
def test_half_precision_gives_the_same_loss_and_gradients(tmp_path: Path, dtype: torch.dtype, scale: int, checkpointing: bool) -> None:
    """As accelerate does it on a GPU, autocast around the network alone, by substitution: no GPU has run this."""
    network = learner(tmp_path / "m", checkpointing=checkpointing)
    make_lean(network)
    whole = trainer(network, tmp_path)
    wanted = whole.compute_loss(network, packed(ROWS))
    wanted.backward()
    exact = gradients(network)
    network.forward = convert_outputs_to_fp32(torch.autocast("cpu", dtype=dtype)(network.forward))
    loss = whole.compute_loss(network, packed(ROWS))
    (loss * scale).backward()
    found = gradients(network) / scale
    assert loss.item() == pytest.approx(wanted.item(), rel=0.02)
    assert torch.nn.functional.cosine_similarity(found, exact, dim=0) > 0.99
    assert found.norm().item() == pytest.approx(exact.norm().item(), rel=0.05)


def first_step(network: PeftModel, folder: Path, batch: int, accumulate: int) -> torch.Tensor:
    """The gradient that a training of four rows begins with."""
    found: list[torch.Tensor] = []

    class Note(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
        def on_pre_optimizer_step(self, *_: object, **__: object) -> None:
            found.append(torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None]))

    told = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "max_steps": 1, "max_grad_norm": 0.0}
    args = TrainingArguments(str(folder), use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, **told)
    PackedTrainer(network, args=args, train_dataset=[*ROWS, UNLIKE[0]], callbacks=[Note()]).train()
    return found[0]


def test_a_step_is_the_same_in_however_many_passes_it_is_taken(tmp_path: Path) -> None:
    at_once, in_four = (first_step(learner(tmp_path / str(n)), tmp_path, 4 // n, n) for n in (1, 4))
    assert (at_once - in_four).norm() < 1e-4 * at_once.norm()


def test_the_loss_is_a_token_of_the_whole_step_and_of_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = learner(tmp_path / "m")
    whole = trainer(network, tmp_path)
    alone = whole.compute_loss(network, packed(ROWS)).item()  # of 8 answered tokens
    of_step = torch.tensor(32)
    assert whole.compute_loss(network, packed(ROWS), num_items_in_batch=of_step).item() == pytest.approx(alone * 8 / 32)
    monkeypatch.setattr(type(whole.accelerator), "num_processes", 2)
    assert whole.compute_loss(network, packed(ROWS), num_items_in_batch=of_step).item() == pytest.approx(2 * alone * 8 / 32)


@pytest.mark.parametrize("field", ["final_logit_softcapping", "logits_scaling"])
def test_logits_that_are_more_than_a_product_are_not_packed(tmp_path: Path, field: str) -> None:
    network = learner(tmp_path / "m").get_base_model()
    assert packable(network)
    setattr(network.config, field, 30.0)
    assert not packable(network)


def test_a_head_with_bias_and_attention_with_sinks_are_not_packed(tmp_path: Path) -> None:
    network, other = (learner(tmp_path / name).get_base_model() for name in "ab")
    network.lm_head.bias = torch.nn.Parameter(torch.zeros(network.config.vocab_size))
    other.model.layers[0].self_attn.register_parameter("sinks", torch.nn.Parameter(torch.zeros(4)))
    assert not packable(network)
    assert not packable(other)
