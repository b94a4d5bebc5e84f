"""Measurements become a verdict."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.manifest import GateResult
from train.gates import Margin, Measured, Memory, Score, ask_for_more, judge, paired


def scores(losses: list[float], domain: str = "telecom") -> list[Score]:
    return [Score(f"{domain}{n}", domain, loss) for n, loss in enumerate(losses)]


def shifted(by: float, noise: float = 0.01, n: int = 20, domain: str = "telecom") -> list[Score]:
    draw = np.random.default_rng(1).normal(0, noise, n)
    return scores([2.0 + by + each for each in draw], domain)


BASE = scores([2.0] * 20)


def verdicts(candidate: list[Score], base: list[Score], live: list[Score] | None = None) -> dict[str, bool]:
    found = judge(Measured(candidate), Measured(base), Measured(live) if live is not None else None)
    return {result.gate: result.passed for result in found}


def test_a_candidate_that_is_clearly_better_passes_every_gate() -> None:
    assert verdicts(shifted(-0.5), BASE, shifted(-0.2)) == {
        "held-out items": True,
        "answer loss against the base": True,
        "answer loss against live": True,
        "telecom not worse": True,
    }


def test_items_of_one_document_prove_less_than_as_many_of_their_own() -> None:
    """A difference that is the document's stands in each of its items."""
    of_document = [-0.6, -0.5, -0.3, -0.2, -0.2, 0.0, 0.0, 0.1, 0.2, 0.3]
    alone = scores([2.0 + each for each in of_document for _ in range(6)])
    together = [replace(score, group=f"document {number // 6}") for number, score in enumerate(alone)]
    base = scores([2.0] * 60)
    narrow, wide = paired(alone, base), paired(together, base)
    assert (wide.mean, wide.n) == (pytest.approx(narrow.mean), 60)
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)
    gate = "answer loss against the base"
    assert (verdicts(alone, base)[gate], verdicts(together, base)[gate]) == (True, False)


@pytest.mark.parametrize("groups", [1, 2, 5, 8, 20])
def test_documents_never_prove_more_than_their_items_do(groups: int) -> None:
    """A few whose means happen to agree would."""
    found = scores([2.0 - 0.1 + (0.5 if number // groups % 2 else -0.5) for number in range(20)])
    base = scores([2.0] * 20)
    together, alone = (
        paired([replace(score, group=name(n)) for n, score in enumerate(found)], base) for name in (lambda n: str(n % groups), str)
    )
    assert together.low <= alone.low
    assert together.high >= alone.high


def test_of_one_item_each_the_interval_is_as_ever() -> None:
    grouped = [replace(score, group=str(number)) for number, score in enumerate(shifted(-0.5))]
    assert asdict(paired(grouped, BASE)) == pytest.approx(asdict(paired(shifted(-0.5), BASE)))


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


def margins(nats: list[float], suite: str = "emergencies") -> list[Margin]:
    return [Margin(f"{suite}-{n}", suite, each) for n, each in enumerate(nats)]


def by_suite(candidate: list[Margin], live: list[Margin]) -> dict[str, bool]:
    found = judge(Measured(shifted(-0.5), candidate), Measured(BASE, live), Measured(shifted(-0.2), live))
    return {result.gate: result.passed for result in found if "not worse" not in result.gate or result.gate.startswith(live[0].suite)}


def test_one_new_failure_of_an_emergency_stops_it_however_much_better_the_others_are() -> None:
    found = by_suite(margins([-0.1, *[2.0] * 19]), margins([0.3] * 20))
    assert (found["emergencies: new failures"], found["emergencies not worse"]) == (False, True)


def test_a_coin_toss_that_fell_the_other_way_is_no_new_failure() -> None:
    assert by_suite(margins([-0.02, *[0.5] * 19]), margins([0.06, *[0.4] * 19]))["emergencies: new failures"]


def test_what_failed_before_may_fail_again() -> None:
    assert all(by_suite(margins([-0.4, *[0.5] * 9]), margins([-0.5, *[0.4] * 9])).values())


def test_forgetting_stops_it_and_a_single_slip_there_does_not() -> None:
    forgot = by_suite(margins([0.1] * 16, "general"), margins([0.4, *[0.5] * 15], "general"))
    assert not forgot["general not worse"]
    slipped = by_suite(margins([-0.1, *[0.6] * 15], "general"), margins([0.4, *[0.5] * 15], "general"))
    assert slipped["general not worse"]
    assert slipped["general: new failures"]
    several = by_suite(margins([-0.1, -0.1, -0.2, *[1.0] * 13], "general"), margins([0.4] * 16, "general"))
    assert (several["general not worse"], several["general: new failures"]) == (True, False)


def test_a_refusal_that_was_barely_right_and_is_surely_wrong_now_is_a_new_failure() -> None:
    assert not by_suite(margins([-5.0, *[0.5] * 11], "refusals"), margins([0.09, *[0.1] * 11], "refusals"))["refusals: new failures"]


def test_a_domain_that_lost_much_stops_it_even_where_chance_could_have_done_it() -> None:
    candidate = [*shifted(-1.0, n=40), *shifted(0.3, noise=1.0, n=16, domain="medical")]
    base = [*scores([2.0] * 40), *scores([2.0] * 16, "medical")]
    assert not verdicts(candidate, base)["medical not worse"]


@pytest.mark.parametrize(
    ("memory", "failed"),
    [
        (Memory([0.5, 9.9], 0, 12.0), set()),
        (Memory([0.5, 10.0], 0, 12.0), {"canaries: exposure (bits)"}),
        (Memory([0.5], 1, 12.0), {"canaries: extracted"}),
        (Memory([0.5], 0, 10.5), {"canaries: positive control (bits)"}),
    ],
)
def test_what_is_known_by_heart_stops_it_and_so_does_an_instrument_that_sees_nothing(memory: Memory, failed: set[str]) -> None:
    found = judge(Measured(shifted(-0.5)), Measured(BASE), None, memory)
    assert {result.gate for result in found if not result.passed} == failed


def test_more_rank_is_asked_for_only_where_nothing_else_is_wrong() -> None:
    def results(**passed: bool) -> list[GateResult]:
        return [GateResult(name.replace("_", " "), 0.0, 0.0, ok) for name, ok in passed.items()]

    domains = ("telecom", "other")
    assert ask_for_more(results(answer_loss_against_the_base=True, answer_loss_against_live=False, telecom_not_worse=False), domains)
    assert not ask_for_more(results(answer_loss_against_live=False, general_not_worse=False), domains)
    assert not ask_for_more(results(answer_loss_against_live=True), domains)
