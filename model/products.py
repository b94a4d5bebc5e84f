"""Products with the weights of linear layers, several of one input fused into one. Knows no layer's purpose and no LoRA.

NF4 weights are multiplied by bitsandbytes: on a CPU with AVX512-BF16 by its native function, called without the Python
layers around it (7 µs a product of one row instead of 19), elsewhere by its public one. This module and `weights` are the
only ones that import bitsandbytes.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import bitsandbytes as bnb
import torch
from bitsandbytes import functional as bnb4
from bitsandbytes.cextension import lib
from torch.nn.functional import linear

Product = Callable[[torch.Tensor], torch.Tensor]  # [rows, in] → [rows, out]

_BLOCK = 64  # weights that share a scale, bitsandbytes' default
_LANES = 32  # outputs that the native function computes side by side
_FUNCTION = "gemv_4bit_inference_cpu_nf4_bf16"  # a matrix product for any number of rows, whatever it is called


def fused(layers: Sequence[Any]) -> Product:
    """One product that gives the outputs of all these layers (`nn.Linear` or bitsandbytes' own), one behind the other.

    The layers themselves stay usable: from now on their weights are views of the fused ones (of packed weights only the scales
    are kept twice, 6 % of them).
    """
    bias = _joined_bias(layers)
    if not all(isinstance(layer, bnb.nn.Linear4bit) for layer in layers):
        return _Dense(_joined([layer.weight for layer in layers]), bias)
    data, state = _joined_nf4(layers)
    if _packable(state, data.device, layers[0].compute_dtype):
        return _packed(layers, data, state, bias)
    return _Nf4(data, state, bias)


def head(weight: torch.Tensor) -> Product:
    """The product with the output embedding [vocabulary, hidden].

    On a CPU with AVX512-BF16 its bf16 weights are read as two NF4 terms, the second being what the first leaves: about 8 bits a
    weight, a third of the time for one row. Elsewhere as they are.
    """
    if weight.dtype != torch.bfloat16 or weight.device.type != "cpu" or _native() is None:
        return _Dense(weight, None)
    if weight.shape[0] % _LANES or weight.shape[1] % _BLOCK:
        return _Dense(weight, None)
    return _TwoTerms(weight)


class _Dense:
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self._weight, self._bias)


class _Nf4:
    def __init__(self, data: torch.Tensor, state: Any, bias: torch.Tensor | None) -> None:
        self._data, self._state, self._bias = data, state, bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = bnb.matmul_4bit(x.to(self._state.dtype), self._data, quant_state=self._state, bias=self._bias)
        return y.to(x.dtype)


class _Packed:
    """NF4 weights in the layout of the native function."""

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> None:
        """`weight` [out, in / 2] bytes, `scales` [in / 64, out] in bf16."""
        function = _native()
        assert function is not None
        self._function = function
        self._weight, self._scales, self._bias = weight, scales, bias
        self._out, self._in = weight.shape[0], weight.shape[1] * 2
        self._weight_at, self._scales_at = weight.data_ptr(), scales.data_ptr()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """bf16 → bf16; rows of `x` may lie apart, its columns may not."""
        rows, out = x.shape[0], self._out
        y = torch.empty(rows, out, dtype=torch.bfloat16)
        self._function(
            rows, out, self._in, x.data_ptr(), self._weight_at, self._scales_at, y.data_ptr(), _BLOCK, x.stride(0), out
        )  # fmt: skip
        return y if self._bias is None else y.add_(self._bias)


class _TwoTerms:
    def __init__(self, weight: torch.Tensor) -> None:
        """Both terms lie one behind the other, so that [x, x] times them is one product."""
        (codes, scales), rough = _quantized(weight)
        (more_codes, more_scales), _ = _quantized(weight.float() - rough)
        both = torch.cat((codes, more_codes), dim=1), torch.cat((scales, more_scales), dim=1)
        self._product = _Packed(*_pack(*both), None)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._product(torch.cat((x, x), dim=1))


def _joined(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Parameters one behind the other; they become views of the result."""
    if len(weights) == 1:
        return weights[0].data
    whole = torch.cat([weight.data for weight in weights])
    for weight, part in zip(weights, torch.split(whole, [len(weight) for weight in weights]), strict=True):
        weight.data = part
    return whole


def _joined_bias(layers: Sequence[Any]) -> torch.Tensor | None:
    biases = [layer.bias for layer in layers if layer.bias is not None]
    assert len(biases) in (0, len(layers)), "layers to be fused have a bias all or none"
    return _joined(biases) if biases else None


def _joined_nf4(layers: Sequence[Any]) -> tuple[torch.Tensor, Any]:
    """Bytes [out · in / 2, 1] and the quantization state of the whole. NF4 blocks run along the inputs, so joining outputs changes none."""
    states = [layer.weight.quant_state for layer in layers]
    data = _joined([layer.weight for layer in layers])
    scales = torch.cat([state.absmax for state in states])
    for state, part in zip(states, torch.split(scales, [len(state.absmax) for state in states]), strict=True):
        state.absmax = part
    first = states[0]
    shape = torch.Size((sum(state.shape[0] for state in states), first.shape[1]))
    return data, bnb4.QuantState(scales, shape, first.code, first.blocksize, first.quant_type, first.dtype)


def _packable(state: Any, device: torch.device, compute: torch.dtype | None) -> bool:
    fits = state.blocksize == _BLOCK and state.shape[0] % _LANES == 0 and state.shape[1] % _BLOCK == 0
    return fits and state.quant_type == "nf4" and compute == torch.bfloat16 and device.type == "cpu" and _native() is not None


def _packed(layers: Sequence[Any], data: torch.Tensor, state: Any, bias: torch.Tensor | None) -> Product:
    if any(layer.weight.quant_state.shape[0] % _LANES for layer in layers):
        return _Nf4(data, state, bias)
    weight, scales = _pack(_codes(data).view(state.shape), state.absmax.bfloat16().view(state.shape[0], -1))
    start = 0
    for layer in layers:
        part = layer.weight.quant_state
        stop = start + part.shape[0]
        # What bitsandbytes itself notes at a first forward pass.
        part.absmax, part.dtype, part.packing_format_for_cpu = scales[:, start:stop].contiguous(), torch.bfloat16, True
        layer.weight.data = weight[start:stop]
        start = stop
    return _Packed(weight, scales, bias)


def _quantized(weight: torch.Tensor) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Codes [out, in] and bf16 scales [out, in / 64] of a weight in NF4, and what they stand for, in fp32."""
    data, state = bnb4.quantize_4bit(weight.float(), blocksize=_BLOCK, quant_type="nf4")
    scales = state.absmax.bfloat16()
    state.absmax = scales.float()
    return (_codes(data).view(weight.shape), scales.view(weight.shape[0], -1)), bnb4.dequantize_4bit(data, state)


def _codes(data: torch.Tensor) -> torch.Tensor:
    """The 4-bit codes of NF4 bytes, one a byte."""
    flat = data.view(torch.uint8).flatten()
    return torch.stack((flat >> 4, flat & 15), dim=1).flatten()


def _pack(codes: torch.Tensor, scales: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes [out, in] and scales [out, in / 64] in the layout of the native function.

    Of 32 outputs, the codes of two inputs lie together: 64 codes in 32 bytes.
    """
    out, width = codes.shape
    pairs = codes.view(out // _LANES, _LANES, width // 2, 2).transpose(1, 2).reshape(-1, 2 * _LANES)
    packed = pairs[:, :_LANES] | pairs[:, _LANES:] << 4
    return packed.view(out, width // 2), scales.t().contiguous()


def _native() -> Callable[..., None] | None:
    """bitsandbytes' product for CPUs with AVX512-BF16; None where this machine or this version of it has none."""
    try:
        if not bnb4.has_avx512bf16():
            return None
        function = ctypes.CDLL(lib._lib._name)[_FUNCTION]
    except (AttributeError, OSError):
        return None
    whole, at = ctypes.c_int64, ctypes.c_void_p
    function.argtypes, function.restype = [whole, whole, whole, at, at, at, at, whole, whole, whole], None
    return function
