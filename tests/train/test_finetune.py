"""Training itself, on tiny models: right gradients, loss on the answer only, and going on where it stopped."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bitsandbytes as bnb
import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch import nn

from model import weights
from model.chat import Message
from model.device import Device, find_device
from model.manifest import Draft, Lora
from model.shelf import CONFIG, WEIGHTS, unshelve
from model.tokens import Tokens
from model.weights import Base
from tests.fakes.loras import draft
from tests.model.tiny import save_tiny
from train.errors import Diverged
from train.evaluate import BASE, encode, measure
from train.examples import Example
from train.finetune import _Watcher, finetune
from train.methods import rows
from train.recipe import Recipe, load
from train.runs import Loss, Run, is_complete, mark_complete

CPU = find_device("cpu")
RECIPE = load("embedded").model_copy(update={"steps": 8, "batch_size": 2, "save_every": 3, "learning_rate": 0.02, "max_tokens": 400})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Wide enough for bitsandbytes to repack its weights, and tame enough for gradients that survive bfloat16."""
    return save_tiny(tmp_path_factory.mktemp("wide"), "llama", hidden_size=256, intermediate_size=512, initializer_range=0.05)


def examples(n: int) -> list[Example]:
    return [
        Example(
            f"e{k}",
            f"g{k}",
            (Message("system", "hello"), Message("user", f"how do I cancel order {k}?")),
            f"quick brown fox {k}",
            "telecom",
            "starter",
            "internal",
        )
        for k in range(n)
    ]


def never() -> bool:
    return False


def silent(step: int, loss: float) -> None:
    pass


def run(folder: Path) -> Run:
    folder.mkdir()
    return Run(folder, "k" * 64)


def test_only_the_answer_and_its_end_are_learned(base: Base) -> None:
    loaded = weights.load(base, CPU)
    [trained] = rows(Tokens(loaded, 512), examples(1), RECIPE).rows
    learned = [label for label in trained["labels"] if label != -100]
    assert loaded.tokenizer.decode(learned) == "quick brown fox 0<|im_end|>"
    assert trained["input_ids"][-len(learned) :] == learned
    assert loaded.tokenizer.decode(trained["input_ids"][: -len(learned)]).endswith("<|im_start|>assistant\n")


def test_what_does_not_fit_loses_its_oldest_turns_and_then_is_left_out(base: Base) -> None:
    tokens = Tokens(weights.load(base, CPU), 512)
    question = Message("user", "how do I cancel?")
    history = (Message("user", "hello " * 60), Message("assistant", "my fox"))
    example = Example("e", "g", (Message("system", "hello"), *history, question), "fox", "other", "x", "")
    whole, cut = encode(tokens, example, 400), encode(tokens, example, 60)
    assert whole is not None
    assert cut is not None
    assert len(cut.prompt) + len(cut.answer) <= 60 < len(whole.prompt)
    assert encode(tokens, example, 12) is None


def gradients(network: nn.Module, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of every LoRA factor, for factors that are the same in every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lora = get_peft_model(network, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"))
    lora.train()
    lora(input_ids=ids, labels=ids).loss.backward()
    return {name: parameter.grad.float() for name, parameter in lora.named_parameters() if parameter.grad is not None}


def plain(loaded: weights.Loaded) -> nn.Module:
    """The same network with its 4-bit weights written out in fp32."""
    network = loaded.network
    for name, module in list(network.named_modules()):
        if isinstance(module, bnb.nn.Linear4bit):
            full = nn.Linear(module.in_features, module.out_features, bias=False)
            full.weight.data = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state).float()
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, full)
    network.is_loaded_in_4bit = network.is_quantized = False
    network.hf_quantizer = None
    return network.float()


def alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The smallest cosine between the gradients of a factor."""
    assert one.keys() == other.keys()
    return min(torch.nn.functional.cosine_similarity(one[name].flatten(), other[name].flatten(), dim=0).item() for name in one)


@pytest.mark.filterwarnings("ignore:.*an autograd kernel was not registered")  # torch's own word for the trap
def test_the_gradients_of_a_load_for_training_are_right_and_after_measuring_they_are_not(base: Base) -> None:
    """Why training and measuring never share a load: the second half is the trap that they avoid."""
    ids = torch.randint(5, 60, (2, 24), generator=torch.Generator().manual_seed(1))
    true = gradients(plain(weights.load(base, CPU)), ids)
    fresh = prepare_model_for_kbit_training(weights.load(base, CPU).network, use_gradient_checkpointing=False)
    assert alike(gradients(fresh, ids), true) > 0.99
    if CPU.dtype != torch.bfloat16:
        pytest.skip("this CPU has no AVX512-BF16, for which bitsandbytes repacks")
    used = weights.load(base, CPU).network
    with torch.no_grad():
        used(input_ids=ids)
    try:
        spoilt = alike(gradients(prepare_model_for_kbit_training(used, use_gradient_checkpointing=False), ids), true)
    except (RuntimeError, AssertionError):
        return  # refused outright: as good as wrong
    assert spoilt < 0.5


def test_training_lowers_the_loss_of_what_was_trained_and_leaves_a_lora_for_the_shelf(base: Base, tmp_path: Path) -> None:
    done = run(tmp_path / "run")
    said: list[int] = []
    trained = finetune(base, CPU, examples(12), RECIPE, done, lambda step, loss: said.append(step), never)
    assert trained is not None
    assert (trained.rows, trained.too_long, said) == (12, 0, list(range(1, 9)))
    assert trained.losses[-1].loss < trained.losses[0].loss
    contents = {name: (done.candidate / name).read_bytes() for name in (WEIGHTS, CONFIG)}
    lora = unshelve(Lora(_draft(base), 1, {}, done.candidate), contents)
    assert (lora.rank, lora.alpha) == (8, 32)
    scores = measure(base, CPU, {"candidate": lora}, examples(4), 400, lambda done, total: None)
    assert all(mine.loss < other.loss for mine, other in zip(scores["candidate"], scores[BASE], strict=True))


def _draft(base: Base) -> Draft:
    return draft("n1", base=weights.identify(base))


def whole_and_resumed(base: Base, recipe: Recipe, folder: Path) -> tuple[Sequence[Loss], Sequence[Loss]]:
    """The losses of a training of eight steps, and of one that was stopped after five and started again."""
    taught = [replace(each, rejected=f"slow green turtle of {each.id}") for each in examples(12)]
    whole = finetune(base, CPU, taught, recipe, run(folder / "whole"), silent, never)
    steps: list[int] = []
    stopped = run(folder / "stopped")
    assert finetune(base, CPU, taught, recipe, stopped, lambda step, loss: steps.append(step), lambda: len(steps) >= 4) is None
    assert is_complete(stopped.checkpoints / "checkpoint-5", stopped.key)
    resumed = finetune(base, CPU, taught, recipe, stopped, silent, never)
    assert whole is not None
    assert resumed is not None
    return whole.losses, resumed.losses


@pytest.mark.parametrize("method", ["sft", "kto", "dpo", "orpo"])
def test_a_stopped_training_goes_on_and_ends_as_if_it_had_never_stopped(base: Base, tmp_path: Path, method: str) -> None:
    whole, resumed = whole_and_resumed(base, RECIPE.model_copy(update={"method": method}), tmp_path)
    assert [loss.step for loss in resumed] == list(range(1, 9))
    assert [loss.loss for loss in resumed] == pytest.approx([loss.loss for loss in whole], rel=0.01)


def test_a_checkpoint_of_another_run_is_not_gone_on_with(base: Base, tmp_path: Path) -> None:
    done = run(tmp_path / "run")
    short = RECIPE.model_copy(update={"steps": 3})
    finetune(base, CPU, examples(12), short, done, silent, never)
    mark_complete(done.checkpoints / "checkpoint-3", "another key")
    steps: list[int] = []
    finetune(base, CPU, examples(12), short, done, lambda step, loss: steps.append(step), never)
    assert steps == [1, 2, 3]


class _Parameters(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.weight.grad = torch.full((2,), value)


def test_one_bad_step_is_skipped_and_three_in_a_row_end_the_training(tmp_path: Path) -> None:
    from transformers import TrainerState

    watcher, state = _Watcher(run(tmp_path / "run"), silent, never), TrainerState()
    good, bad = _Parameters(1.0), _Parameters(float("nan"))

    def step(model: nn.Module) -> None:
        watcher.on_pre_optimizer_step(None, state, None, model=model)  # type: ignore[arg-type]

    for model in (bad, _Parameters(float("inf")), good, _Parameters(float("nan")), _Parameters(float("nan"))):
        step(model)
    assert bad.weight.grad is None
    assert good.weight.grad is not None
    with pytest.raises(Diverged, match="3 steps in a row"):
        step(_Parameters(float("nan")))


def test_in_fp16_the_scaler_may_look_for_its_scale_and_a_training_that_has_none_ends(tmp_path: Path) -> None:
    """By substitution: no GPU has run this."""
    from transformers import TrainerState

    network, state = nn.Linear(2, 1), TrainerState()
    optimizer, scaler = torch.optim.AdamW(network.parameters()), torch.amp.GradScaler("cpu")
    watcher = _Watcher(run(tmp_path / "run"), silent, never)
    before = network.weight.detach().clone()

    def step() -> None:
        scaler.scale(network(torch.ones(2)).sum() * float("inf")).backward()
        scaler.unscale_(optimizer)
        told = {"model": network, "optimizer": SimpleNamespace(scaler=scaler)}
        watcher.on_pre_optimizer_step(None, state, None, **told)  # type: ignore[arg-type]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    for _ in range(17):  # from 2^16 to 2^-1
        step()
    assert scaler.get_scale() == 0.5
    step()
    step()
    with pytest.raises(Diverged, match="3 steps in a row"):
        step()
    assert network.weight.equal(before)


@pytest.mark.parametrize(
    ("device", "fp16", "bf16"),
    [
        (Device("cuda", torch.float16), True, False),
        (Device("cuda", torch.bfloat16, triton=True), False, True),
        (Device("cpu", torch.bfloat16), False, False),
    ],
)
def test_the_precision_of_training_follows_the_device(device: Device, fp16: bool, bf16: bool, tmp_path: Path) -> None:
    """By substitution: no GPU has run this."""
    from train.methods import _common

    asked = _common(device, RECIPE, run(tmp_path / "run"))
    assert (asked["fp16"], asked["bf16"], asked["use_cpu"]) == (fp16, bf16, device.name == "cpu")
    assert asked["activation_checkpointing_kwargs"] == {"use_reentrant": False}


def test_a_process_that_sees_several_gpus_trains_on_one(tmp_path: Path) -> None:
    """By substitution: no GPU has run this."""
    from transformers import TrainingArguments

    from train.methods import _on_one

    asked = TrainingArguments(str(tmp_path), use_cpu=True)
    asked._n_gpu = 4
    assert _on_one(asked).train_batch_size == asked.per_device_train_batch_size


def test_below_compute_capability_7_trl_computes_its_loss_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    import trl

    from train.methods import use_triton

    monkeypatch.setattr(trl.kernels.chunked_logprob, "_TRITON_AVAILABLE", True)
    monkeypatch.setattr(trl.trainer.utils, "is_triton_available", lambda: True)
    use_triton(True)
    assert trl.trainer.utils.is_triton_available()
    use_triton(False)
    assert not trl.trainer.utils.is_triton_available()
    assert not trl.kernels.chunked_logprob._TRITON_AVAILABLE
