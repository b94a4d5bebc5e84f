"""The forward pass of Llama-shaped decoders without the layers of modules around it. Knows no request, no sampler and no thread.

A step of the embedded model is some 600 small operations whose Python costs as much as their arithmetic, so this one has as few
as it can: q, k and v are one product, gate and up another, RoPE turns q and k together, a token's key and value are written
at once, and the queries that share a key head are read as one block (no repeated keys). All but the products
and the attention is fp32: on a CPU that takes half of the time of bf16 (SiLU and RoPE most of all), on a GPU fp16 can't overflow there.
Weights come from a network of transformers, which stays usable. Other architectures run through transformers' own forward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import embedding, scaled_dot_product_attention, silu

from model import products
from model.lora import Loras, Side
from model.products import Product
from model.slots import Place, SlotCache

# Those whose layers are: RMSNorm, q k v, RoPE over whole heads, attention, o, RMSNorm, SiLU(gate) · up, down; and nothing else.
_FAMILIES = frozenset({"llama", "mistral", "phi3", "qwen2"})
_QKV = (("q_proj", "k_proj", "v_proj"), ("qkv_proj",))
_GATE_UP = (("gate_proj", "up_proj"), ("gate_up_proj",))


def fits(network: Any) -> bool:
    """Whether `Decoder` computes what this network computes."""
    config = network.config
    if config.model_type not in _FAMILIES or config.hidden_act != "silu" or getattr(config, "mlp_bias", False):
        return False
    cos, _ = network.model.rotary_emb(network.model.norm.weight, torch.zeros(1, 1, dtype=torch.long, device=network.device))
    return bool(cos.shape[-1] == network.model.layers[0].self_attn.head_dim)


@dataclass(slots=True)
class _Projection:
    """A product and what LoRAs add to it. Only the product itself is computed in its `dtype`."""

    product: Product
    side: Side

    dtype: torch.dtype

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """fp32 [rows, in] → fp32 [rows, out]"""
        y = self.product(x.to(self.dtype)).float()
        self.side.add(y, x)
        return y

    def onto(self, stream: torch.Tensor, x: torch.Tensor) -> None:
        """Adds it to the residual stream, in place."""
        stream.add_(self.product(x.to(self.dtype)))
        self.side.add(stream, x)


class _Norm:
    """RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467): x / √(mean x² + ε) · w, as x / √(|x|² + nε) · w√n in fewer operations."""

    def __init__(self, norm: Any) -> None:
        size = norm.weight.numel()
        self._weight = norm.weight.data.float() * size**0.5
        self._floor = torch.tensor((norm.variance_epsilon * size) ** 0.5, device=norm.weight.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """fp32 [rows, hidden] → the same."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x.div(torch.hypot(length, self._floor)).mul_(self._weight)


@dataclass(slots=True)
class _Layer:
    before_attention: _Norm
    qkv: _Projection
    out: _Projection
    before_mlp: _Norm
    gate_up: _Projection
    down: _Projection


@dataclass(slots=True)
class _Turns:
    """What is the same for all layers of a pass: RoPE's turns [rows · new, 1, head_dim] and the mask of the attention."""

    cos: torch.Tensor
    sin: torch.Tensor
    mask: torch.Tensor | None


class Decoder:
    """A forward pass over a slot cache. `fits` must have said yes to the network."""

    def __init__(self, network: Any, cache: SlotCache, loras: Loras, context: int) -> None:
        inner, config = network.model, network.config
        attention = inner.layers[0].self_attn
        self._cache, self._loras = cache, loras
        self._network = network
        self._dtype: torch.dtype = network.dtype
        self._heads, self._dim, self._scale = config.num_attention_heads, attention.head_dim, attention.scaling
        self._kv_heads = config.num_key_value_heads
        self._embedding = inner.embed_tokens.weight
        self._cos, self._sin = self._table(inner.rotary_emb, context)
        self._layers = [self._layer(layer, f"model.layers.{number}") for number, layer in enumerate(inner.layers)]
        self._norm = _Norm(inner.norm)
        self._head = _Projection(products.head(network.lm_head.weight.data), loras.side(["lm_head"]), self._dtype)

    def _table(self, rotary: nn.Module, context: int) -> tuple[torch.Tensor, torch.Tensor]:
        """RoPE (Su et al. 2021, arXiv 2104.09864) for every position: x · cos + (x with its halves swapped) · sin."""
        positions = torch.arange(context, device=self._embedding.device)[None]
        cos, sin = rotary(torch.empty(0, device=self._embedding.device), positions)
        half = self._dim // 2
        return cos[0, :, None], torch.cat((-sin[0, :, None, :half], sin[0, :, None, half:]), dim=-1)

    def _layer(self, layer: Any, path: str) -> _Layer:
        return _Layer(
            before_attention=_Norm(layer.input_layernorm),
            qkv=self._projection(layer.self_attn, f"{path}.self_attn", *_QKV),
            out=self._projection(layer.self_attn, f"{path}.self_attn", ("o_proj",)),
            before_mlp=_Norm(layer.post_attention_layernorm),
            gate_up=self._projection(layer.mlp, f"{path}.mlp", *_GATE_UP),
            down=self._projection(layer.mlp, f"{path}.mlp", ("down_proj",)),
        )

    def _projection(self, module: nn.Module, path: str, *candidates: Sequence[str]) -> _Projection:
        names = next(names for names in candidates if hasattr(module, names[0]))
        side = self._loras.side([f"{path}.{name}" for name in names])
        return _Projection(products.fused([getattr(module, name) for name in names]), side, self._dtype)

    def forward(self, tokens: torch.Tensor, place: Place) -> torch.Tensor:
        """Reads `tokens` [rows, new] into the cache at `place`; the logits [rows, vocabulary] after the last of each row."""
        rows, new = tokens.shape
        stream = embedding(tokens.flatten(), self._embedding).float()
        turns = self._turns(place)
        for number, layer in enumerate(self._layers):
            layer.out.onto(stream, self._attend(number, layer.qkv.of(layer.before_attention(stream)), turns, rows))
            both = layer.gate_up.of(layer.before_mlp(stream))
            gate, up = both.chunk(2, dim=-1)
            layer.down.onto(stream, silu(gate, inplace=True).mul_(up))
        last = stream if new == 1 else stream.view(rows, new, -1)[:, -1]
        return self._head.of(self._norm(last))

    def _turns(self, place: Place) -> _Turns:
        positions = place.positions.flatten()
        mask = None
        if place.positions.numel() > 1:  # a single row's single token sees all that is there
            mask = torch.zeros_like(place.mask, dtype=self._dtype).masked_fill_(~place.mask, -torch.inf)
            if place.positions.shape[1] > 1:
                mask = mask.repeat(1, 1, self._heads // self._kv_heads, 1)
        return _Turns(self._cos[positions], self._sin[positions], mask)

    def _attend(self, number: int, qkv: torch.Tensor, turns: _Turns, rows: int) -> torch.Tensor:
        """[rows · new, (heads + 2 kv heads) · dim] → [rows · new, heads · dim], keys and values written on the way."""
        dim, kv_heads, group = self._dim, self._kv_heads, self._heads // self._kv_heads
        width = self._heads * dim
        turned = qkv[:, : width + kv_heads * dim].view(len(qkv), -1, dim)
        swapped = turned.roll(dim // 2, -1)
        turned.mul_(turns.cos).addcmul_(swapped, turns.sin)
        qkv = qkv.to(self._dtype)
        self._cache.write(number, qkv[:, width:])
        keys, values = self._cache.view(number)
        # The queries of a key head stand one behind the other, as if they were more tokens: [rows, kv heads, group · new, dim].
        queries = qkv[:, :width].view(rows, -1, kv_heads, group, dim).permute(0, 2, 3, 1, 4).reshape(rows, kv_heads, -1, dim)
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=turns.mask, scale=self._scale)
        return mixed.view(rows, kv_heads, group, -1, dim).permute(0, 3, 1, 2, 4).reshape(len(qkv), width)
