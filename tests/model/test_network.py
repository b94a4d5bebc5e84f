"""The network on tiny models of real families, against transformers' own `generate`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from model.engine import Finish, Generation, Request
from model.weights import Loaded, load
from tests.model.tiny import FAMILIES, FP32, Traced, alone, answers, ask, save_tiny, serving, text_of


@pytest.mark.parametrize("family", FAMILIES)
async def test_whoever_comes_and_goes_every_answer_is_the_one_its_request_gets_alone(tiny: Callable[[str], Loaded], family: str) -> None:
    """Twelve requests on three slots, prompts of up to three chunks, one arriving every fourth pass, every third cancelled."""
    network = Traced(tiny(family), slots=3)
    first, *others = requests = [ask(0, max_tokens=200), *(ask(n, words=n * n, max_tokens=12 + n) for n in range(1, 12))]
    cancelled = requests[2::3]
    generations: dict[Request, Generation] = {}

    async with serving(network, slots=3, queue=12) as engine:

        async def arrive(request: Request) -> None:
            generations[request] = await engine.generate(request)

        def cancel(request: Request) -> None:
            generations[request].cancel()

        for n, request in enumerate(others):
            network.script[4 * n + 2] = partial(arrive, request)
        for n, request in enumerate(cancelled):
            network.script[12 * n + 21] = partial(cancel, request)
        await arrive(first)
        # The first answer is longer than the script: when it has come, all have arrived.
        texts = {request: await text_of(generations[request]) for request in requests}

    for request in requests:
        tokens, finish = network.answers[request.sampling], generations[request].finish
        assert alone(network, request).confirms(tokens, cut=request in cancelled)
        if request in cancelled:
            assert finish is not None
            assert finish.reason == "cancelled"
            assert len(tokens) < request.sampling.max_tokens
        else:
            prompt = network.tokens.prompt(request.messages, request.sampling.max_tokens)
            assert finish == Finish("length", len(prompt), request.sampling.max_tokens)
            assert texts[request] == network.tokens.decode(tokens)


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_stop_token_ends_an_answer_where_generate_ends_it(
    tiny: Callable[[str], Loaded], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [ask(label) for label in range(4)]
    usual = Traced(tiny(family))
    stops = [alone(usual, requests[0]).tokens[9], alone(usual, requests[1]).tokens[4]]
    monkeypatch.setattr(tiny(family).network.generation_config, "eos_token_id", stops)
    network = Traced(tiny(family))
    async with serving(network) as engine:
        generations = [await engine.generate(request) for request in requests]
        texts = [await text_of(generation) for generation in generations]
    for request, generation, text in zip(requests, generations, texts, strict=True):
        tokens = network.answers[request.sampling]
        assert alone(network, request).confirms(tokens)
        assert generation.finish is not None
        assert generation.finish.reason == ("stop" if tokens[-1] in stops else "length")
        assert text == network.tokens.decode(tokens[:-1] if tokens[-1] in stops else tokens)
    assert len(network.answers[requests[1].sampling]) <= 5


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_reading_in_chunks_equals_reading_at_once(network: Traced, chunk: int) -> None:
    request = ask(1, words=100)
    sampler = network.sampler(request.sampling)
    prompt = network.tokens.prompt(request.messages, 1)
    for start in range(0, len(prompt), chunk):
        stop = min(start + chunk, len(prompt))
        token = network.read(0, start, prompt[start:stop], sampler if stop == len(prompt) else None)
    assert token is not None
    for _ in range(request.sampling.max_tokens - 1):
        [token] = network.decode([token], [sampler], [None])
    assert alone(network, request).confirms(network.answers[request.sampling])


async def test_a_seed_repeats_whatever_the_neighbours(network: Traced) -> None:
    seeded = ask(7, temperature=1.0, top_p=0.9)
    neighbours = [ask(label, words=label * 20, temperature=1.5) for label in (1, 2)]
    async with serving(network) as engine:
        [by_itself] = await answers(engine, [seeded])
        _, among_others, _ = await answers(engine, [neighbours[0], seeded, neighbours[1]])
        [other_seed] = await answers(engine, [Request(seeded.messages, ask(8, temperature=1.0, top_p=0.9).sampling)])
    assert by_itself == among_others != other_seed


async def test_temperature_zero_is_greedy_whatever_seed_and_nucleus(network: Traced) -> None:
    request = ask(3)
    variants = [Request(request.messages, ask(label, top_p=top_p).sampling) for label, top_p in ((3, 1.0), (4, 0.1), (None, 0.9))]
    async with serving(network) as engine:
        texts = await answers(engine, variants)
    assert texts == [network.tokens.decode(alone(network, request).tokens)] * 3


async def test_a_nucleus_of_nearly_nothing_is_greedy_too(network: Traced) -> None:
    request = ask(5, temperature=1.0, top_p=1e-9)
    async with serving(network) as engine:
        await answers(engine, [request])
    assert alone(network, request).confirms(network.answers[request.sampling])


def test_the_context_is_cut_to_the_window_the_model_was_made_for(tiny: Callable[[str], Loaded]) -> None:
    assert [Traced(tiny("llama"), context=context).context for context in (64, 100_000)] == [64, 512]


def test_the_context_ends_where_a_sliding_window_would_begin_to_forget(tmp_path: Path) -> None:
    """Phi-3-mini-4k has a window of 2,047 in a context of 4,096."""
    loaded = load(save_tiny(tmp_path, "phi3", sliding_window=128), FP32, quantize=False)
    assert Traced(loaded).context == 128
