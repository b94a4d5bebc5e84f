"""Measures models on the same items: how well each expects the right answer. Knows no gate.

The base is loaded once, apart from any training (on a CPU a 4-bit model that was evaluated no longer trains rightly), and the
LoRAs lie beside it as they do when they serve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from model import weights
from model.device import Device
from model.errors import ContextLengthExceeded
from model.lora import Loras
from model.manifest import Unshelved
from model.tokens import Tokens
from model.weights import Base
from train.examples import Example
from train.gates import Score

BASE = "base"


@dataclass(frozen=True, slots=True)
class Item:
    """One item as token ids."""

    id: str
    domain: str
    prompt: Sequence[int]
    answer: Sequence[int]


def measure(
    base: Base,
    device: Device,
    loras: Mapping[str, Unshelved],
    examples: Sequence[Example],
    max_tokens: int,
    progress: Callable[[int, int], None],
) -> dict[str, list[Score]]:
    """The scores of the base (under "base") and of each LoRA on every example that fits into `max_tokens`.

    `progress` gets how many of how many passes are done. Raises ModelDamaged, LoraDamaged, DeviceUnusable.
    """
    loaded = weights.load(base, device)
    tokens = Tokens(loaded, loaded.context)
    beside = Loras(loaded.network)
    for name, lora in loras.items():
        beside.attach(name, beside.unpack(lora))
    items = [item for example in examples if (item := encode(tokens, example, max_tokens)) is not None]
    scores: dict[str, list[Score]] = {name: [] for name in (BASE, *loras)}
    for number, item in enumerate(items):
        for offset, (name, found) in enumerate(scores.items()):
            beside.choose([None if name == BASE else name])
            found.append(Score(item.id, item.domain, _loss(loaded.network, item)))
            progress(number * len(scores) + offset + 1, len(items) * len(scores))
    return scores


def encode(tokens: Tokens, example: Example, max_tokens: int) -> Item | None:
    """The token ids of an example, its oldest turns left out where it is too long; None if it does not fit at all."""
    try:
        prompt, answer = tokens.answered(example.messages, example.response, max_tokens)
    except ContextLengthExceeded:
        return None
    return Item(example.id, example.domain, prompt, answer)


@torch.inference_mode()
def _loss(network: torch.nn.Module, item: Item) -> float:
    ids = torch.tensor([[*item.prompt, *item.answer]], device=next(network.parameters()).device)
    # The logits before each token of the answer: the last of them predicts what would come after its end.
    logits = network(input_ids=ids, logits_to_keep=len(item.answer) + 1, use_cache=False).logits[0, :-1]
    return float(cross_entropy(logits.float(), ids[0, -len(item.answer) :]))
