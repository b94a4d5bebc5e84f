"""What a training will take, before it takes it: memory from the model's shape and the recipe. Knows no device.

    weights      0.5625 bytes for each in a linear layer (NF4 and its scales), 4 for each other one (peft trains beside fp32)
    learning     r (in + out) of each linear layer for the LoRA: 4 bytes each, gradients 4, Adam 8
    activations  rows x tokens x layers x 4 bytes x (10 hidden + 4.25 intermediate + 2 keys): what autograd keeps of a layer of Phi-3,
                 counted; of SmolLM2, whose products are not fused, 2 hidden less
                 with gradient checkpointing instead: 4 x hidden of each layer, and all of the one that is computed again
    work         the gradients of one layer, its widest matrix as numbers, and what the head expects of each token of the vocabulary, three
                 times over (logits, log-softmax, gradient), for a chunk of positions

    operations   rows x their mean tokens x (weights in linear layers + layers x tokens x hidden) x 2, forward and backward (frozen weights
                 need no gradient; those of full fine-tuning take as much again); with gradient checkpointing forward again; DPO
                 reads everything once more, to compare, and KTO three times

DPO and ORPO read the better and the worse answer of a pair in one pass: twice the rows. Full fine-tuning quantizes nothing: 4 bytes for
each weight, and learning takes 12 more. Models whose rows can't be packed (packed.py) are trained by TRL, where KTO and DPO keep a copy of
the LoRA, and ORPO's head reads all positions at once: that is not foreseen.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.errors import TooLarge
from train.kinds import PAIRS
from train.recipe import FEWEST_OF_KTO, Recipe

if TYPE_CHECKING:  # torch takes seconds to import
    from model.weights import Base

GIB = 2**30
_NF4_BYTES = 0.5 + 4 / 64
_FEWEST_TOKENS = 256
HEAD_POSITIONS = 256  # that the head reads at once: of 49k tokens in fp32 they take 50 MB
_COMPARING = {"dpo": 1, "kto": 3}  # passes without a gradient
MOST_FULL = 1_000_000_000  # weights that are trained all at once: at 16 bytes each they fill the card of 16 GB


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The shape of a model: `products` are the (inputs, outputs) of its linear layers, `others` the number of all other weights."""

    hidden: int
    intermediate: int
    keys: int  # the width of its keys, and of its values
    layers: int
    products: tuple[tuple[int, int], ...]
    others: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        return sum(inputs * outputs for inputs, outputs in self.products) + self.others


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes, by what they are for."""

    weights: int
    learning: int
    activations: int
    work: int

    @property
    def total(self) -> int:
        return self.weights + self.learning + self.activations + self.work

    def __str__(self) -> str:
        parts = (("weights", self.weights), ("learning", self.learning), ("activations", self.activations), ("work", self.work))
        return f"{_gib(self.total)} (" + ", ".join(f"{name} {_gib(size)}" for name, size in parts) + ")"


def anatomy(base: "Base") -> Anatomy:
    """The shape of a model on this disk, from its configuration and the headers of its files. Raises ModelDamaged."""
    from model import weights  # torch takes seconds to import

    config, sizes = weights.sizes(base)
    linear = {name: size for name, size in sizes.items() if weights.is_linear(name, size)}
    shape = weights.shape(config, config.dtype)
    return Anatomy(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        keys=shape.heads * shape.head_dim,
        layers=config.num_hidden_layers,
        products=tuple((size[1], size[0]) for size in linear.values()),
        others=sum(math.prod(size) for name, size in sizes.items() if name not in linear),
        vocabulary=config.vocab_size,
    )


def plan(anatomy: Anatomy, recipe: Recipe) -> Plan:
    """At most; rows that are shorter than `max_tokens` take less."""
    tokens = _tokens(recipe)
    layer = 40 * anatomy.hidden + 17 * anatomy.intermediate + 8 * anatomy.keys
    kept = anatomy.layers * 4 * anatomy.hidden + layer if recipe.gradient_checkpointing else anatomy.layers * layer
    widest = max(inputs * outputs for inputs, outputs in anatomy.products)
    weights = int((anatomy.parameters - anatomy.others) * _NF4_BYTES) + 4 * anatomy.others
    learning = recipe.rank * sum(map(sum, anatomy.products)) * 16
    if recipe.whole:
        weights, learning = 4 * anatomy.parameters, 12 * anatomy.parameters
    head = 12 * anatomy.vocabulary * min(tokens, HEAD_POSITIONS)
    return Plan(weights, learning, activations=tokens * kept, work=tokens * layer + 4 * widest + head)


def _tokens(recipe: Recipe) -> int:
    """In one pass, at most."""
    return _rows(recipe) * recipe.max_tokens


def _rows(recipe: Recipe) -> int:
    """In one pass."""
    return recipe.batch_size * (2 if recipe.method in PAIRS else 1)


def operations(anatomy: Anatomy, recipe: Recipe, tokens: float) -> float:
    """Of floating-point numbers in a whole training on rows of so many tokens: all but the head's, and as if each row were read whole.

    A LoRA's training reads once what the rows of a batch begin with, so its operations take less time than those of full fine-tuning.
    """
    token = sum(inputs * outputs for inputs, outputs in anatomy.products) + anatomy.layers * tokens * anatomy.hidden
    passes = 2 + recipe.whole + recipe.gradient_checkpointing + _COMPARING.get(recipe.method, 0)
    return 2.0 * recipe.steps * recipe.accumulate * _rows(recipe) * tokens * token * passes


def require(anatomy: Anatomy, recipe: Recipe, longest: int, free: int, device: str) -> Plan:
    """The plan, if it fits into `free` bytes; the longest row has at most so many tokens. Raises TooLarge, with a smaller one that does."""
    _require_size(anatomy, recipe)
    recipe = recipe.model_copy(update={"max_tokens": min(recipe.max_tokens, longest)})
    wanted = plan(anatomy, recipe)
    if wanted.total <= free:
        return wanted
    fitting = next((each for each in _smaller(recipe) if plan(anatomy, each).total <= free), None)
    advice = _said(recipe, fitting) if fitting is not None else "choose a smaller CARE_MODEL or free memory"
    raise TooLarge(f"training takes up to {wanted}, but the {device} device has {_gib(free)} free: {advice}")


def _require_size(anatomy: Anatomy, recipe: Recipe) -> None:
    """Raises TooLarge for full fine-tuning of a large model, and for a rank over a layer's: more factors could not change more."""
    if recipe.whole and anatomy.parameters > MOST_FULL:
        raise TooLarge(
            f"method = 'full' would train all {anatomy.parameters:,} weights of this model, and is for models of at most {MOST_FULL:,}: "
            'set method = "sft", which trains a LoRA'
        )
    narrowest = min(map(min, anatomy.products))
    for name, rank in (("rank", recipe.rank), ("most_rank", recipe.most_rank)):
        if not recipe.whole and rank > narrowest:
            raise TooLarge(f"{name} = {rank} is over the narrowest linear layer's {narrowest}; set {name} = {narrowest} at most")


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    """The same training in less memory: fewer rows at a time, activations computed again, shorter rows, then a LoRA; the mildest first."""
    batch, times = recipe.batch_size, recipe.accumulate
    fewest = FEWEST_OF_KTO if recipe.method == "kto" else 1
    divisors = [rows for rows in range(batch, fewest - 1, -1) if batch % rows == 0]  # with others a step would have other rows
    shapes = [
        {"batch_size": rows, "accumulate": times * batch // rows, "gradient_checkpointing": checkpointing}
        for checkpointing in sorted({recipe.gradient_checkpointing, True})
        for rows in divisors
    ]
    yield from (recipe.model_copy(update=shape) for shape in shapes)
    tokens = recipe.max_tokens // 2
    while tokens >= _FEWEST_TOKENS:
        yield recipe.model_copy(update={**shapes[-1], "max_tokens": tokens})
        tokens //= 2
    if recipe.whole:
        yield from _smaller(recipe.model_copy(update={"method": "sft"}))


def _said(recipe: Recipe, fitting: Recipe) -> str:
    changed = {name: value for name, value in fitting.facts().items() if value != recipe.facts()[name]}
    told = ", ".join(f"{name} = {json.dumps(value)}" for name, value in changed.items())
    return f"in the recipe, {told} fits, or free memory"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
