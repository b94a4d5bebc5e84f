"""KTO, DPO and ORPO on packed rows: what is better beside what is worse, read without a token too many. Knows no model.

The losses are TRL's, but that ORPO's likelihood is of the better answer alone, as in its paper (Hong et al. 2024, arXiv 2403.07691,
equation 6), not of the prompt too. What KTO and DPO compare with is the base, with the LoRA off: no copy is kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import logsigmoid

from train.packed import NO_LOSS, PackedTrainer, packed

Row = Mapping[str, Any]
_ROUNDING = 2.0**-24  # of a likelihood near 1, in single precision


def pairs(rows: Sequence[Row]) -> dict[str, Any]:
    """A batch of {prompt_ids, chosen_ids, rejected_ids}: all better answers, then all worse ones."""
    return packed([_answered(row["prompt_ids"], row[name]) for name in ("chosen_ids", "rejected_ids") for row in rows])


def judged(rows: Sequence[Row]) -> dict[str, Any]:
    """A batch of {prompt_ids, completion_ids, label, KL_completion_ids}; `others` are the prompts with answers to other ones."""
    mine, others = ([_answered(row["prompt_ids"], row[name]) for row in rows] for name in ("completion_ids", "KL_completion_ids"))
    return {**packed(mine), "others": packed(others), "label": torch.tensor([bool(row["label"]) for row in rows])}


def _answered(prompt: Sequence[int], answer: Sequence[int]) -> dict[str, list[int]]:
    return {"input_ids": [*prompt, *answer], "labels": [NO_LOSS] * len(prompt) + [*answer]}


class _Preferring(PackedTrainer):
    """What the three share: how likely a network finds each answer of a batch. Its loss is the mean of a pass."""

    def __init__(self, network: PeftModel, *, beta: float, **rest: Any) -> None:
        super().__init__(network, **rest)
        self.model_accepts_loss_kwargs = False
        self._network = network
        self._beta = beta

    def _likelihoods(self, model: nn.Module, batch: Row) -> tuple[torch.Tensor, torch.Tensor]:
        """The log-likelihood of each row's answer, and of how many tokens it is."""
        nats, row = self.nats(model, batch)
        rows = len(batch["rows"][1])
        return nats.new_zeros(rows).index_add(0, row, -nats), torch.bincount(row, minlength=rows)

    def _of_base(self, batch: Row) -> torch.Tensor:
        with torch.no_grad(), self._network.disable_adapter():
            return self._likelihoods(self._network, batch)[0]


class DpoTrainer(_Preferring):
    """With the likelihood of the better answer, which DPO alone may lower too (Pang et al. 2024, arXiv 2404.19733)."""

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """The mean of a batch of `pairs`."""
        before = self._of_base(inputs)
        found, tokens = self._likelihoods(model, inputs)
        better, worse = (found - before).chunk(2)
        return _unlikely(found, tokens) - logsigmoid(self._beta * (better - worse)).mean()


class OrpoTrainer(_Preferring):
    """Compares with nothing but the other answer."""

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """The mean of a batch of `pairs`."""
        found, tokens = self._likelihoods(model, inputs)
        better, worse = (found / tokens).chunk(2)
        odds = better - worse - (_log_of_rest(better) - _log_of_rest(worse))
        return _unlikely(found, tokens) - self._beta * logsigmoid(odds).mean()


class KtoTrainer(_Preferring):
    """Each answer by itself, beside how far the network has drifted from the base; `weights` are those of good and of bad answers."""

    def __init__(self, network: PeftModel, *, weights: tuple[float, float], **rest: Any) -> None:
        super().__init__(network, **rest)
        self._weights = weights

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """The mean of a batch of `judged`."""
        good, others = inputs["label"], inputs["others"]
        with torch.no_grad():
            drift = (self._likelihoods(self._network, others)[0] - self._of_base(others)).mean()
            drift = torch.as_tensor(self.accelerator.gather(drift)).mean().clamp(min=0)
        before = self._of_base(inputs)
        gained = self._likelihoods(model, inputs)[0] - before - drift
        weight = torch.where(good, self._weights[0], self._weights[1])
        losses: torch.Tensor = weight * torch.sigmoid(self._beta * torch.where(good, -gained, gained))
        return losses.mean()


def _unlikely(found: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Nats a token of the better answers."""
    return -found.chunk(2)[0].sum() / tokens.chunk(2)[0].sum()


def _log_of_rest(log_likelihood: torch.Tensor) -> torch.Tensor:
    """The logarithm of 1 - p, from that of p; of one that rounds to certainty, the least that it may be."""
    return torch.log(-torch.expm1(log_likelihood.clamp(max=-_ROUNDING)))
