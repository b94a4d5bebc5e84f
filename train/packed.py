"""Training without a token too many: no padding, what rows begin with in common once, and the head only where the loss is.

SFT stands here, preferences in preferred.py.

The rows of a batch lie behind one another in one sequence, after what they all begin with (CARE's instructions, as a rule). Each attends to
that beginning and to itself, at the positions that it has alone, so that the loss is the same as of each row by itself; what dropout
leaves out of the beginning is the same for all rows of a batch.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import AttentionInterface, PreTrainedModel, Trainer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from train.plan import HEAD_POSITIONS

log = logging.getLogger(__name__)

NO_LOSS = -100  # the label of what is only read
_ATTENTION = "care_rows"
# Two rows that begin alike, to ask a model with; what half precision rounds away is less than this share, what it does otherwise more.
_PROBE: Sequence[Mapping[str, Sequence[int]]] = [
    {"input_ids": [11, 12, 13, 14, 15, 16], "labels": [NO_LOSS] * 4 + [15, 16]},
    {"input_ids": [11, 12, 17, 18, 19], "labels": [NO_LOSS] * 4 + [19]},
]
_PROBE_TOLERANCE = 0.05
_LARGE = 100.0  # times a hidden state: over what any model caps its logits at


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
        super().__init__(model=network, **{"data_collator": packed} | rest)
        self.model_accepts_loss_kwargs = True  # the loss is a step's, whatever number of passes it takes
        base = network.get_base_model()
        base.set_attn_implementation(_ATTENTION)
        self._head = base.get_output_embeddings()
        self._head.forward = _as_it_is

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Nats a token of the answers."""
        nats, _ = self.nats(model, inputs)
        # DDP averages the gradients of what each process has of a step's answers.
        answers = len(nats) if num_items_in_batch is None else num_items_in_batch / self.accelerator.num_processes
        return nats.sum().div(answers)

    def nats(self, model: nn.Module, batch: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """What each token of the answers of a `packed` batch costs, and the number of its row."""
        labels = batch["labels"][0, 1:]
        at = (labels != NO_LOSS).nonzero()[:, 0]
        read = {name: batch[name] for name in ("input_ids", "position_ids", "rows")}
        hidden = model(**read, logits_to_keep=at, use_cache=False).logits[0]
        shared, rests = batch["rows"]
        ends = torch.tensor(rests, device=at.device).cumsum(0) + shared
        found: torch.Tensor = _Nats.apply(hidden, self._head.weight, labels[at])  # type: ignore[no-untyped-call]
        return found, torch.bucketize(at, ends, right=True)


def packable(network: PreTrainedModel) -> bool:
    """Whether packed rows teach it the same: it is asked, by four passes of a few tokens."""
    network.train()  # in eval mode a CPU would repack 4-bit weights, and their gradients be wrong (finetune.py)
    try:
        if not _plain_head(network):
            why = "its logits are more than hidden states times a matrix"
        elif not _apart(network):
            why = "rows behind one another have other hidden states than alone"
        else:
            return True
    except (TypeError, ValueError) as error:
        why = str(error)
    log.warning("rows are not packed: TRL's trainer takes over, which is slower", extra={"model": network.config.model_type, "why": why})
    return False


def _plain_head(network: PreTrainedModel) -> bool:
    """Whether its logits are hidden states times a matrix: nothing is added, and nothing done to them later."""
    head = network.get_output_embeddings()
    weight = head.weight
    some = torch.linspace(-2, 2, 3 * weight.shape[1], device=weight.device).view(3, -1).to(weight.dtype)
    seen: list[torch.Tensor] = []

    def note(hidden: torch.Tensor) -> torch.Tensor:
        seen.append(hidden * _LARGE)
        return seen[-1]

    with torch.no_grad(), _answering(network, note):
        logits = network(**_alone(weight.device)[0]).logits
    return _near(head(some), some @ weight.T) and len(seen) == 1 and torch.equal(logits, seen[0].to(logits.dtype))


def _apart(network: PreTrainedModel) -> bool:
    """Whether each of two rows behind one another has the hidden states that it has alone, by the attention that packing replaces."""
    attention = network.config._attn_implementation
    if attention != "sdpa":
        return False
    device = network.get_output_embeddings().weight.device
    batch = packed(_PROBE)
    shared, rests = batch["rows"]
    with torch.no_grad(), _answering(network, _as_it_is):
        alone = [network(**each).logits[0, shared:] for each in _alone(device)]
        network.set_attn_implementation(_ATTENTION)
        try:
            told = {name: each.to(device) for name, each in batch.items() if isinstance(each, torch.Tensor) and name != "labels"}
            together = network(**told, rows=batch["rows"], use_cache=False).logits[0, shared:].split(rests)
        finally:
            network.set_attn_implementation(attention)
    return all(map(_near, together, alone))


def _alone(device: torch.device) -> list[dict[str, Any]]:
    return [{"input_ids": torch.tensor([row["input_ids"]], device=device), "use_cache": False} for row in _PROBE]


def _near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return bool((found - wanted).norm() <= _PROBE_TOLERANCE * wanted.norm())


@contextmanager
def _answering(network: PreTrainedModel, forward: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Within, the head does this instead."""
    head = network.get_output_embeddings()
    plain = head.forward
    head.forward = forward
    try:
        yield
    finally:
        head.forward = plain


def _as_it_is(hidden: torch.Tensor) -> torch.Tensor:
    return hidden


class _Nats(torch.autograd.Function):
    """The cross entropies [n] of hidden states [n, width] under a head [tokens, width], which is frozen; in the head's own precision.

    Nobody's autocast reaches it: accelerate's ends with the network's forward pass.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        gradient, nats = torch.empty_like(hidden, dtype=torch.float32), hidden.new_empty(len(hidden), dtype=torch.float32)
        for begin in range(0, len(hidden), HEAD_POSITIONS):
            part = slice(begin, begin + HEAD_POSITIONS)
            expected = (hidden[part].to(head.dtype) @ head.T).float().log_softmax(-1)
            right = labels[part, None]
            nats[part] = -expected.gather(1, right)[:, 0]
            expected.exp_().scatter_add_(1, right, expected.new_full((1, 1), -1.0).expand_as(right))
            gradient[part] = expected.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        ctx.dtype = hidden.dtype
        return nats

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        [gradient] = ctx.saved_tensors
        return (gradient * gradients[0][:, None]).to(ctx.dtype), None, None
