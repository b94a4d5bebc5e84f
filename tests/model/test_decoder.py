"""The decoder and its fused products, against transformers' own forward pass and bitsandbytes' own layers."""

from collections.abc import Callable

import bitsandbytes as bnb
import pytest
import torch
from torch import nn

from model import decoder, products, weights
from model.device import Device
from model.weights import Base, Loaded
from tests.model.tiny import FAMILIES, FP32, Traced, ask

BF16 = Device("cpu", torch.bfloat16)


def first_logits(network: Traced) -> torch.Tensor:
    """[vocabulary], after reading a prompt in two chunks."""
    prompt = network.tokens.prompt(ask(1, words=30).messages, 1)
    with torch.inference_mode():
        network._forward([prompt[:20]], network._cache.read(1, 0, 20))
        return network._forward([prompt[20:]], network._cache.read(1, 20, len(prompt)))[0].float()


def by_transformers(network: Traced) -> torch.Tensor:
    with torch.inference_mode():
        prompt = torch.tensor([network.tokens.prompt(ask(1, words=30).messages, 1)])
        logits: torch.Tensor = network.loaded.network(input_ids=prompt).logits[0, -1]
        return logits.float()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_gives_the_logits_that_transformers_gives(tiny: Callable[[str], Loaded], family: str) -> None:
    network = Traced(tiny(family))
    assert (network._decoder is None) == (family == "qwen3")
    torch.testing.assert_close(first_logits(network), by_transformers(network), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("device", [BF16, FP32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "phi3"])
def test_in_nf4_the_logits_differ_by_rounding_alone(tiny_base: Callable[[str], Base], family: str, device: Device) -> None:
    network = Traced(weights.load(tiny_base(family), device))
    ours, theirs = first_logits(network), by_transformers(network)
    assert (ours - theirs).norm() < 0.1 * theirs.norm()  # bitsandbytes' own layers round to bf16 even in fp32


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("config", "model_type", "granite"),
        ("config", "mlp_bias", True),
        ("config", "hidden_act", "gelu"),
        ("model.layers.0.self_attn", "head_dim", 32),  # RoPE turns half of each head
    ],
)
def test_what_the_decoder_does_not_compute_is_left_to_transformers(
    tiny: Callable[[str], Loaded], monkeypatch: pytest.MonkeyPatch, part: str, name: str, value: object
) -> None:
    network = tiny("llama").network
    assert decoder.fits(network)
    monkeypatch.setattr(network.config if part == "config" else network.get_submodule(part), name, value)
    assert not decoder.fits(network)


def nf4_layers(*outputs: int, inputs: int = 128, bias: bool = False) -> list[nn.Linear]:
    """Random layers in NF4 as weights.load makes them."""
    layers = []
    for n, out in enumerate(outputs):
        plain = nn.Linear(inputs, out, bias=bias, dtype=torch.bfloat16)
        with torch.random.fork_rng():
            torch.manual_seed(n)
            nn.init.normal_(plain.weight)
        layer = bnb.nn.Linear4bit(inputs, out, bias=bias, compute_dtype=torch.bfloat16, compress_statistics=False, quant_type="nf4")
        layer.load_state_dict(plain.state_dict())
        layers.append(layer.to("cpu").eval())
    return layers


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("outputs", [(64,), (64, 32, 32), (48, 16)], ids=str)
@pytest.mark.parametrize("rows", [1, 5, 40])
@torch.inference_mode()
def test_a_fused_product_is_the_products_of_its_layers_side_by_side(outputs: tuple[int, ...], rows: int, bias: bool) -> None:
    """Some of 16 or 48 outputs don't fit the native function's layout."""
    x = torch.linspace(-1, 1, rows * 128).view(rows, 128).sin().bfloat16()
    layers = nf4_layers(*outputs, bias=bias)
    dequantized = [bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float() for layer in layers]
    expected = x.float() @ torch.cat(dequantized).t()
    if bias:
        expected += torch.cat([layer.bias for layer in layers])
    product = products.fused(layers)
    torch.testing.assert_close(product(x).float(), expected, rtol=0.02, atol=0.1)
    wider = torch.cat((x, x), 1)  # rows that lie apart
    assert torch.equal(product(wider[:, :128]), product(x))


@torch.inference_mode()
def test_layers_that_were_fused_stay_usable_and_share_their_weights() -> None:
    x = torch.ones(3, 128, dtype=torch.bfloat16)
    layers = nf4_layers(64, 32)
    product = products.fused(layers)
    assert torch.equal(product(x), torch.cat([layer(x) for layer in layers], 1))
    assert layers[0].weight.data.untyped_storage().data_ptr() == layers[1].weight.data.untyped_storage().data_ptr()


@torch.inference_mode()
def test_plain_weights_are_fused_too_and_become_views() -> None:
    layers = [nn.Linear(16, 8), nn.Linear(16, 4)]
    x = torch.ones(2, 16)
    expected = torch.cat([layer(x) for layer in layers], 1)
    assert torch.equal(products.fused(layers)(x), expected)
    assert torch.equal(torch.cat([layer(x) for layer in layers], 1), expected)


@torch.inference_mode()
def test_the_head_is_as_exact_as_eight_bits() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        weight = torch.randn(512, 128).bfloat16()
        x = torch.randn(4, 128).bfloat16()
    exact = x.float() @ weight.float().t()
    off = (products.head(weight)(x).float() - exact).norm() / exact.norm()
    assert off < 0.012


@torch.inference_mode()
def test_without_the_native_function_everything_computes_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without AVX512-BF16, or another version of bitsandbytes."""
    x = torch.ones(2, 128, dtype=torch.bfloat16)
    natively = products.fused(nf4_layers(64))(x)
    monkeypatch.setattr(products, "_FUNCTION", "no_such_function")
    layers = nf4_layers(64)
    torch.testing.assert_close(products.fused(layers)(x).float(), natively.float(), rtol=0.02, atol=0.1)
    weight = torch.ones(64, 128, dtype=torch.bfloat16)
    assert torch.equal(products.head(weight)(x), nn.functional.linear(x, weight))


def test_in_fp32_nothing_of_the_head_is_quantized(tiny: Callable[[str], Loaded]) -> None:
    head = tiny("llama").network.lm_head.weight.data
    x = torch.ones(1, head.shape[1])
    assert torch.equal(products.head(head)(x), nn.functional.linear(x, head))
