"""SFT without padding: the same loss and gradients as of each row by itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32
from peft import PeftModel
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GptOssConfig,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    TrainerCallback,
    TrainingArguments,
)

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


def tiny(of: type[PreTrainedConfig], **changes: Any) -> PreTrainedModel:
    sizes = {"vocab_size": 80, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 16}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return AutoModelForCausalLM.from_config(of(**sizes, **ids, initializer_range=0.1, **changes))


@pytest.mark.parametrize("of", [LlamaConfig, Phi3Config, Qwen2Config, Qwen3Config])
def test_a_model_whose_rows_can_be_packed_says_so_when_it_is_asked_and_is_as_before(of: type[PreTrainedConfig]) -> None:
    network = tiny(of)
    before = network(torch.tensor([[5, 6, 7]])).logits
    assert packable(network)
    torch.testing.assert_close(network(torch.tensor([[5, 6, 7]])).logits, before)


@pytest.mark.parametrize(
    ("of", "changes", "why"),
    [
        (Gemma2Config, {}, "its logits"),  # which it caps
        (GraniteConfig, {"logits_scaling": 4.0}, "its logits"),
        (PhiConfig, {}, "its logits"),  # its head has a bias
        (GptOssConfig, {"num_local_experts": 2, "num_experts_per_tok": 1}, "other hidden states"),  # by attention with sinks
        (MambaConfig, {}, "other hidden states"),  # it has no attention
        (GPT2Config, {}, "other hidden states"),  # by dropout of its own
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_of_which_packing_would_make_another_is_found_out_and_said(
    of: type[PreTrainedConfig], changes: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    network = tiny(of, **changes)
    if (bias := network.get_output_embeddings().bias) is not None:
        bias.data.normal_()
    assert not packable(network)
    [record] = [each for each in caplog.records if each.name == "train.packed"]
    assert why in record.__dict__["why"]


def test_logits_that_are_capped_or_scaled_are_found_out_on_whatever_model(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny(LlamaConfig)
    plain = network.forward

    def capped(*args: Any, **kwargs: Any) -> Any:
        found = plain(*args, **kwargs)
        found.logits = 30 * torch.tanh(found.logits / 30)
        return found

    monkeypatch.setattr(network, "forward", capped)
    assert not packable(network)


def test_a_model_that_can_not_be_told_of_rows_is_found_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    network = tiny(LlamaConfig)
    plain = network.forward
    monkeypatch.setattr(network, "forward", lambda input_ids, use_cache: plain(input_ids, use_cache=use_cache))
    assert not packable(network)
    assert "unexpected keyword argument" in caplog.records[-1].__dict__["why"]


def test_rows_that_see_one_another_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny(LlamaConfig)
    plain = AttentionInterface()["sdpa"]

    def contaminated(*args: Any, rows: object = None, **rest: Any) -> Any:
        return plain(*args, **rest)

    monkeypatch.setitem(AttentionInterface._global_mapping, "care_rows", contaminated)
    assert not packable(network)
