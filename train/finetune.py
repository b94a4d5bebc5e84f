"""QLoRA fine-tuning with TRL: token ids in, a LoRA folder and its losses out. The only file that imports trl.

The base is loaded for training alone: on a CPU with AVX512-BF16 bitsandbytes repacks a 4-bit weight at its first forward pass
in eval mode, and every gradient through it is silently wrong from then on. Not yet run on a GPU.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed
from transformers.utils.logging import disable_progress_bar
from trl import SFTConfig, SFTTrainer

from model import weights
from model.device import Device
from model.tokens import Tokens
from model.weights import Base
from train.errors import Diverged
from train.evaluate import Item, encode
from train.examples import Example
from train.recipe import Recipe
from train.runs import Loss, Run, last_checkpoint, mark_complete

# One bad batch is skipped; so many in a row mean that the weights themselves have gone.
_BAD_STEPS = 3
_NO_LOSS = -100


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to; the LoRA lies in the run's candidate folder. `rows` examples were trained on, `too_long` did not fit."""

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
) -> Trained | None:
    """Trains a LoRA from the base into `run.candidate`, from the last complete checkpoint where there is one.

    `progress` gets the step and its loss. When `stopped` says so, a checkpoint is written and None returned.
    Raises Diverged, ModelDamaged, DeviceUnusable, or what a full disk makes the libraries raise.
    """
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    disable_progress_bar()
    _use_triton(device.triton)
    loaded = weights.load(base, device)
    tokens = Tokens(loaded, loaded.context)
    items = [(encode(tokens, example, recipe.max_tokens), example) for example in examples]
    fitting = [(item, example) for item, example in items if item is not None]
    rows = [row(item) for item, example in fitting for _ in range(recipe.repeat_people if example.turn_ids else 1)]
    watcher = _Watcher(run, progress, stopped)
    trainer = _trainer(loaded, device, rows, recipe, run, watcher)
    resumed = last_checkpoint(run.checkpoints, run.key)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    if trainer.state.global_step < recipe.steps:
        return None
    trainer.model.save_pretrained(run.candidate)
    losses = tuple(Loss(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    return Trained(losses, len(fitting), len(items) - len(fitting))


def row(item: Item) -> dict[str, list[int]]:
    """What the trainer reads: the loss is taken on the answer only."""
    return {"input_ids": [*item.prompt, *item.answer], "labels": [_NO_LOSS] * len(item.prompt) + list(item.answer)}


def _trainer(
    loaded: weights.Loaded, device: Device, rows: list[dict[str, list[int]]], recipe: Recipe, run: Run, watcher: "_Watcher"
) -> SFTTrainer:
    set_seed(recipe.seed)
    network = trainable(loaded.network, recipe)
    tokenizer = loaded.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    trainer = SFTTrainer(
        model=network, args=_arguments(device, recipe, run), train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    # trl makes the LoRA weights of a 4-bit base bf16, whose steps are too coarse and which fp16's gradient scaler refuses.
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watcher)
    return trainer


def trainable(network: torch.nn.Module, recipe: Recipe) -> PeftModel:
    """The frozen base with fresh LoRA weights on every linear layer but the head."""
    frozen = prepare_model_for_kbit_training(network, use_gradient_checkpointing=recipe.gradient_checkpointing)
    config = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(frozen, config)


def _arguments(device: Device, recipe: Recipe, run: Run) -> SFTConfig:
    return SFTConfig(
        output_dir=str(run.checkpoints),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        lr_scheduler_type="cosine",
        activation_checkpointing=recipe.gradient_checkpointing,
        save_steps=recipe.save_every,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,  # the default hides losses that are no numbers
        seed=recipe.seed,
        data_seed=recipe.seed,
        train_sampling_strategy="group_by_length",
        max_length=None,  # what is too long was left out: nothing is cut
        fp16=device.name == "cuda" and device.dtype == torch.float16,
        bf16=device.name == "cuda" and device.dtype == torch.bfloat16,
        use_cpu=device.name == "cpu",
        optim="adamw_torch",
        dataloader_pin_memory=device.name == "cuda",
        dataset_kwargs={"skip_prepare_dataset": True},
        disable_tqdm=True,
        report_to=[],
    )


def _use_triton(usable: bool) -> None:
    """trl computes its loss with Triton on any CUDA device; Triton needs compute capability 7.0."""
    if usable:
        return
    trl.kernels.chunked_logprob._TRITON_AVAILABLE = False
    trl.trainer.utils.is_triton_available = lambda *_: False


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
        mark_complete(self._run.checkpoints / f"checkpoint-{state.global_step}", self._run.key)
