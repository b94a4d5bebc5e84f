"""The ways to train: a LoRA on packed rows; all weights, and models whose rows can't be packed, by TRL. The only file that imports trl.

The prompts are the ones the bot sends, token for token, so nothing here tokenizes.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import trl
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from model.device import Device
from model.tokens import Tokens
from train import preferred
from train.errors import TooLittleData
from train.evaluate import encode
from train.examples import Example
from train.kinds import PAIRS, Kinds
from train.packed import NO_LOSS, PackedTrainer, packable
from train.recipe import Recipe
from train.runs import Run

Row = Mapping[str, Sequence[int] | bool]
T = TypeVar("T")
# KTO's paper kept up with a tenth of the good answers. Beyond that a few thumbs would be half of a training.
_MOST_WEIGHT = 10.0
_POOL_BATCHES = 16  # among whose rows those of a length are found: more would save hardly more


@dataclass(frozen=True, slots=True)
class Rows:
    """What a method reads: `examples` of them were taken, `too_long` did not fit."""

    rows: Sequence[Row]
    examples: int
    too_long: int


@dataclass(frozen=True, slots=True)
class _Answered:
    """An example as token ids; `rejected` where it was a correction of something else."""

    prompt: list[int]
    answer: list[int]
    good: bool
    rejected: list[int] | None
    times: int


def rows(tokens: Tokens, examples: Sequence[Example], recipe: Recipe) -> Rows:
    """What the recipe's method learns from these. Raises TooLittleData when nothing fits, or there is nothing of a kind that it needs."""
    usable = [example for example in examples if example.good or recipe.learns_from_dislikes]
    known = [_answered(tokens, example, recipe) for example in usable]
    fitting = [each for each in known if each is not None]
    if known and not fitting:
        raise TooLittleData(f"none of {len(known)} rows fits into max_tokens = {recipe.max_tokens}; set more in the recipe")
    pairs = [each for each in fitting if each.rejected is not None]
    good = sum(each.good for each in fitting)
    kinds = Kinds(good, len(fitting) - good + len(pairs), len(pairs), sum(example.repeats for example in usable))
    if (missing := kinds.missing(recipe.method)) is not None:
        raise TooLittleData(missing)
    taken = pairs if recipe.method in PAIRS else fitting
    made = [row for each in taken for row in _OF[recipe.method](each) * each.times]
    return Rows(made, len(taken), len(known) - len(fitting))


def _answered(tokens: Tokens, example: Example, recipe: Recipe) -> _Answered | None:
    item = encode(tokens, example, recipe.max_tokens)
    if item is None:
        return None
    rejected = None
    if example.worse is not None:
        other = encode(tokens, example.instead(example.worse), recipe.max_tokens)
        if other is not None and other.prompt == item.prompt:
            rejected = list(other.answer)
    return _Answered(list(item.prompt), list(item.answer), example.good, rejected, recipe.repeat_people if example.turn_ids else 1)


def supervised(each: _Answered) -> list[Row]:
    """The loss is taken on the answer only."""
    return [{"input_ids": each.prompt + each.answer, "labels": [NO_LOSS] * len(each.prompt) + each.answer}]


def _good_or_bad(each: _Answered) -> list[Row]:
    found: list[Row] = [{"prompt_ids": each.prompt, "completion_ids": each.answer, "label": each.good}]
    if each.rejected is not None:
        found.append({"prompt_ids": each.prompt, "completion_ids": each.rejected, "label": False})
    return found


def _pair(each: _Answered) -> list[Row]:
    assert each.rejected is not None
    return [{"prompt_ids": each.prompt, "chosen_ids": each.answer, "rejected_ids": each.rejected}]


_OF = {"sft": supervised, "full": supervised, "kto": _good_or_bad, "dpo": _pair, "orpo": _pair}


class _Dpo(DPOTrainer):  # type: ignore[misc]  # trl is not typed
    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


class _Kto(KTOTrainer):  # type: ignore[misc]
    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def trainer(
    network: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    found: Sequence[Row],
    device: Device,
    recipe: Recipe,
    run: Run,
) -> Trainer:
    """The recipe's method, ready to train what is not frozen of a network: a LoRA, or all of it."""
    common = _common(device, recipe, run)
    if recipe.method == "kto":
        common["train_sampling_strategy"] = "sequential"  # answers are matched with those beside them
        found = _mismatched(_dealt(found, recipe.seed), recipe.batch_size)
    if isinstance(network, PeftModel) and packable(network.get_base_model()):
        return _packed(network, found, common, recipe)
    use_triton(device.triton)
    if recipe.method != "kto":
        common["train_sampling_strategy"] = "sequential"
        found = _alike(found, recipe.batch_size, recipe.seed)
    return _by_trl(network, tokenizer, found, {**common, "max_length": None}, recipe)  # what is too long was left out: nothing is cut


def _packed(network: PeftModel, found: Sequence[Row], common: Mapping[str, Any], recipe: Recipe) -> Trainer:
    """On rows without padding; a head that is frozen."""
    rest = {"args": _on_one(TrainingArguments(**common, remove_unused_columns=False)), "train_dataset": list(found)}
    if recipe.method == "kto":
        weights = {"desirable_weight": 1.0, "undesirable_weight": 1.0} | _weights(found)
        both = weights["desirable_weight"], weights["undesirable_weight"]
        return preferred.KtoTrainer(network, beta=recipe.beta, weights=both, data_collator=preferred.judged, **rest)
    if recipe.method == "dpo":
        return preferred.DpoTrainer(network, beta=recipe.beta, data_collator=preferred.pairs, **rest)
    if recipe.method == "orpo":
        return preferred.OrpoTrainer(network, beta=recipe.beta, data_collator=preferred.pairs, **rest)
    return PackedTrainer(network, **rest)


def _by_trl(
    network: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    found: Sequence[Row],
    common: Mapping[str, Any],
    recipe: Recipe,
) -> Trainer:
    if recipe.method in ("sft", "full"):
        config = _on_one(SFTConfig(**common, dataset_kwargs={"skip_prepare_dataset": True}))
        return SFTTrainer(model=network, args=config, train_dataset=Dataset.from_list(list(found)), processing_class=tokenizer)
    if recipe.method == "kto":
        return _Kto(
            model=network,
            args=_on_one(KTOConfig(**common, beta=recipe.beta, **_weights(found))),
            train_dataset=Dataset.from_list(list(found)),
            processing_class=tokenizer,
        )
    if recipe.method == "dpo":
        config = _on_one(DPOConfig(**common, beta=recipe.beta, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 1.0]))
        return _Dpo(model=network, args=config, train_dataset=Dataset.from_list(list(found)), processing_class=tokenizer)
    return _orpo(network, tokenizer, found, common, recipe)


def _orpo(
    network: PeftModel, tokenizer: PreTrainedTokenizerBase, found: Sequence[Row], common: Mapping[str, Any], recipe: Recipe
) -> Trainer:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # it may change without notice, and is pinned
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class Orpo(ORPOTrainer):  # type: ignore[misc]
        def tokenize_row(self, feature: Mapping[str, Any], model: object = None) -> Mapping[str, Any]:
            return feature

    said = {"prompt": "", "chosen": "", "rejected": ""}  # it looks for a template to apply
    dataset = Dataset.from_list([{**said, **_whole_pair(row)} for row in found])
    config = _on_one(ORPOConfig(**{**common, "max_length": recipe.max_tokens}, beta=recipe.beta))
    return Orpo(model=network, args=config, train_dataset=dataset, processing_class=tokenizer)


def _whole_pair(pair: Row) -> dict[str, list[int]]:
    """A pair as TRL's ORPO reads it: both answers behind their prompt."""
    prompt, *answers = (list(cast("Sequence[int]", pair[name])) for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
    made = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
    for name, answer in zip(("chosen", "rejected"), answers, strict=True):
        made[f"{name}_input_ids"] = prompt + answer
        made[f"{name}_attention_mask"] = [1] * (len(prompt) + len(answer))
        made[f"{name}_labels"] = [NO_LOSS] * len(prompt) + answer
    return made


def _on_one(config: TrainingArguments) -> TrainingArguments:
    """A process trains on one device; on all that it sees, the Trainer would cut batches apart, whose rows lie behind one another."""
    config._n_gpu = min(config.n_gpu, 1)
    return config


def _weights(found: Sequence[Row]) -> dict[str, float]:
    """As much weight on what was good as on what was bad (Ethayarajh et al. 2024, arXiv 2402.01306, equation 8), as far as that goes."""
    good = sum(bool(row["label"]) for row in found)
    bad = len(found) - good
    if good > bad:
        return {"undesirable_weight": min(good / bad, _MOST_WEIGHT)}
    return {"desirable_weight": min(bad / good, _MOST_WEIGHT)}


def _alike(found: Sequence[Row], batch: int, seed: int) -> list[Row]:
    """Dealt so that the rows of a batch are about as long as one another, the batches in any order: where rows are padded, less is read."""
    dealt, pool = _dealt(found, seed), _POOL_BATCHES * batch
    ordered = [row for begin in range(0, len(dealt), pool) for row in sorted(dealt[begin : begin + pool], key=_length)]
    *batches, last = (ordered[begin : begin + batch] for begin in range(0, len(ordered), batch))
    return [row for each in [*_dealt(batches, seed), last] for row in each]


def _length(row: Row) -> int:
    return sum(len(each) for each in row.values() if not isinstance(each, bool))


def _dealt(found: Sequence[T], seed: int) -> list[T]:
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    return [found[int(at)] for at in order]


def _mismatched(found: Sequence[Row], batch: int) -> list[Row]:
    """Each with the answer before it in its batch, what KTO measures its drift from the base on; alone in the last, with one of another."""
    made: list[Row] = []
    for begin in range(0, len(found), batch):
        part = found[begin : begin + batch]
        before = [part[-1] if len(part) > 1 else found[begin - 1], *part]
        made += [{**row, "KL_completion_ids": other["completion_ids"]} for other, row in zip(before, part, strict=False)]
    return made


def _common(device: Device, recipe: Recipe, run: Run) -> dict[str, Any]:
    return {
        "output_dir": str(run.checkpoints),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": recipe.warmup_steps,
        "lr_scheduler_type": "cosine",
        "activation_checkpointing": recipe.gradient_checkpointing,
        "activation_checkpointing_kwargs": {"use_reentrant": False},  # or layers would be computed again with other dropout (lean.py)
        "save_steps": recipe.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # the default hides losses that are no numbers
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "fp16": device.name == "cuda" and device.dtype == torch.float16,
        "bf16": device.name == "cuda" and device.dtype == torch.bfloat16,
        "use_cpu": device.name == "cpu",
        "optim": "adamw_torch",
        "ddp_find_unused_parameters": False,  # nothing that learns is left out of a pass
        "dataloader_pin_memory": device.name == "cuda",
        "disable_tqdm": True,
        "report_to": [],
    }


def use_triton(usable: bool) -> None:
    """trl computes its losses with Triton on any CUDA device; Triton needs compute capability 7.0."""
    if usable:
        return
    trl.kernels.chunked_logprob._TRITON_AVAILABLE = False
    trl.trainer.utils.is_triton_available = lambda *_: False
