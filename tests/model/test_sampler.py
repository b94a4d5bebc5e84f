"""How tokens are drawn."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.engine import Sampling
from model.sampler import Sampler, next_tokens

PROBABILITIES = torch.tensor([0.3, 0.05, 0.5, 0.15])


def draws(count: int = 200, **sampling: Any) -> list[int]:
    """Tokens drawn one after the other from the same four."""
    sampler = Sampler(Sampling(**{"seed": 1} | sampling))
    return [next_tokens(PROBABILITIES.log()[None], [sampler])[0] for _ in range(count)]


@pytest.mark.parametrize(
    ("top_p", "nucleus"), [(0.0, {2}), (0.4, {2}), (0.6, {2, 0}), (0.79, {2, 0}), (0.9, {2, 0, 3}), (1.0, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_nucleus_and_nothing_else(top_p: float, nucleus: set[int]) -> None:
    assert set(draws(temperature=1.0, top_p=top_p)) == nucleus


def test_temperature_zero_is_greedy() -> None:
    assert set(draws(temperature=0.0, top_p=1.0)) == {2}


def test_a_low_temperature_is_nearly_greedy() -> None:
    assert set(draws(temperature=0.01, top_p=1.0)) == {2}


def test_tokens_come_as_often_as_their_probability_says() -> None:
    drawn = draws(4000, temperature=1.0, top_p=1.0)
    assert [drawn.count(token) / 4000 for token in range(4)] == pytest.approx(PROBABILITIES.tolist(), abs=0.03)


def test_the_same_seed_gives_the_same_draws_and_another_gives_others() -> None:
    assert draws(temperature=1.0, seed=7) == draws(temperature=1.0, seed=7) != draws(temperature=1.0, seed=8)


def test_without_a_seed_draws_differ() -> None:
    assert draws(temperature=1.0, seed=None) != draws(temperature=1.0, seed=None)


@given(logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8), temperature=st.floats(1e-3, 5.0), top_p=st.floats(0.0, 1.0))
def test_every_draw_belongs_to_the_nucleus(logits: list[float], temperature: float, top_p: float) -> None:
    [token] = next_tokens(torch.tensor([logits]), [Sampler(Sampling(temperature=temperature, top_p=top_p, seed=1))])
    probabilities = torch.softmax(torch.tensor(logits).double() / temperature, dim=-1)
    likelier = float(probabilities[probabilities > probabilities[token]].sum())
    assert likelier <= top_p + 1e-9


def test_a_repetition_penalty_makes_the_answer_move_on() -> None:
    greedy = Sampler(Sampling(repetition_penalty=2.0))
    assert [next_tokens(torch.tensor([[3.0, 2.0, -1.0]]), [greedy])[0] for _ in range(3)] == [0, 1, 0]


def test_a_repetition_penalty_lowers_negative_logits_too() -> None:
    greedy = Sampler(Sampling(repetition_penalty=3.0))
    assert [next_tokens(torch.tensor([[-1.0, -2.0]]), [greedy])[0] for _ in range(2)] == [0, 1]
