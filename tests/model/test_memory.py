"""What the model server is going to take, and what is said when there is not as much."""

import re
from collections.abc import Callable

import pytest
import torch

from model import memory, weights
from model.device import Device
from model.errors import DeviceUnusable
from model.memory import GIB, Plan, Weight
from model.network import Network
from model.weights import Base
from tests.model.tiny import FP32

PHI = Plan(weights=2 * GIB, kv=6 * GIB, loras=GIB // 4, prefixes=GIB // 4, work=GIB // 2, position=384 * 1024, slots=4, context=4096)


def test_a_plan_that_fits_is_let_through() -> None:
    memory.require(PHI, PHI.total, "cuda")


@pytest.mark.parametrize(
    ("free", "advice"),
    [
        (8 * GIB, "set CARE_SLOTS=3,"),
        (5 * GIB, "set CARE_SLOTS=1,"),
        (int(4.3 * GIB), "set CARE_SLOTS=1 CARE_PREFIX_MB=0,"),
        (4 * GIB, "set CARE_SLOTS=1 CARE_PREFIX_MB=0 CARE_CONTEXT=3328,"),
        (2 * GIB, "choose a smaller CARE_MODEL"),
    ],
)
def test_one_that_does_not_is_refused_with_settings_that_do(free: int, advice: str) -> None:
    with pytest.raises(DeviceUnusable, match=re.escape(advice)) as refused:
        memory.require(PHI, free, "cuda")
    assert "keys and values of 4 slots of 4096 tokens 6.00 GiB" in str(refused.value)
    followed = {name: int(value) for name, value in re.findall(r"CARE_(SLOTS|PREFIX_MB|CONTEXT)=(\d+)", str(refused.value))}
    if followed:
        slots, context = followed["SLOTS"], followed.get("CONTEXT", PHI.context)
        prefixes = 0 if "PREFIX_MB" in followed else PHI.prefixes
        assert PHI.total - PHI.kv - PHI.prefixes + slots * context * PHI.position + prefixes <= free


def test_phi_3_5_mini_takes_what_its_configuration_says() -> None:
    """Of microsoft/Phi-3.5-mini-instruct: 32 layers, 3072 wide, 8192 inside, 32,064 tokens, no shared key heads; in fp16."""
    layer = [(9216, 3072), (3072, 3072), (16384, 3072), (3072, 8192)]
    every = [Weight(shape, linear=True) for shape in layer * 32]
    every += [Weight((32064, 3072), linear=False, head=True), Weight((32064, 3072), linear=False)]
    position = 32 * 2 * 32 * 96 * 2
    made = memory.plan(every, item=2, position=position, slots=4, context=4096, prefixes=0, chunk=512, two_term_head=False)
    assert position == 384 * 1024
    assert made.kv == 6 * GIB
    assert 2.2 * GIB < made.weights < 2.4 * GIB


@pytest.mark.parametrize("device", [FP32, Device("cpu", torch.bfloat16)], ids=["fp32", "nf4"])
def test_the_plan_of_a_model_on_disk_is_what_it_takes_in_memory(tiny_base: Callable[[str], Base], device: Device) -> None:
    base, quantize = tiny_base("llama"), device.dtype == torch.bfloat16
    made = weights.plan(base, device, slots=3, context=128, prefixes=1000, quantize=quantize)
    loaded = weights.load(base, device, quantize=quantize)
    network = Network(loaded, slots=3, context=128)
    assert made.kv == network._cache._store.nbytes
    assert made.position == weights.shape(loaded.network.config, device.dtype).position_bytes
    bare = weights.load(base, device, quantize=quantize).network
    scales = [layer.weight.quant_state.absmax for layer in bare.modules() if hasattr(layer, "quant_state")]
    head = int(bare.lm_head.weight.numel() * 2 * (0.5 + 2 / 64)) if quantize else 0
    assert made.weights == sum(tensor.nbytes for tensor in [*bare.parameters(), *scales]) + head


def test_a_model_that_would_not_fit_is_refused_before_it_is_loaded(
    tiny_base: Callable[[str], Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    from model import network

    base = tiny_base("llama")
    monkeypatch.setattr(network, "free_memory", lambda device: 2**20)
    monkeypatch.setattr(weights, "load", lambda *_: pytest.fail("loaded"))
    with pytest.raises(DeviceUnusable, match=r"CARE_SLOTS|CARE_MODEL"):
        network.open_network(str(base.folder), base.folder, device="cpu", slots=256, context=512)
