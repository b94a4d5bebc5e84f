"""LoRAs beside a loaded network: several in memory, one for each row of a pass. Knows no file, no request and no thread.

A linear layer that a LoRA touches becomes a `_LoraLinear` around the old one: y = W x + s B A x for the rows that want it
(Hu et al. 2021, arXiv 2106.09685). peft trains and saves them; serving them takes a fraction of its Python layers, names
them exactly (peft's hot swap matches by substring) and adds or drops one between two passes.
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
    """The two factors of one layer: `down` [in, rank] and `up` [rank, out], the scale multiplied into `up`."""

    down: torch.Tensor
    up: torch.Tensor


Factors = Mapping[str, Pair]  # by the layer's path in the network
_Rows = torch.Tensor | None  # None: all of them


@dataclass(slots=True)
class _Pass:
    """Which rows of the pass that runs now want which LoRA; shared by all layers."""

    groups: Sequence[tuple[_Rows, str]] = ()


class _LoraLinear(nn.Module):
    def __init__(self, base: nn.Module, now: _Pass) -> None:
        super().__init__()
        self.base = base
        self.pairs: dict[str, Pair] = {}
        self._now = now

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, tokens, in] → [rows, tokens, out]"""
        y: torch.Tensor = self.base(x)
        for rows, lora_id in self._now.groups:
            pair = self.pairs.get(lora_id)
            if pair is None:
                continue
            if rows is None:
                y += _delta(x, pair).to(y.dtype)
            else:
                y.index_add_(0, rows, _delta(x[rows], pair).to(y.dtype))
        return y


def _delta(x: torch.Tensor, pair: Pair) -> torch.Tensor:
    return (x.to(pair.down.dtype) @ pair.down) @ pair.up


@dataclass(slots=True)
class Loras:
    """The LoRAs of one network. `unpack` may run in any thread, the rest belongs to the one that runs the passes."""

    network: nn.Module
    _layers: dict[str, _LoraLinear] = field(default_factory=dict)
    _now: _Pass = field(default_factory=_Pass)

    def unpack(self, lora: Unshelved) -> Factors:
        """A LoRA's tensors on the network's device. Raises LoraDamaged when they do not fit its layers."""
        tensors = load(lora.weights)
        scale = lora.alpha / (lora.rank**0.5 if lora.rslora else lora.rank)
        paths = {name.removeprefix(_PREFIX).rpartition(".lora_")[0] for name in tensors}
        try:
            return {path: self._pair(path, tensors, scale) for path in sorted(paths)}
        except (KeyError, AttributeError, ValueError) as error:
            raise LoraDamaged(
                f"LoRA {lora.lora.id!r} does not fit the layers of {lora.lora.draft.base.name!r} ({error}); train it again for this model"
            ) from error

    def _pair(self, path: str, tensors: Mapping[str, torch.Tensor], scale: float) -> Pair:
        """Raises KeyError, AttributeError (no such layer) or ValueError (other shapes)."""
        layer = self._linear(path)
        down, up = tensors[f"{_PREFIX}{path}.lora_A.weight"], tensors[f"{_PREFIX}{path}.lora_B.weight"]
        wanted = ((down.shape[0], layer.in_features), (layer.out_features, down.shape[0]))
        if (tuple(down.shape), tuple(up.shape)) != wanted:
            raise ValueError(f"{path} is {layer.in_features} → {layer.out_features}, its factors {tuple(down.shape)} and {tuple(up.shape)}")
        device, dtype = _place(self.network)
        return Pair(down.t().to(device, dtype).contiguous(), (up.t() * scale).to(device, dtype).contiguous())

    def _linear(self, path: str) -> nn.Linear:
        layer = self.network.get_submodule(path)
        layer = layer.base if isinstance(layer, _LoraLinear) else layer
        if not isinstance(layer, nn.Linear):
            raise ValueError(f"{path} is no linear layer")
        return layer

    def attach(self, lora_id: str, factors: Factors) -> None:
        """Makes a LoRA available to the next pass."""
        for path, pair in factors.items():
            self._wrapped(path).pairs[lora_id] = pair

    def detach(self, lora_id: str) -> None:
        """Frees a LoRA. No pass may want it any more."""
        for layer in self._layers.values():
            layer.pairs.pop(lora_id, None)

    def choose(self, rows: Sequence[str | None]) -> None:
        """Says which LoRA each row of the next pass wants; None: the base alone."""
        wanted = set(rows)
        if len(wanted) == 1:  # nearly always, and it costs no gather
            self._now.groups = tuple((None, lora_id) for lora_id in wanted if lora_id is not None)
            return
        device = _place(self.network)[0]
        self._now.groups = tuple(
            (torch.tensor([row for row, name in enumerate(rows) if name == lora_id], device=device), lora_id)
            for lora_id in sorted(name for name in wanted if name is not None)
        )

    def _wrapped(self, path: str) -> _LoraLinear:
        if path not in self._layers:
            parent, _, name = path.rpartition(".")
            self._layers[path] = _LoraLinear(self.network.get_submodule(path), self._now)
            setattr(self.network.get_submodule(parent), name, self._layers[path])
        return self._layers[path]


def _place(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where factors lie, and in which precision: fp32 on a CPU (bf16 products of this size take twice as long there)."""
    like = next(network.parameters())
    return like.device, torch.float32 if like.device.type == "cpu" else like.dtype
