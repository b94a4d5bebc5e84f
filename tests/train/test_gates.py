"""Measurements become a verdict."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.gates import Score, judge, paired


def scores(losses: list[float], domain: str = "telecom") -> list[Score]:
    return [Score(f"{domain}{n}", domain, loss) for n, loss in enumerate(losses)]


def shifted(by: float, noise: float = 0.01, n: int = 20, domain: str = "telecom") -> list[Score]:
    draw = np.random.default_rng(1).normal(0, noise, n)
    return scores([2.0 + by + each for each in draw], domain)


BASE = scores([2.0] * 20)


def verdicts(candidate: list[Score], base: list[Score], live: list[Score] | None = None) -> dict[str, bool]:
    return {result.gate: result.passed for result in judge(candidate, base, live)}


def test_a_candidate_that_is_clearly_better_passes_every_gate() -> None:
    assert verdicts(shifted(-0.5), BASE, shifted(-0.2)) == {
        "held-out items": True,
        "answer loss against the base": True,
        "answer loss against live": True,
        "telecom not worse": True,
    }


def test_a_mean_that_is_better_by_chance_proves_nothing() -> None:
    assert not verdicts(shifted(-0.1, noise=2.0), BASE)["answer loss against the base"]


def test_better_than_the_base_but_not_than_live_is_not_enough() -> None:
    found = verdicts(shifted(-0.5), BASE, shifted(-0.5))
    assert (found["answer loss against the base"], found["answer loss against live"]) == (True, False)


def test_one_domain_that_got_worse_stops_it_however_good_the_rest_is() -> None:
    candidate = [*shifted(-1.0), *shifted(0.3, domain="medical")]
    base = [*BASE, *scores([2.0] * 20, "medical")]
    found = verdicts(candidate, base)
    assert found["answer loss against the base"]
    assert not found["medical not worse"]


def test_too_few_items_prove_nothing() -> None:
    assert not verdicts(shifted(-1, n=9), BASE)["held-out items"]
    assert not all(verdicts([], BASE).values())


def test_losses_that_are_no_numbers_never_pass() -> None:
    found = verdicts(scores([math.nan] * 20), BASE)
    assert not found["answer loss against the base"]
    assert not found["telecom not worse"]


def test_only_items_that_both_measured_count() -> None:
    interval = paired(scores([1.0, 1.0, 1.0]), scores([2.0, 2.0]))
    assert (interval.mean, interval.low, interval.high, interval.n) == (-1.0, -1.0, -1.0, 2)


def test_the_interval_is_the_same_at_every_run() -> None:
    assert paired(shifted(-0.3, noise=1.0), BASE) == paired(shifted(-0.3, noise=1.0), BASE)


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    draw = np.random.default_rng(5)
    intervals = [paired(scores(list(draw.normal(1.7, 1, 40))), scores([2.0] * 40)) for _ in range(200)]
    assert 0.88 <= sum(each.low <= -0.3 <= each.high for each in intervals) / 200 <= 0.99


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30), st.floats(-5, 5))
def test_what_is_compared_with_itself_differs_by_nothing(losses: list[float], by: float) -> None:
    interval = paired(scores(losses), scores(losses))
    assert (interval.mean, interval.low, interval.high) == (0, 0, 0)
    moved = paired(scores([loss + by for loss in losses]), scores(losses))
    assert moved.mean == pytest.approx(by, abs=1e-9)
    assert moved.low <= moved.mean + 1e-9
    assert moved.mean - 1e-9 <= moved.high
