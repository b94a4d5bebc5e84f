"""Fine-tuning: examples in, a LoRA folder and its losses out; of full fine-tuning the folder of a model.

The base is loaded for training alone: on a CPU with AVX512-BF16 bitsandbytes repacks a 4-bit weight at its first forward pass
in eval mode, and every gradient through it is silently wrong from then on. Not yet run on a GPU.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.utils.logging import disable_progress_bar

from model import weights
from model.device import Device
from model.tokens import Tokens
from model.weights import Base
from train import methods
from train.errors import Diverged
from train.examples import Example
from train.lean import make_lean
from train.recipe import Recipe
from train.runs import Loss, Run, last_checkpoint, mark_complete

# One bad batch is skipped; so many in a row mean that the weights themselves have gone.
_BAD_STEPS = 3


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to; its weights lie in the run's candidate folder. `rows` examples were trained on, `too_long` did not fit."""

    losses: tuple[Loss, ...]
    rows: int
    too_long: int


def finetune(
    base: Base,
    device: Device,
    examples: Sequence[Example],
    recipe: Recipe,
    run: Run,
    progress: Callable[[int, float], None],
    stopped: Callable[[], bool],
    *,
    quantize: bool = True,
) -> Trained | None:
    """Trains a LoRA from the base, or all of its weights, into `run.candidate`, from the last complete checkpoint where there is one.

    `progress` gets the step and its loss. When `stopped` says so, a checkpoint is written and None returned.
    Raises TooLittleData, Diverged, ModelDamaged, DeviceUnusable, or what a full disk makes the libraries raise.
    """
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    disable_progress_bar()
    warnings.filterwarnings(
        "ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning
    )  # peft asks for it, and nobody can help it
    loaded = weights.load(base, device.whole if recipe.whole else device, quantize=quantize and not recipe.whole)
    tokens = Tokens(loaded, loaded.context)
    found = methods.rows(tokens, examples, recipe)
    watcher = _Watcher(run, progress, stopped)
    trainer = _trainer(loaded, device, found.rows, recipe, run, watcher)
    resumed = last_checkpoint(run.checkpoints, run.key)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    if trainer.state.global_step < recipe.steps:
        return None
    if trainer.is_world_process_zero():
        _save(trainer.model, loaded.tokenizer, run)
    losses = tuple(Loss(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    return Trained(losses, found.examples, found.too_long)


def _save(network: PeftModel | PreTrainedModel, tokenizer: PreTrainedTokenizerBase, run: Run) -> None:
    """A LoRA, in which the shelf looks for numbers that are none; or a model of its own, in which nobody else looks. Raises Diverged."""
    if isinstance(network, PeftModel):
        network.save_pretrained(run.candidate, selected_adapters=["default"])  # TRL's KTO and DPO keep a copy to compare with
        return
    if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
        raise Diverged("what was trained has weights that are no numbers")
    network.save_pretrained(run.candidate)
    tokenizer.save_pretrained(run.candidate)


def _trainer(loaded: weights.Loaded, device: Device, rows: Sequence[methods.Row], recipe: Recipe, run: Run, watcher: "_Watcher") -> Trainer:
    set_seed(recipe.seed)
    network = trainable(loaded.network, recipe)
    tokenizer = loaded.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    trainer = methods.trainer(network, tokenizer, rows, device, recipe, run)
    # trl makes the LoRA weights of a 4-bit base bf16, whose steps are too coarse and which fp16's gradient scaler refuses.
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if isinstance(network, PeftModel):
        make_lean(network)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watcher)
    return trainer


def trainable(network: PreTrainedModel, recipe: Recipe) -> PeftModel | PreTrainedModel:
    """The frozen base with fresh LoRA weights on every linear layer but the head; in full fine-tuning the base itself."""
    if recipe.whole:
        return network
    if getattr(network, "is_loaded_in_4bit", False):
        network = prepare_model_for_kbit_training(network, use_gradient_checkpointing=recipe.gradient_checkpointing)
    elif recipe.gradient_checkpointing:
        network.enable_input_require_grads()
    config = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(network, config)


class _Watcher(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Between the trainer's steps: progress, checkpoints that can be trusted, gradients that are no numbers, stopping."""

    def __init__(self, run: Run, progress: Callable[[int, float], None], stopped: Callable[[], bool]) -> None:
        self._run = run
        self._progress = progress
        self._stopped = stopped
        self._bad_steps = 0

    def on_pre_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        gradients = [parameter.grad for parameter in kwargs["model"].parameters() if parameter.grad is not None]
        if all(torch.isfinite(gradient).all() for gradient in gradients):
            self._bad_steps = 0
            return
        scaler = getattr(kwargs.get("optimizer"), "scaler", None)
        if scaler is not None and scaler.get_scale() >= 1:
            return  # fp16 looks for its scale: the scaler skips this step and halves it
        self._bad_steps += 1
        if self._bad_steps >= _BAD_STEPS:
            raise Diverged(f"the gradients of {_BAD_STEPS} steps in a row, the last of them {state.global_step + 1}, were no numbers")
        kwargs["model"].zero_grad()  # without gradients this step changes nothing

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        loss = (kwargs.get("logs") or {}).get("loss")
        if loss is not None:
            self._progress(state.global_step, float(loss))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._stopped():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()  # where several share a training, each leaves its random state
        if state.is_world_process_zero:
            mark_complete(self._run.checkpoints / f"checkpoint-{state.global_step}", self._run.key)
