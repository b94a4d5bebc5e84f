"""LoRAs beside the network: each row gets its own, as peft alone would compute it, whatever comes and goes around it."""

import asyncio
import gc
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from model import weights
from model.engine import Request
from model.errors import LoraDamaged, UnknownLora
from model.manifest import Unshelved
from model.weights import Base
from tests.model.loras import save_lora, unshelved
from tests.model.tiny import FP32, Alone, Traced, alone, ask, serving, text_of

NAMES = ("night-1", "night-11")  # one name holds the other


def fresh(base: Base, **sizes: int) -> Traced:
    """A network of its own: LoRAs change its layers."""
    return Traced(weights.load(base, FP32, quantize=False), **sizes)


def by_peft(base: Base, folder: Path, request: Request) -> Alone:
    """The answer that peft gives with this LoRA alone."""
    reference = fresh(base)
    reference.loaded = replace(reference.loaded, network=PeftModel.from_pretrained(reference.loaded.network, folder))
    return alone(reference, request)


@pytest.fixture(scope="module")
def base(tiny_base: Callable[[str], Base]) -> Base:
    return tiny_base("llama")


@pytest.fixture(scope="module")
def folders(base: Base, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_lora(tmp_path_factory.mktemp(name), base, seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def loras(base: Base, folders: dict[str, Path]) -> dict[str, Unshelved]:
    return {name: unshelved(folder, name, base) for name, folder in folders.items()}


@pytest.mark.parametrize("family", ["llama", "qwen2", "phi3"])
@pytest.mark.parametrize("rslora", [False, True])
async def test_an_answer_with_a_lora_is_the_one_peft_gives(
    tiny_base: Callable[[str], Base], tmp_path: Path, family: str, rslora: bool
) -> None:
    base = tiny_base(family)
    folder = save_lora(tmp_path, base, 3, rslora=rslora)
    network, request = fresh(base), ask(1, lora="night-1")
    async with serving(network) as engine:
        await engine.load(unshelved(folder, "night-1", base))
        await text_of(await engine.generate(request))
    assert by_peft(base, folder, request).confirms(network.answers[request.sampling])
    assert not alone(fresh(base), request).confirms(network.answers[request.sampling])


async def test_rows_of_one_batch_each_get_their_own_lora(base: Base, folders: dict[str, Path], loras: dict[str, Unshelved]) -> None:
    network = fresh(base, slots=6)
    requests = [ask(n, words=3 * n, max_tokens=30 - 2 * n, lora=(*NAMES, None)[n % 3]) for n in range(6)]
    async with serving(network, slots=6) as engine:
        for lora in loras.values():
            await engine.load(lora)
        generations = [await engine.generate(request) for request in requests]
        await asyncio.gather(*map(text_of, generations))
    for request, generation in zip(requests, generations, strict=True):
        expected = by_peft(base, folders[request.lora], request) if request.lora else alone(fresh(base), request)
        assert expected.confirms(network.answers[request.sampling])
        assert generation.lora == request.lora


async def test_fifty_switches_under_eight_streams_fail_nothing_and_mislabel_nothing(
    base: Base, folders: dict[str, Path], loras: dict[str, Unshelved]
) -> None:
    network = fresh(base, slots=8)
    expected = {
        (label, name): by_peft(base, folders[name], ask(label)) if name else alone(fresh(base), ask(label))
        for label in range(8)
        for name in (*NAMES, None)
    }
    told: Counter[str | None] = Counter()
    begun: Counter[str | None] = Counter()
    switched = asyncio.Event()

    async def stream(label: int) -> None:
        while not switched.is_set():
            request = replace(ask(label), lora=engine.status().live)
            generation = await engine.generate(request)
            begun[request.lora] += 1
            await text_of(generation)
            assert expected[label, generation.lora].confirms(network.answers[request.sampling])
            told[generation.lora] += 1

    async with serving(network, slots=8) as engine:
        await engine.load(loras[NAMES[0]])
        await engine.switch(NAMES[0])
        streams = [asyncio.create_task(stream(label)) for label in range(8)]
        sizes = []
        for n in range(50):
            old, new = NAMES[n % 2], (None if n % 5 == 4 else NAMES[(n + 1) % 2])
            if new is not None:
                await engine.load(loras[new])
            await engine.switch(new)
            if old in engine.status().loras:
                await engine.unload(old)
            await engine.load(loras[NAMES[(n + 1) % 2]])
            before = begun[new]
            while begun[new] == before and not any(each.done() for each in streams):
                await asyncio.sleep(0.005)
            if n % 5 == 0:
                gc.collect()
                sizes.append(psutil.Process().memory_info().rss)
        switched.set()
        await asyncio.gather(*streams)
    assert sum(told.values()) > 50
    assert set(told) == {*NAMES, None}
    assert max(sizes[5:]) < max(sizes[:5]) + 16 * 2**20


async def test_who_began_with_a_lora_ends_with_it_after_it_was_unloaded(
    base: Base, folders: dict[str, Path], loras: dict[str, Unshelved]
) -> None:
    network, request = fresh(base), ask(1, lora=NAMES[0], max_tokens=60)
    async with serving(network) as engine:
        await engine.load(loras[NAMES[0]])
        generation = await engine.generate(request)
        await engine.unload(NAMES[0])
        assert engine.status().loras == ()
        with pytest.raises(UnknownLora, match="night-1"):
            await engine.generate(ask(2, lora=NAMES[0]))
        await text_of(generation)
    assert by_peft(base, folders[NAMES[0]], request).confirms(network.answers[request.sampling])


async def test_one_lora_of_two_with_alike_names_goes_and_the_other_stays(
    base: Base, folders: dict[str, Path], loras: dict[str, Unshelved]
) -> None:
    network, request = fresh(base), ask(1, lora=NAMES[1])
    async with serving(network) as engine:
        for lora in loras.values():
            await engine.load(lora)
        await engine.unload(NAMES[0])
        await text_of(await engine.generate(request))
        assert engine.status().loras == (NAMES[1],)
    assert by_peft(base, folders[NAMES[1]], request).confirms(network.answers[request.sampling])


async def test_the_live_lora_is_not_unloaded_and_an_unknown_one_not_switched_to(base: Base, loras: dict[str, Unshelved]) -> None:
    async with serving(fresh(base)) as engine:
        await engine.load(loras[NAMES[0]])
        await engine.switch(NAMES[0])
        with pytest.raises(UnknownLora, match="is live"):
            await engine.unload(NAMES[0])
        with pytest.raises(UnknownLora, match="there are night-1"):
            await engine.switch("night-2")
        assert engine.status().live == NAMES[0]


@pytest.mark.parametrize("change", ["another shape", "no such layer", "half a pair", "a norm", "no number"])
async def test_a_lora_that_does_not_fit_is_refused_and_the_engine_serves_on(base: Base, loras: dict[str, Unshelved], change: str) -> None:
    tensors = load_tensors(loras[NAMES[0]].weights)
    name = min(tensors)
    tensor = tensors.pop(name)
    if change == "another shape":
        tensors[name] = tensor[:, :3].contiguous()
    elif change == "no such layer":
        tensors[re.sub(r"layers\.\d", "layers.7", name)] = tensor
    elif change == "no number":
        tensors[name] = tensor.clone().fill_(torch.nan)
    elif change == "a norm":
        tensors["base_model.model.model.norm.lora_A.weight"] = tensor
    damaged = replace(loras[NAMES[0]], weights=save_tensors(tensors))
    async with serving(fresh(base)) as engine:
        with pytest.raises(LoraDamaged, match=r"night-1.*train it again"):
            await engine.load(damaged)
        assert engine.status().loras == ()
        await text_of(await engine.generate(ask(1)))
