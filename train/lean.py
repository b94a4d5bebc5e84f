"""A LoRA's layers with less work and memory than peft's own forward: the same function, one step of autograd a layer.

peft keeps the dropped-out input of every layer, and draws a 32-bit number for each of its elements. Here a layer keeps its input, which
its neighbours share, and one byte an element; four elements are dropped by one 64-bit number.
"""

from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from model.weights import numbers

_BITS = 16  # of a random number for each element: the share that is dropped is right to 1/65,536


def make_lean(network: PeftModel) -> None:
    """Replaces the forward of every LoRA layer, for training with one active LoRA; in any other state peft's own answers."""
    for module in network.modules():
        if isinstance(module, LoraLayer) and isinstance(module.get_base_layer(), nn.Linear):
            module.forward = partial(_forward, module, module.forward)


def _forward(layer: Any, plain: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    if not (torch.is_grad_enabled() and layer.training) or layer.disable_adapters or layer.merged or args or kwargs:
        answered: torch.Tensor = plain(x, *args, **kwargs)
        return answered
    [name] = layer.active_adapters
    rate = getattr(layer.lora_dropout[name], "p", 0.0)
    factors = layer.lora_A[name].weight, layer.lora_B[name].weight
    found: torch.Tensor = _Adapted.apply(x, *factors, layer.get_base_layer(), layer.scaling[name] / (1 - rate), rate)  # type: ignore[no-untyped-call]
    return found


class _Adapted(torch.autograd.Function):
    """base(x) + scaling · B · A · drop(x), for x of any rows, A [r, in] and B [out, r]."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, base: nn.Linear, scaling: float, rate: float) -> torch.Tensor:
        y: torch.Tensor = base(x)
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else a.dtype
        kept = _kept(x, rate) if rate else None
        with torch.autocast(kind, enabled=False):
            low = _dropped(x, kept, dtype) @ a.to(dtype).T
            y.add_((low @ b.to(dtype).T).view_as(y), alpha=scaling)
        ctx.save_for_backward(x, kept, low, a, b)
        ctx.base, ctx.scaling, ctx.dtype = base, scaling, dtype
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, kept, low, a, b = ctx.saved_tensors
        [dy] = (gradient.flatten(0, -2) for gradient in gradients)
        up = (dy.to(ctx.dtype) @ b.to(ctx.dtype)).mul_(ctx.scaling)
        da = up.T @ _dropped(x, kept, ctx.dtype)
        db = (dy.to(ctx.dtype).T @ low).mul_(ctx.scaling)
        dx = None
        if ctx.needs_input_grad[0]:
            weight = numbers(ctx.base)
            dx = (dy.to(weight.dtype) @ weight).to(x.dtype)
            through = up @ a.to(ctx.dtype)
            dx = dx.add_(through.mul_(kept) if kept is not None else through).view_as(x)
        return dx, da.to(a.dtype), db.to(b.dtype), None, None, None


def _kept(x: torch.Tensor, rate: float) -> torch.Tensor:
    """For each element of x, as rows, whether it is kept."""
    each = 64 // _BITS
    drawn = torch.empty((x.numel() + each - 1) // each, dtype=torch.int64, device=x.device).random_(-(2**63), None)
    least = round(rate * 2**_BITS) - 2 ** (_BITS - 1)
    return drawn.view(torch.int16)[: x.numel()].view(-1, x.shape[-1]).ge(least)


def _dropped(x: torch.Tensor, kept: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    rows = x.flatten(0, -2)
    return (rows * kept if kept is not None else rows).to(dtype)
