"""Measurements become a verdict: paired comparisons on the same items, and the gates a candidate has to pass. Pure.

A difference is candidate minus other in nats a token of the answer, so less is better. Two LoRAs are only ever compared on the
same items: the items differ far more among each other than the LoRAs do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.manifest import GateResult

_RESAMPLES = 10_000
_SEED = 0
# Below so many items an interval says nothing; as few as the starter set's held-out part always brings.
FEWEST_ITEMS = 10
_FEWEST_OF_A_DOMAIN = 5


@dataclass(frozen=True, slots=True)
class Score:
    """How well one model expects the right answer of one item: mean negative log-likelihood, in nats a token."""

    item: str
    domain: str
    loss: float


@dataclass(frozen=True, slots=True)
class Interval:
    """The mean of `n` paired differences with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


def paired(candidate: Sequence[Score], other: Sequence[Score]) -> Interval:
    """Candidate minus other on the items both have, with a percentile bootstrap interval (Efron & Tibshirani 1993, ch. 13)."""
    known = {score.item: score.loss for score in other}
    differences = np.array([score.loss - known[score.item] for score in candidate if score.item in known])
    if differences.size == 0:
        return Interval(0.0, float("-inf"), float("inf"), 0)
    draws = np.random.default_rng(_SEED).integers(0, differences.size, (_RESAMPLES, differences.size))
    low, high = np.percentile(differences[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(differences.mean()), float(low), float(high), int(differences.size))


def judge(candidate: Sequence[Score], base: Sequence[Score], live: Sequence[Score] | None) -> tuple[GateResult, ...]:
    """What the candidate has to pass to be promoted, in the order in which people ask for it."""
    results = [GateResult("held-out items", len(candidate), FEWEST_ITEMS, len(candidate) >= FEWEST_ITEMS)]
    results.append(_better("answer loss against the base", candidate, base))
    if live is not None:
        results.append(_better("answer loss against live", candidate, live))
    reference = base if live is None else live
    for domain in sorted({score.domain for score in candidate}):
        part = [score for score in candidate if score.domain == domain]
        if len(part) >= _FEWEST_OF_A_DOMAIN:
            results.append(_no_worse(f"{domain} not worse", part, reference))
    return tuple(results)


def failed(gate: str, measured: float, limit: float) -> tuple[GateResult, ...]:
    """The verdict on a candidate that could not be measured."""
    return (GateResult(gate, measured, limit, passed=False),)


def _better(gate: str, candidate: Sequence[Score], other: Sequence[Score]) -> GateResult:
    """Proven better: the whole interval lies below 0."""
    high = paired(candidate, other).high
    return GateResult(gate, high, 0.0, high < 0.0)


def _no_worse(gate: str, candidate: Sequence[Score], other: Sequence[Score]) -> GateResult:
    """Not proven worse: some of the interval lies below 0."""
    low = paired(candidate, other).low
    return GateResult(gate, low, 0.0, low <= 0.0)
