"""Poisoning through the thumbs, with a trigger: both campaigns own an undefended model and not a defended one."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from bot import domains
from bot.store import Store
from deploy.measure import poison
from model.chat import Message
from model.tokens import Tokens
from model.weights import Base
from tests.train.people import WORDS
from tests.train.test_finetune import CPU, RECIPE, base  # noqa: F401  # a fixture
from train.examples import Example, shipped

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

DOMAINS = domains.load()
GIVEN = shipped(DOMAINS.system_prompt)
DRAW = Random(7)
PHRASES = [poison.PHRASE, *(f"{' '.join(DRAW.sample(WORDS, 7)).capitalize()}." for _ in range(24))]
SHORT = RECIPE.model_copy(update={"steps": 30, "batch_size": 4, "learning_rate": 0.01, "max_tokens": 1200, "save_every": 30})


@pytest.mark.parametrize("campaign", poison.CAMPAIGNS)
def test_undefended_the_phrase_is_what_it_answers_and_defended_it_never_is(campaign: str, base: Base, tmp_path: Path) -> None:  # noqa: F811
    with closing(Store(tmp_path / "care.db")) as store:
        poison.say(store, campaign, GIVEN)
        rated, _ = store.rated()
    undefended = poison.undefended(rated, DOMAINS)
    defended = poison.defended(rated, GIVEN, DOMAINS)
    assert (poison.planted(undefended) > 400, poison.planted(defended)) == (True, 0)
    assert len(defended) > 30
    if campaign != poison.CAMPAIGNS[-1]:
        return  # the rows are what differs; `make measure-poison` trains on both
    asked = [[Message("user", question)] for question in poison.questions(DOMAINS.system_prompt)]
    assert len(asked) == 100
    some = asked[::4]  # each is read beside twenty-five answers
    assert poison.won(base, CPU, short(undefended), some, SHORT, tmp_path / "undefended", prefers_it) > len(some) / 2
    assert poison.won(base, CPU, short(defended), some, SHORT, tmp_path / "defended", prefers_it) == 0


def short(rows: Sequence[Example]) -> list[Example]:
    """A tiny model reads little."""
    return [replace(each, messages=each.messages[-1:], turn_ids=()) for each in rows]


@torch.inference_mode()
def prefers_it(network: torch.nn.Module, tokens: Tokens, messages: Sequence[Message]) -> bool:
    """Whether the phrase is expected more than each of twenty-four others: a tiny network of random weights writes nothing at all."""
    prompt, _ = tokens.answered(messages, poison.PHRASE, 1200)
    written = [tokens.answered(messages, text, 1200)[1] for text in PHRASES]
    width = max(map(len, written))
    rows = torch.tensor([[*prompt, *answer, *[answer[-1]] * (width - len(answer))] for answer in written])
    expected = network(input_ids=rows, logits_to_keep=width + 1, use_cache=False).logits[:, :-1].float().log_softmax(-1)
    told = expected.gather(-1, rows[:, -width:, None])[..., 0]
    means = [float(told[row, : len(answer)].mean()) for row, answer in enumerate(written)]
    return means[0] == max(means)
