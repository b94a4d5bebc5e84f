"""LoRAs beside a loaded network: several in memory, one for each row of a pass. Knows no file, no request and no thread.

Where a product y = W x has LoRAs, those rows that want one get y + s B A x (Hu et al. 2021, arXiv 2106.09685). The factors of all
LoRAs in memory lie side by side, so that a batch of mixed LoRAs takes the same two small products as one LoRA: what a row
does not want is cut out between them. Products that are fused share one pair of factors, that of B being block-diagonal.
peft trains and saves LoRAs; here they are named exactly (peft's hot swap matches by substring), added and dropped between passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from safetensors.torch import load
from torch import nn

from model.errors import LoraDamaged
from model.manifest import Unshelved

_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class Pair:
    """The two factors of one product: `down` [in, rank] and `up` [rank, out], the scale multiplied into `up`.

    `down` lies in memory along its inputs (it is a transposed view): a product with few rows reads it fastest so, 5 instead of
    11 µs for 8 rows of 1,536 on one core.
    """

    down: torch.Tensor
    up: torch.Tensor


Factors = Mapping["Side", Pair]


@dataclass(slots=True)
class _Pass:
    """Which LoRA each row of the pass that runs now wants; shared by all products."""

    rows: Sequence[str | None] = (None,)
    only: str | None = None  # the LoRA that all rows want
    mixed: bool = False
    idle: bool = True  # no row wants a LoRA
    kept: dict[tuple[tuple[str, int], ...], torch.Tensor] = field(default_factory=dict)  # by the columns of a product

    def cut(self, columns: tuple[tuple[str, int], ...], device: torch.device) -> torch.Tensor:
        """[rows, ranks of all LoRAs]: True where a row does not want a column. Most products have the same columns."""
        if columns not in self.kept:
            cut = [[lora != row for lora, rank in columns for _ in range(rank)] for row in self.rows]
            self.kept[columns] = torch.tensor(cut, device=device)
        return self.kept[columns]


class Side:
    """What LoRAs add to one product, of one layer or of several that are fused: `parts` are their paths and numbers of outputs."""

    def __init__(self, parts: Sequence[tuple[str, int]], now: _Pass) -> None:
        self.parts = parts
        self._now = now
        self._each: dict[str, Pair] = {}  # views of the next one
        self._all: Pair | None = None
        self._columns: tuple[tuple[str, int], ...] = ()

    def attach(self, lora_id: str, pair: Pair) -> None:
        self._stack({**self._each, lora_id: pair})

    def detach(self, lora_id: str) -> None:
        if lora_id in self._each:
            self._stack({name: pair for name, pair in self._each.items() if name != lora_id})

    def _stack(self, pairs: Mapping[str, Pair]) -> None:
        """Lays the factors of all LoRAs side by side."""
        every = list(pairs.values())
        self._columns = tuple((name, len(pair.up)) for name, pair in pairs.items())
        self._all = _stacked(every) if every else None
        self._each, start = {}, 0
        for name, rank in self._columns:
            assert self._all is not None
            self._each[name] = Pair(self._all.down[:, start : start + rank], self._all.up[start : start + rank])
            start += rank

    def add(self, y: torch.Tensor, x: torch.Tensor) -> None:
        """Adds to `y` [rows, …, out], in place, what the LoRAs of this pass make of `x` [rows, …, in]."""
        now = self._now
        if now.idle:
            return
        if not now.mixed:
            pair = self._each.get(now.only or "")
            if pair is not None:
                _add(y, x.to(pair.down.dtype) @ pair.down, pair.up)
        elif self._all is not None:
            inner = x.to(self._all.down.dtype) @ self._all.down
            cut = now.cut(self._columns, x.device)
            _add(y, inner.masked_fill_(cut.view(len(cut), *[1] * (x.dim() - 2), -1), 0.0), self._all.up)


def _stacked(pairs: Sequence[Pair]) -> Pair:
    return Pair(torch.cat([pair.down.t() for pair in pairs]).t(), torch.cat([pair.up for pair in pairs]))


def _add(y: torch.Tensor, inner: torch.Tensor, up: torch.Tensor) -> None:
    if y.dtype == up.dtype and y.dim() == 2:
        y.addmm_(inner, up)
    else:
        y.add_(inner @ up)


class _LoraLinear(nn.Module):
    """A layer of transformers' own forward pass with its LoRAs."""

    def __init__(self, base: nn.Module, side: Side) -> None:
        super().__init__()
        self.base = base
        self.side = side

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, tokens, in] → [rows, tokens, out]"""
        y: torch.Tensor = self.base(x)
        self.side.add(y, x)
        return y


class Loras:
    """The LoRAs of one network. `unpack` may run in any thread, the rest belongs to the one that runs the passes."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._now = _Pass()
        self._sides: dict[str, Side] = {}  # by the path of each of their parts
        self._own_forward = False

    def side(self, paths: Sequence[str]) -> Side:
        """The side of a product that somebody else computes: of these layers, fused in this order.

        Whoever asks for one asks for all that there may be: a LoRA on any other layer is refused from then on.
        """
        self._own_forward = True
        side = Side([(path, self._linear(path).out_features) for path in paths], self._now)
        self._sides |= dict.fromkeys(paths, side)
        return side

    def unpack(self, lora: Unshelved) -> Factors:
        """A LoRA's tensors on the network's device. Raises LoraDamaged when they do not fit its layers."""
        tensors = load(lora.weights)
        scale = lora.alpha / (lora.rank**0.5 if lora.rslora else lora.rank)
        paths = {name.removeprefix(_PREFIX).rpartition(".lora_")[0] for name in tensors}
        try:
            pairs = {path: self._pair(path, tensors, scale) for path in sorted(paths)}
            sides = {self._side_of(path): None for path in pairs}
            return {side: _joined(side.parts, pairs) for side in sides}
        except (KeyError, AttributeError, ValueError) as error:
            raise LoraDamaged(
                f"LoRA {lora.lora.id!r} does not fit the layers of {lora.lora.draft.base.name!r} ({error}); train it again for this model"
            ) from error

    def _pair(self, path: str, tensors: Mapping[str, torch.Tensor], scale: float) -> Pair:
        """Raises KeyError, AttributeError (no such layer) or ValueError (other shapes, numbers that are none)."""
        layer = self._linear(path)
        down, up = tensors[f"{_PREFIX}{path}.lora_A.weight"], tensors[f"{_PREFIX}{path}.lora_B.weight"]
        wanted = ((down.shape[0], layer.in_features), (layer.out_features, down.shape[0]))
        if (tuple(down.shape), tuple(up.shape)) != wanted:
            raise ValueError(f"{path} is {layer.in_features} → {layer.out_features}, its factors {tuple(down.shape)} and {tuple(up.shape)}")
        device, dtype = _place(self._network)
        pair = Pair(down.to(device, dtype).contiguous().t(), (up.t() * scale).to(device, dtype).contiguous())
        if not (pair.down.isfinite().all() and pair.up.isfinite().all()):
            raise ValueError(f"{path} has factors that are no finite numbers in {dtype}")
        return pair

    def _linear(self, path: str) -> nn.Linear:
        layer = self._network.get_submodule(path)
        layer = layer.base if isinstance(layer, _LoraLinear) else layer
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"{path} is no linear layer")
        return layer

    def _side_of(self, path: str) -> Side:
        if path in self._sides:
            return self._sides[path]
        if self._own_forward:
            raise ValueError(f"{path} takes no LoRA")
        return Side([(path, self._linear(path).out_features)], self._now)

    def attach(self, lora_id: str, factors: Factors) -> None:
        """Makes a LoRA available to the next pass."""
        for side, pair in factors.items():
            mine = side if self._own_forward else self._wrapped(side)
            mine.attach(lora_id, pair)

    def detach(self, lora_id: str) -> None:
        """Frees a LoRA. No pass may want it any more."""
        for side in self._sides.values():
            side.detach(lora_id)

    def choose(self, rows: Sequence[str | None]) -> None:
        """Says which LoRA each row of the next pass wants; None: the base alone."""
        if tuple(rows) == self._now.rows:
            return
        wanted = set(rows)
        self._now.rows, self._now.mixed = tuple(rows), len(wanted) > 1
        self._now.only = None if self._now.mixed else next(iter(wanted))
        self._now.idle = wanted == {None}
        self._now.kept.clear()

    def _wrapped(self, side: Side) -> Side:
        """The side of a layer of transformers' own forward pass, put around that layer when its first LoRA comes."""
        [(path, _)] = side.parts
        if path not in self._sides:
            parent, _, name = path.rpartition(".")
            self._sides[path] = side
            setattr(self._network.get_submodule(parent), name, _LoraLinear(self._network.get_submodule(path), side))
        return self._sides[path]


def _joined(parts: Sequence[tuple[str, int]], pairs: Mapping[str, Pair]) -> Pair:
    """One pair of factors for fused layers: each part's outputs get what its own factors make."""
    present = [pairs[path] for path, _ in parts if path in pairs]
    if len(parts) == 1:
        return present[0]
    up = present[0].up.new_zeros(sum(pair.up.shape[0] for pair in present), sum(width for _, width in parts))
    row = column = 0
    for path, width in parts:
        if path in pairs:
            rank = pairs[path].up.shape[0]
            up[row : row + rank, column : column + width] = pairs[path].up
            row += rank
        column += width
    return Pair(torch.cat([pair.down.t() for pair in present]).t(), up)


def _place(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where factors lie, and in which precision: fp32 on a CPU (bf16 products of this size take twice as long there)."""
    like = next(network.parameters())
    return like.device, torch.float32 if like.device.type == "cpu" else like.dtype
