"""The life of requests in the engine: how they end, what they are refused for, and what they survive."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
import torch

from model.chat import Message
from model.engine import Finish, Request
from model.errors import Busy, ContextLengthExceeded, DeviceUnusable, GenerationFailed, ModelNotFound, NotReady, UnknownLora
from model.local import LocalEngine
from model.network import Network
from model.weights import Loaded
from tests.model.tiny import Traced, alone, answers, ask, serving, text_of, throw

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


async def test_an_answer_comes_in_pieces_while_it_is_made(network: Traced) -> None:
    async with serving(network) as engine:
        pieces = [piece async for piece in await engine.generate(ask(1))]
    assert len(pieces) > 12
    assert "".join(pieces) == network.tokens.decode(alone(network, ask(1)).tokens)


async def test_max_tokens_ends_an_answer_with_reason_length(network: Traced) -> None:
    async with serving(network) as engine:
        generation = await engine.generate(ask(1, max_tokens=7))
        await text_of(generation)
    assert generation.finish == Finish("length", len(network.tokens.prompt(ask(1).messages, 7)), 7)


async def test_the_end_of_the_context_ends_an_answer_with_reason_length(tiny: Callable[[str], Loaded]) -> None:
    network = Traced(tiny("llama"), context=64)
    async with serving(network) as engine:
        generation = await engine.generate(ask(1, max_tokens=1000))
        await text_of(generation)
    assert generation.finish is not None
    assert generation.finish.reason == "length"
    assert generation.finish.prompt_tokens + generation.finish.completion_tokens == 64


async def test_a_stop_string_ends_an_answer_just_before_it(network: Traced) -> None:
    whole = network.tokens.decode(alone(network, ask(1)).tokens)
    stop = whole[20:26]
    async with serving(network) as engine:
        generation = await engine.generate(ask(1, stop=("never said", stop)))
        text = await text_of(generation)
    assert text == whole.partition(stop)[0]
    assert generation.finish is not None
    assert generation.finish.reason == "stop"
    assert generation.finish.completion_tokens < ask(1).sampling.max_tokens


@pytest.mark.parametrize("reason", ["length", "stop"])
async def test_text_held_for_a_stop_string_comes_out_when_the_answer_ends(network: Traced, reason: str) -> None:
    tokens = alone(network, ask(1)).tokens
    if reason == "stop":
        network.tokens.stops = frozenset(tokens[-1:])
        tokens = tokens[: tokens.index(tokens[-1])]
    whole = network.tokens.decode(tokens)
    async with serving(network) as engine:
        generation = await engine.generate(ask(1, stop=(f"{whole[-3:]} and more",)))
        assert await text_of(generation) == whole
    assert generation.finish is not None
    assert generation.finish.reason == reason


async def test_a_cancelled_request_ends_as_cancelled_and_its_place_is_taken(network: Traced) -> None:
    async with serving(network, slots=1, queue=1) as engine:
        generation = await engine.generate(ask(1))
        network.script[3] = generation.cancel
        waiting = await engine.generate(ask(2))
        await text_of(generation)
        assert generation.finish is not None
        assert (generation.finish.reason, generation.finish.completion_tokens) == ("cancelled", 2)
        await text_of(waiting)
    assert alone(network, ask(2)).confirms(network.answers[ask(2).sampling])


async def test_a_cancelled_request_frees_its_slot(network: Traced) -> None:
    async with serving(network, slots=1, queue=0) as engine:
        generation = await engine.generate(ask(1))
        network.script[3] = generation.cancel
        await text_of(generation)
        assert engine.status().running == 0
        assert engine.status().room == 1
        await answers(engine, [ask(2)])


async def test_a_waiting_request_can_be_cancelled(network: Traced) -> None:
    async with serving(network, slots=1) as engine:
        running, waiting = [await engine.generate(ask(label)) for label in (1, 2)]
        waiting.cancel()
        assert await text_of(waiting) == ""
        assert waiting.finish == Finish("cancelled", len(network.tokens.prompt(ask(2).messages, 24)), 0)
        await text_of(running)
        running.cancel()
        assert running.finish is not None
        assert running.finish.reason == "length"


async def test_a_request_beyond_slots_and_queue_is_refused_as_busy(network: Traced) -> None:
    network.script[1] = (held := asyncio.Event()).wait
    async with serving(network, slots=1, queue=1) as engine:
        first, second = [await engine.generate(ask(label)) for label in (1, 2)]
        with pytest.raises(Busy, match="1 slots and 1 places"):
            await engine.generate(ask(3))
        assert engine.status().room == 0
        held.set()
        await text_of(first)
        await text_of(second)


async def test_a_question_longer_than_the_context_is_refused(network: Traced) -> None:
    async with serving(network) as engine:
        with pytest.raises(ContextLengthExceeded):
            await engine.check(ask(1, words=600))
        with pytest.raises(ContextLengthExceeded):
            await engine.generate(ask(1, words=600))
        await engine.check(ask(1))


async def test_what_check_lets_through_is_generated(network: Traced) -> None:
    request = Request((Message("user", "hello " * 220),))
    async with serving(network) as engine:
        try:
            await engine.check(request)
        except ContextLengthExceeded:
            return
        await engine.generate(request)


async def test_an_unknown_lora_is_refused(network: Traced) -> None:
    async with serving(network) as engine:
        with pytest.raises(UnknownLora, match="v7"):
            await engine.generate(ask(1, lora="v7"))


async def test_nothing_is_taken_in_before_the_start_or_after_the_end(network: Traced) -> None:
    engine = LocalEngine("tiny", lambda: network, slots=1, queue=1)
    with pytest.raises(NotReady, match="still loading"):
        await engine.generate(ask(1))
    await engine.start()
    assert engine.status().state == "ready"
    await engine.close()
    assert engine.status().state == "closed"
    with pytest.raises(NotReady, match="closed"):
        await engine.check(ask(1))


async def test_closing_ends_what_runs_and_what_waits(network: Traced) -> None:
    async with serving(network, slots=1) as engine:
        network.script[3] = lambda: closing.append(asyncio.create_task(engine.close()))
        closing: list[asyncio.Task[None]] = []
        generations = [await engine.generate(ask(label)) for label in (1, 2)]
        for generation in generations:
            with pytest.raises(NotReady, match="closed"):
                await text_of(generation)
        await closing[0]


async def test_a_start_that_is_closed_midway_says_so(network: Traced) -> None:
    held = threading.Event()
    engine = LocalEngine("tiny", lambda: network if held.wait(60) else throw(TimeoutError()), slots=1, queue=1)
    starting, closing = asyncio.create_task(engine.start()), asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    held.set()
    await closing
    with pytest.raises(NotReady, match="closed"):
        await starting


async def test_closing_refuses_requests_that_still_wait_for_the_tokenizer(network: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, held = network.tokens.prompt, threading.Event()
    async with serving(network) as engine:
        monkeypatch.setattr(network.tokens, "prompt", lambda *wanted: held.wait(60) and encode(*wanted))
        tasks = [asyncio.create_task(engine.generate(ask(label))) for label in (1, 2)]
        await asyncio.sleep(0)
        await engine.close()
        held.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [NotReady, NotReady]


async def test_a_model_that_cannot_be_loaded_fails_the_start_and_says_why() -> None:
    def load() -> Network:
        raise ModelNotFound("CARE_MODEL names nothing")

    engine = LocalEngine("nothing", load, slots=1, queue=1)
    with pytest.raises(ModelNotFound, match="names nothing"):
        await engine.start()
    assert engine.status().state == "failed"
    with pytest.raises(NotReady, match="names nothing"):
        await engine.generate(ask(1))
    await engine.close()


async def test_a_pass_that_fails_fails_its_requests_and_the_engine_serves_on(network: Traced) -> None:
    network.script[1] = (held := asyncio.Event()).wait
    # Pass 1 reads A, 2 reads B, 3 decodes A, 4 reads the beginning of C, 5 decodes A and B.
    network.script[5] = partial(throw, RuntimeError("CUDA error"))
    async with serving(network) as engine:
        a, b, c = [await engine.generate(request) for request in (ask(1), ask(2), ask(3, words=150))]
        held.set()
        for failed in (a, b):
            with pytest.raises(GenerationFailed, match="RuntimeError"):
                await text_of(failed)
        await text_of(c)
        await answers(engine, [ask(4)])
    assert alone(network, ask(3, words=150)).confirms(network.answers[ask(3).sampling])
    assert alone(network, ask(4)).confirms(network.answers[ask(4).sampling])


def fail_at(network: Traced, *passes: int) -> None:
    for number in passes:
        network.script[number] = partial(throw, OUT_OF_MEMORY)


async def test_memory_that_runs_out_once_costs_nobody_anything(network: Traced) -> None:
    network.script[1] = (held := asyncio.Event()).wait
    # Passes 1, 2 and 4 read A, B and C, 3 decodes A. 4 fails, 5 and 6 read its halves, 7 decodes A and B; 8 decodes all three
    # and fails, 9 and 10 are its halves.
    fail_at(network, 4, 8)
    async with serving(network) as engine:
        generations = [await engine.generate(ask(label)) for label in (1, 2, 3)]
        held.set()
        for generation in generations:
            await text_of(generation)
    for label in (1, 2, 3):
        assert alone(network, ask(label)).confirms(network.answers[ask(label).sampling])


async def test_memory_that_runs_out_again_costs_the_youngest_its_slot_and_the_others_nothing(network: Traced) -> None:
    network.script[1] = (held := asyncio.Event()).wait
    # Passes 1, 2 and 4 read A, B and C, 3 and 5 decode between them; 6 decodes all three, 7 A and B, 8 C.
    fail_at(network, 6, 8)
    async with serving(network) as engine:
        a, b, c = [await engine.generate(ask(label)) for label in (1, 2, 3)]
        held.set()
        with pytest.raises(Busy, match="memory"):
            await text_of(c)
        await text_of(a)
        await text_of(b)
    for label in (1, 2):
        assert alone(network, ask(label)).confirms(network.answers[ask(label).sampling])


async def test_memory_that_runs_out_twice_while_reading_costs_the_reader_its_slot(network: Traced) -> None:
    network.script[1] = (held := asyncio.Event()).wait
    fail_at(network, 2, 3)
    async with serving(network) as engine:
        a, b = [await engine.generate(ask(label)) for label in (1, 2)]
        held.set()
        with pytest.raises(Busy, match="memory"):
            await text_of(b)
        await text_of(a)
        assert engine.status().running == 0
    assert alone(network, ask(1)).confirms(network.answers[ask(1).sampling])


async def test_memory_that_runs_out_after_rows_have_moved_costs_the_youngest_its_slot(network: Traced) -> None:
    network.script[1] = (held := asyncio.Event()).wait
    # A ends with its fourth token in pass 6, and C moves into its row.
    fail_at(network, 7, 8)
    async with serving(network) as engine:
        a, b, c = [await engine.generate(request) for request in (ask(1, max_tokens=4), ask(2), ask(3))]
        held.set()
        await text_of(a)
        with pytest.raises(Busy, match="memory"):
            await text_of(c)
        await text_of(b)
    assert alone(network, ask(2)).confirms(network.answers[ask(2).sampling])


async def test_moving_rows_that_fails_does_not_end_the_engine(network: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(network) as engine:
        with monkeypatch.context() as broken:
            broken.setattr(network, "move", lambda _: throw(RuntimeError("CUDA error")))
            with pytest.raises(GenerationFailed):
                await text_of(await engine.generate(ask(1)))
        await answers(engine, [ask(2)])


async def test_a_model_without_memory_for_its_slots_is_refused_at_the_start(
    tiny: Callable[[str], Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "_forward", lambda *_: throw(OUT_OF_MEMORY))
    with pytest.raises(DeviceUnusable, match="memory"):
        await LocalEngine("tiny", lambda: Network(tiny("llama"), slots=4, context=64), slots=4, queue=4).start()


async def test_a_pass_that_hangs_shows_as_silence_until_it_ends(network: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness and the watchdog go by the age of the last sign of life; it is not the wait for work that keeps it young."""
    usual, hours = time.monotonic, [0.0]
    monkeypatch.setattr("model.local.time.monotonic", lambda: usual() + hours[0])
    ages: list[float] = []

    def hang() -> None:
        hours[0] = 3600.0
        ages.append(engine.status().beat_age)

    network.script[3] = hang
    async with serving(network) as engine:
        await text_of(await engine.generate(ask(1)))
        ages.append(engine.status().beat_age)
    assert ages[0] >= 3600 > 60 > ages[1]
