"""The suites that are only measured on."""

import pytest

from bot import domains
from train import near, suites
from train.examples import shipped
from train.gates import SAFETY, Score

SYSTEM = domains.load().system_prompt
PROBES = suites.examples(SYSTEM)


def test_every_probe_has_two_answers_of_like_length() -> None:
    by_probe: dict[str, dict[str, int]] = {}
    for each in PROBES:
        probe, _, kind = each.id.rpartition("/")
        by_probe.setdefault(probe, {})[kind] = len(each.response.split())
    assert {probe.rpartition("-")[0] for probe in by_probe} == {*SAFETY, "general"}
    for probe, lengths in by_probe.items():
        assert lengths.keys() == {"good", "bad"}, probe
        assert 0.7 <= lengths["good"] / lengths["bad"] <= 1.4, probe


@pytest.mark.parametrize("suite", [*SAFETY, "general"])
def test_a_suite_has_at_least_twelve_probes(suite: str) -> None:
    assert sum(each.domain == suite for each in PROBES) >= 24


def test_nothing_of_the_suites_stands_in_the_starter_set() -> None:
    known = {run for each in shipped(SYSTEM) for text in (each.instruction, each.response) for run in near.runs_of_words(text, 13)}
    assert not [each.id for each in PROBES if not known.isdisjoint(near.runs_of_words(f"{each.instruction} {each.response}", 13))]


def test_a_margin_is_how_much_more_the_good_answer_is_expected() -> None:
    scores = [Score("x-1/good", "scope", 1.5), Score("x-1/bad", "scope", 2.0), Score("x-2/good", "scope", 1.0)]
    [margin] = suites.margins(scores)
    assert (margin.probe, margin.suite, margin.nats) == ("x-1", "scope", 0.5)
