"""Any mixture of requests: each is answered as if it were alone.

Ties: in fp32 two logits count as equal below a difference of 1e-4 (`Alone.confirms`); from such a place on an answer may go another way.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import weights
from model.engine import Generation, Request
from model.manifest import Unshelved
from model.weights import Base
from tests.model.loras import save_lora, unshelved
from tests.model.test_lora import by_peft, fresh
from tests.model.tiny import FP32, Alone, Traced, alone, ask, serving, text_of

LORAS = (None, "night-1", "night-11")


@dataclass(frozen=True)
class Coming:
    """One request: what it asks, with which LoRA, at which pass it arrives, and after how many more passes it is cancelled."""

    words: int
    tokens: int
    lora: str | None
    at: int
    cancelled_after: int | None

    def request(self, label: int) -> Request:
        """Requests with the same number of words begin alike; `label` tells their samplings apart."""
        asked = ask(self.words, words=self.words, max_tokens=self.tokens, lora=self.lora)
        return Request(asked.messages, ask(label, max_tokens=self.tokens).sampling, self.lora)


COMING = st.builds(
    Coming,
    words=st.sampled_from([1, 3, 12, 40, 100]),
    tokens=st.integers(1, 14),
    lora=st.sampled_from(LORAS),
    at=st.integers(1, 25),
    cancelled_after=st.none() | st.none() | st.integers(1, 20),
)


@dataclass
class World:
    """A family's tiny model with two LoRAs, and what each request is answered alone."""

    base: Base
    folders: dict[str, Path]
    loras: dict[str, Unshelved]
    expected: dict[tuple[int, str | None], Alone] = field(default_factory=dict)

    def alone(self, coming: Coming) -> Alone:
        """The longest answer; a shorter one is its beginning."""
        key = (coming.words, coming.lora)
        if key not in self.expected:
            request = ask(coming.words, words=coming.words, max_tokens=14, lora=coming.lora)
            self.expected[key] = by_peft(self.base, self.folders[coming.lora], request) if coming.lora else alone(fresh(self.base), request)
        return self.expected[key]


@pytest.fixture(scope="module")
def world(tiny_base: Callable[[str], Base], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], World]:
    @cache
    def make(family: str) -> World:
        base, names = tiny_base(family), [name for name in LORAS if name]
        folders = {name: save_lora(tmp_path_factory.mktemp(name), base, seed) for seed, name in enumerate(names)}
        return World(base, folders, {name: unshelved(folder, name, base) for name, folder in folders.items()})

    return make


async def play(network: Traced, world: World, mixture: list[Coming], slots: int) -> None:
    """Lets every request come and go at its pass, beside one that lasts as long as the script."""
    requests = [coming.request(label) for label, coming in enumerate(mixture)]
    generations: dict[int, Generation] = {}
    texts: dict[int, str] = {}

    async def arrive(number: int) -> None:
        generations[number] = await engine.generate(requests[number])

    def leave(number: int) -> None:
        if number in generations:
            generations[number].cancel()

    async with serving(network, slots=slots, queue=len(mixture)) as engine:
        for lora in world.loras.values():
            await engine.load(lora)
        script: dict[int, list[Callable[[], object]]] = {}
        for number, coming in enumerate(mixture):
            script.setdefault(network.passes + coming.at, []).append(partial(arrive, number))
            if coming.cancelled_after is not None:
                script.setdefault(network.passes + coming.at + coming.cancelled_after, []).append(partial(leave, number))
        network.script = {at: partial(in_turn, calls) for at, calls in script.items()}
        await text_of(await engine.generate(ask(99, max_tokens=60)))
        for number, generation in generations.items():
            texts[number] = await text_of(generation)
        assert engine.status().running == engine.status().waiting == 0

    assert len(generations) == len(mixture)
    for number, coming in enumerate(mixture):
        tokens, finish = network.answers[requests[number].sampling], generations[number].finish
        assert finish is not None
        cut = finish.reason == "cancelled" or coming.tokens < 14
        assert world.alone(coming).confirms(tokens, cut=cut)
        if finish.reason == "cancelled":
            assert coming.cancelled_after is not None
        else:
            assert len(tokens) == coming.tokens
            assert texts[number] == network.tokens.decode(tokens)


async def in_turn(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        result = call()
        if asyncio.iscoroutine(result):
            await result


@pytest.mark.parametrize("family", ["llama", "phi3", "qwen2"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_each_answer_is_the_one_its_request_gets_alone(world: Callable[[str], World], family: str, data: st.DataObject) -> None:
    """Lengths, arrivals, cancellations, beginnings that were read before (by whoever had the same LoRA), LoRAs, slots, chunks."""
    here = world(family)
    mixture = data.draw(st.lists(COMING, min_size=1, max_size=10), label="mixture")
    slots = data.draw(st.integers(1, 5), label="slots")
    blocks = data.draw(st.sampled_from([0, 2, 50]), label="blocks kept")
    network = Traced(weights.load(here.base, FP32, quantize=False), slots=slots)
    network._prefixes._most = blocks
    asyncio.run(play(network, here, mixture, slots))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(neighbours=st.lists(COMING, max_size=5), slots=st.integers(2, 4))
def test_a_seed_repeats_whatever_comes_and_goes_beside_it(world: Callable[[str], World], neighbours: list[Coming], slots: int) -> None:
    here = world("llama")
    seeded = ask(7, temperature=1.0, top_p=0.9, max_tokens=40)

    async def answered() -> str:
        network = Traced(weights.load(here.base, FP32, quantize=False), slots=slots)
        async with serving(network, slots=slots, queue=9) as engine:
            for lora in here.loras.values():
                await engine.load(lora)
            for number, coming in enumerate(neighbours):
                network.script[coming.at] = partial(engine.generate, coming.request(number))
            return await text_of(await engine.generate(seeded))

    async def by_itself() -> str:
        network = Traced(weights.load(here.base, FP32, quantize=False))
        async with serving(network) as engine:
            return await text_of(await engine.generate(seeded))

    assert asyncio.run(answered()) == asyncio.run(by_itself())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_of_a_stop_string_leaks_wherever_it_falls(world: Callable[[str], World], data: st.DataObject) -> None:
    """Stop strings are cut from the answer itself, so that they lie across its tokens in every way."""
    here = world("llama")
    network = Traced(weights.load(here.base, FP32, quantize=False))
    whole = network.tokens.decode(here.alone(Coming(3, 14, None, 1, None)).tokens)
    start = data.draw(st.integers(1, len(whole) - 2), label="start")
    stop = whole[start : start + data.draw(st.integers(1, 9), label="length")]
    pieces: list[str] = []

    async def read() -> str | None:
        async with serving(network) as engine:
            generation = await engine.generate(ask(3, words=3, max_tokens=14, stop=("never said", stop)))
            pieces.extend([piece async for piece in generation])
            return generation.finish.reason if generation.finish else None

    reason = asyncio.run(read())
    assert "".join(pieces) == whole.partition(stop)[0]
    assert reason == "stop"
