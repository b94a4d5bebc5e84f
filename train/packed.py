"""SFT without a token too many: no padding, what rows begin with in common once, and the head only where the loss is.

The rows of a batch lie behind one another in one sequence, after what they all begin with (CARE's instructions, as a rule). Each attends to
that beginning and to itself, at the positions that it has alone, so that the loss is the same as of each row by itself; what dropout
leaves out of the beginning is the same for all rows of a batch.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import AttentionInterface, PreTrainedModel, Trainer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from train.plan import HEAD_POSITIONS

NO_LOSS = -100  # the label of what is only read
_ATTENTION = "care_rows"
_OF_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")


def packed(rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
    """A batch of {input_ids, labels}, one sequence: `rows` says how long the common beginning is, and each row's rest.

    Labels are those of the rows; the common beginning ends before the first label of any and leaves a token of each prompt.
    """
    ids = [list(row["input_ids"]) for row in rows]
    first = min(next(at for at, label in enumerate(row["labels"]) if label != NO_LOSS) for row in rows)
    alike = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*ids, strict=False)))
    shared = min(alike, first - 1) if len(rows) > 1 else 0
    rests = tuple(len(each) - shared for each in ids)
    return {
        "input_ids": torch.tensor([ids[0][:shared] + [token for each in ids for token in each[shared:]]]),
        "position_ids": torch.tensor([[*range(shared), *(shared + at for rest in rests for at in range(rest))]]),
        "labels": torch.tensor([[NO_LOSS] * shared + [label for row in rows for label in row["labels"][shared:]]]),
        "rows": (shared, rests),
    }


def _attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: None, rows: tuple[int, Sequence[int]], **rest: Any
) -> tuple[torch.Tensor, None]:
    """Attention within each row and to the common beginning; query, key and value are [1, heads, all tokens, width]."""
    shared, lengths = rows
    parts, begin = [], shared
    if shared:
        parts.append(sdpa_attention_forward(module, *(each[:, :, :shared] for each in (query, key, value)), None, **rest)[0])
    for length in lengths:
        own = slice(begin, begin + length)
        before = (torch.cat([each[:, :, :shared], each[:, :, own]], 2) for each in (key, value))
        causal = torch.ones(length, shared + length, dtype=torch.bool, device=query.device).tril(shared)
        parts.append(sdpa_attention_forward(module, query[:, :, own], *before, causal[None, None], **rest)[0])
        begin += length
    return torch.cat(parts, 1), None


AttentionInterface.register(_ATTENTION, _attend)


class PackedTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """Trains what is `packable` on rows of {input_ids, labels}. The network answers with hidden states from here on."""

    def __init__(self, network: PeftModel, **rest: Any) -> None:
        super().__init__(model=network, data_collator=packed, **rest)
        self.model_accepts_loss_kwargs = True  # the loss is a step's, whatever number of passes it takes
        base = network.get_base_model()
        base.set_attn_implementation(_ATTENTION)
        self._head = base.get_output_embeddings()
        self._head.forward = _as_it_is

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Nats a token of the answers."""
        labels = inputs.pop("labels")[0, 1:]
        at = (labels != NO_LOSS).nonzero()[:, 0]
        hidden = model(**inputs, logits_to_keep=at, use_cache=False).logits[0]
        loss: torch.Tensor = _Loss.apply(hidden, self._head.weight, labels[at])  # type: ignore[no-untyped-call]
        # DDP averages the gradients of what each process has of a step's answers.
        answers = len(at) if num_items_in_batch is None else num_items_in_batch / self.accelerator.num_processes
        return loss.div(answers)


def packable(network: PreTrainedModel) -> bool:
    """Whether packed rows teach it the same: its logits are hidden states times a matrix, its attention without sinks."""
    config = network.config.get_text_config()
    sinks = any(name.rpartition(".")[2] == "sinks" for name, _ in network.named_parameters())
    plain = all(getattr(config, name, None) in (None, 1) for name in _OF_LOGITS)
    return plain and not sinks and getattr(network.get_output_embeddings(), "bias", None) is None


def _as_it_is(hidden: torch.Tensor) -> torch.Tensor:
    return hidden


class _Loss(torch.autograd.Function):
    """The summed cross entropy of hidden states [n, width] under a head [tokens, width], which is frozen; in the head's own precision.

    Nobody's autocast reaches it: accelerate's ends with the network's forward pass.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        gradient, loss = torch.empty_like(hidden, dtype=torch.float32), hidden.new_zeros((), dtype=torch.float32)
        for begin in range(0, len(hidden), HEAD_POSITIONS):
            part = slice(begin, begin + HEAD_POSITIONS)
            expected = (hidden[part].to(head.dtype) @ head.T).float().log_softmax(-1)
            right = labels[part, None]
            loss -= expected.gather(1, right).sum()
            expected.exp_().scatter_add_(1, right, expected.new_full((1, 1), -1.0).expand_as(right))
            gradient[part] = expected.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        ctx.dtype = hidden.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        [gradient] = ctx.saved_tensors
        return (gradient * gradients[0]).to(ctx.dtype), None, None
