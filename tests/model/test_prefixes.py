"""Which beginnings of prompts are kept, and what comes of it in the engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import weights
from model.engine import Request
from model.prefixes import BLOCK, Prefixes
from model.weights import Base, Loaded
from tests.model.loras import save_lora, unshelved
from tests.model.test_lora import by_peft
from tests.model.tiny import FP32, Traced, alone, answers, ask, serving

Span = tuple[int, int]


def kept(blocks: int) -> Prefixes[Span]:
    return Prefixes(limit=blocks * 10 + 9, block_bytes=10)


def span(start: int, stop: int) -> Span:
    return start, stop


def tokens(blocks: int, more: int = 0, first: int = 0) -> list[int]:
    return list(range(first, first + blocks * BLOCK + more))


def test_whole_blocks_of_a_prompt_are_found_again_and_the_rest_is_read() -> None:
    prefixes = kept(8)
    prefixes.keep(None, tokens(2, more=5), span)
    assert prefixes.find(None, tokens(2, more=20)) == [(0, BLOCK), (BLOCK, 2 * BLOCK)]
    assert prefixes.known(None, [*tokens(1, more=3), -7, *tokens(2)]) == BLOCK


def test_the_last_token_of_a_prompt_is_always_read() -> None:
    prefixes = kept(8)
    prefixes.keep(None, tokens(2), span)
    assert prefixes.known(None, tokens(2)) == BLOCK
    assert prefixes.known(None, tokens(2, more=1)) == 2 * BLOCK


def test_a_block_behind_other_tokens_is_another_block() -> None:
    prefixes = kept(8)
    prefixes.keep(None, tokens(2), span)
    assert prefixes.known(None, [*tokens(1, first=500), *tokens(1, more=1, first=BLOCK)]) == 0


def test_what_was_read_with_one_lora_is_nothing_to_another_and_goes_with_it() -> None:
    prefixes = kept(8)
    for lora in ("night-1", "night-11", None):
        prefixes.keep(lora, tokens(1), span)
    assert prefixes.known("night-2", tokens(1, more=1)) == 0
    prefixes.drop("night-1")
    assert [prefixes.known(lora, tokens(1, more=1)) for lora in ("night-1", "night-11", None, "None")] == [0, BLOCK, BLOCK, 0]


def test_who_was_not_asked_for_longest_goes_first() -> None:
    prefixes = kept(4)
    for first in (1000, 2000):
        prefixes.keep(None, tokens(2, first=first), span)
    prefixes.find(None, tokens(2, more=1, first=1000))
    prefixes.keep(None, tokens(1, first=3000), span)
    assert prefixes.known(None, tokens(2, more=1, first=1000)) == 2 * BLOCK
    assert prefixes.known(None, tokens(2, more=1, first=2000)) == BLOCK, "the end of a prompt goes before its beginning"


def test_nothing_is_kept_where_nothing_may_be() -> None:
    prefixes = kept(0)
    prefixes.keep(None, tokens(3), span)
    assert (len(prefixes), prefixes.known(None, tokens(3))) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 3), st.integers(0, 5 * BLOCK)), max_size=30), st.integers(0, 6))
def test_the_bytes_are_bounded_and_what_is_found_is_what_was_read(prompts: list[tuple[str | None, int, int]], most: int) -> None:
    """What is kept of a block is here what it stands for: LoRA and tokens up to its end."""
    prefixes: Prefixes[tuple[str | None, list[int]]] = Prefixes(limit=most, block_bytes=1)
    for lora, first, length in prompts:
        prompt = [token // 40 * first for token in range(length)]  # many prompts that begin alike and part
        found = prefixes.find(lora, prompt)
        assert found == [(lora, prompt[: BLOCK * (n + 1)]) for n in range(len(found))]
        assert BLOCK * len(found) < max(1, length)
        prefixes.keep(lora, prompt, lambda start, stop, lora=lora, prompt=prompt: (lora, prompt[:stop]))  # type: ignore[misc]
        assert len(prefixes) <= most


@pytest.mark.parametrize("family", ["llama", "qwen3"])
async def test_a_prompt_that_began_before_is_read_from_where_it_is_new(tiny: Callable[[str], Loaded], family: str) -> None:
    network, request = Traced(tiny(family)), ask(1, words=100)
    longer = Request((*request.messages, *ask(2).messages[1:]), ask(2).sampling)
    async with serving(network) as engine:
        await answers(engine, [request])
        read = network.tokens_read
        await answers(engine, [longer])
    length = len(network.tokens.prompt(longer.messages, 24))
    assert network.tokens_read - read < BLOCK + 20 < length
    for each in (request, longer):
        assert alone(network, each).confirms(network.answers[each.sampling])


async def test_the_next_question_of_a_conversation_reads_neither_the_first_nor_its_answer(network: Traced) -> None:
    from model.chat import Message

    request = ask(1, words=50, max_tokens=60)
    async with serving(network) as engine:
        [answer] = await answers(engine, [request])
        read = network.tokens_read
        following = Request((*request.messages, Message("assistant", answer), Message("user", "and how")), ask(2).sampling)
        await answers(engine, [following])
    assert network.tokens_read - read < 2 * BLOCK
    assert alone(network, following).confirms(network.answers[following.sampling])


async def test_a_lora_that_comes_back_under_its_name_reads_for_itself(tiny_base: Callable[[str], Base], tmp_path: Path) -> None:
    base, request = tiny_base("llama"), ask(1, words=100, lora="night-1")
    network = Traced(weights.load(base, FP32, quantize=False))
    for seed in (1, 2):
        folder = save_lora(tmp_path / str(seed), base, seed)
        async with serving(network) as engine:
            await engine.load(unshelved(folder, "night-1", base))
            for _ in range(2):
                await answers(engine, [request])
                assert by_peft(base, folder, request).confirms(network.answers[request.sampling])
            await engine.unload("night-1")


async def test_memory_that_runs_out_is_taken_from_the_prefixes_first(network: Traced) -> None:
    from functools import partial

    from tests.model.test_local import OUT_OF_MEMORY
    from tests.model.tiny import throw

    async with serving(network) as engine:
        await answers(engine, [ask(1, words=100)])
        assert len(network._prefixes) > 0
        network.script[network.passes + 3] = partial(throw, OUT_OF_MEMORY)
        await answers(engine, [ask(2, max_tokens=3)])
        assert len(network._prefixes) <= 2  # those of the last prompt
    assert alone(network, ask(2)).confirms(network.answers[ask(2, max_tokens=3).sampling], cut=True)
