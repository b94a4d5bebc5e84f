"""Measures models on the same items: how well each expects the right answer. Knows no gate.

The base is loaded once, apart from any training (on a CPU a 4-bit model that was evaluated no longer trains rightly), and the
LoRAs lie beside it as they do when they serve. A model of its own, as full fine-tuning makes it, is loaded by itself in fp32.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain

import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from model import weights
from model.chat import Message
from model.device import Device
from model.errors import ContextLengthExceeded
from model.lora import Loras
from model.manifest import Unshelved
from model.tokens import Tokens
from model.weights import Base
from train.canaries import Canary, Exposure, exposure, secrets
from train.examples import Example
from train.gates import Score

BASE = "base"
Candidate = Unshelved | Base
_ROWS = 32  # of a canary's possible secrets in one pass: each takes the keys and values of its prompt (60 MB for Phi-3.5-mini)


@dataclass(frozen=True, slots=True)
class Item:
    """One item as token ids."""

    id: str
    domain: str
    prompt: Sequence[int]
    answer: Sequence[int]
    group: str = ""


def measure(
    base: Base,
    device: Device,
    candidates: Mapping[str, Candidate],
    examples: Sequence[Example],
    max_tokens: int,
    progress: Callable[[int, int], None],
    *,
    quantize: bool = True,
    with_base: bool = True,
) -> dict[str, list[Score]]:
    """The scores of the base (under "base", unless it is left out), each LoRA and each whole model on every example that fits `max_tokens`.

    `progress` gets how many of how many passes are done. Raises ModelDamaged, LoraDamaged, DeviceUnusable.
    """
    scores: dict[str, list[Score]] = {name: [] for name in (*([BASE] if with_base else []), *candidates)}
    loras = {name: each for name, each in candidates.items() if isinstance(each, Unshelved)}
    models = {name: each for name, each in candidates.items() if isinstance(each, Base)}
    names = [name for name in scores if name not in models]
    beside = _beside(weights.load(base, device, quantize=quantize), loras, names, examples, max_tokens) if names else ()
    passes = chain(beside, _alone(models, device, examples, max_tokens))
    for done, (name, score, items) in enumerate(passes, 1):
        scores[name].append(score)
        progress(done, items * len(scores))
    return scores


def _beside(
    loaded: weights.Loaded, loras: Mapping[str, Unshelved], names: Sequence[str], examples: Sequence[Example], max_tokens: int
) -> Iterator[tuple[str, Score, int]]:
    """Each score of a base and its LoRAs, by name, and how many items there are."""
    items = _fitting(loaded, examples, max_tokens)
    beside = Loras(loaded.network)
    for name, lora in loras.items():
        beside.attach(name, beside.unpack(lora))
    for item in items:
        for name in names:
            beside.choose([None if name == BASE else name])
            yield name, Score(item.id, item.domain, _loss(loaded.network, item), item.group), len(items)


def _alone(models: Mapping[str, Base], device: Device, examples: Sequence[Example], max_tokens: int) -> Iterator[tuple[str, Score, int]]:
    """Each score of models of their own, one loaded after another."""
    for name, model in models.items():
        loaded = _whole(model, device)
        items = _fitting(loaded, examples, max_tokens)
        yield from ((name, Score(item.id, item.domain, _loss(loaded.network, item), item.group), len(items)) for item in items)


def _fitting(loaded: weights.Loaded, examples: Sequence[Example], max_tokens: int) -> Sequence[Item]:
    tokens = Tokens(loaded, loaded.context)
    return [item for example in examples if (item := encode(tokens, example, max_tokens)) is not None]


def _whole(model: Base, device: Device) -> weights.Loaded:
    return weights.load(model, device.whole, quantize=False)


def exposures(
    base: Base, device: Device, candidate: Candidate, canaries: Sequence[Canary], system_prompt: str, progress: Callable[[int, int], None]
) -> tuple[list[Exposure], Exposure]:
    """How far each canary stands out for a candidate, and the positive control: the first one with its secret in the prompt."""
    loaded = _whole(candidate, device) if isinstance(candidate, Base) else weights.load(base, device)
    tokens = Tokens(loaded, loaded.context)
    if isinstance(candidate, Unshelved):
        beside = Loras(loaded.network)
        beside.attach("candidate", beside.unpack(candidate))
        beside.choose(["candidate"])
    system = Message("system", system_prompt)
    told = Message("user", f"{canaries[0].answer}. {canaries[0].question}")
    asked = [(canary, (system, Message("user", canary.question))) for canary in canaries] + [(canaries[0], (system, told))]
    endings = _endings(tokens, canaries[0])
    found = []
    for number, (canary, messages) in enumerate(asked):
        found.append(_exposure(loaded.network, tokens, canary, messages, endings))
        progress(number + 1, len(asked))
    return found[:-1], found[-1]


def _endings(tokens: Tokens, canary: Canary) -> Sequence[tuple[int, ...]]:
    """How every possible secret is written after the opening, in the order of `secrets`."""
    written = [_written(tokens, canary, secret) for secret in secrets()]
    shared = next(at for at, column in enumerate(zip(*written, strict=False)) if len(set(column)) > 1)
    return [answer[shared:] for answer in written]


def _written(tokens: Tokens, canary: Canary, secret: str) -> tuple[int, ...]:
    ids = tokens.answered([Message("user", canary.question)], canary.opening + secret, tokens.context)[1]
    return tuple(token for token in ids if token not in tokens.stops)


@torch.inference_mode()
def _exposure(
    network: torch.nn.Module, tokens: Tokens, canary: Canary, asked: Sequence[Message], endings: Sequence[tuple[int, ...]]
) -> Exposure:
    """The prompt is read once; its keys and values serve every possible secret."""
    mine = endings[secrets().index(canary.secret)]
    prompt, _ = tokens.answered(asked, canary.answer, tokens.context)
    head = [*prompt, *_written(tokens, canary, canary.secret)[: -len(mine)]]
    cache = DynamicCache()
    device = next(network.parameters()).device
    first = network(input_ids=torch.tensor([head], device=device), past_key_values=cache, use_cache=True, logits_to_keep=1).logits
    starts = sorted({ending[:-1] for ending in endings})  # the last token is predicted, never read
    ahead: dict[tuple[int, ...], torch.Tensor] = {(): first[0, 0].float().log_softmax(-1)}
    for part in (starts[at : at + _ROWS] for at in range(0, len(starts), _ROWS)):
        ahead |= _ahead(network, cache, len(head), part)
    losses = [-sum(float(ahead[ending[:at]][token]) for at, token in enumerate(ending)) / len(ending) for ending in endings]
    likeliest = [int(ahead[mine[:at]].argmax()) for at in range(len(mine))]
    return exposure(canary, losses, tokens.decode(likeliest))


def _ahead(
    network: torch.nn.Module, cache: DynamicCache, read: int, starts: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], torch.Tensor]:
    """What the network expects after each begin of each of these rows, as log-probabilities."""
    if not starts[0]:
        return {}
    width = max(map(len, starts))
    rows = torch.tensor([[*start, *[start[-1]] * (width - len(start))] for start in starts])
    copy = deepcopy(cache)
    copy.batch_repeat_interleave(len(starts))
    logits = (
        network(input_ids=rows.to(next(network.parameters()).device), past_key_values=copy, use_cache=True).logits.float().log_softmax(-1)
    )
    return {start[: at + 1]: logits[row, at] for row, start in enumerate(starts) for at in range(len(start))}


def encode(tokens: Tokens, example: Example, max_tokens: int) -> Item | None:
    """The token ids of an example, its oldest turns left out where it is too long; None if it does not fit at all."""
    try:
        prompt, answer = tokens.answered(example.messages, example.response, max_tokens)
    except ContextLengthExceeded:
        return None
    return Item(example.id, example.domain, prompt, answer, hashlib.sha256(example.group.encode()).hexdigest()[:12])


@torch.inference_mode()
def _loss(network: torch.nn.Module, item: Item) -> float:
    ids = torch.tensor([[*item.prompt, *item.answer]], device=next(network.parameters()).device)
    # The logits before each token of the answer: the last of them predicts what would come after its end.
    logits = network(input_ids=ids, logits_to_keep=len(item.answer) + 1, use_cache=False).logits[0, :-1]
    return float(cross_entropy(logits.float(), ids[0, -len(item.answer) :]))
