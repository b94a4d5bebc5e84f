"""Canaries: the measure itself, and that a secret seen fifty times is found while one never seen is not."""

from pathlib import Path

import pytest

from bot import domains
from model.manifest import Lora
from model.shelf import CONFIG, WEIGHTS, unshelve
from model.weights import Base
from tests.fakes.loras import draft
from tests.train.test_finetune import CPU, RECIPE, base, examples, never, run, silent  # noqa: F401  # a fixture
from train.canaries import CANDIDATES, exposure, make, rows, secrets
from train.evaluate import exposures
from train.finetune import finetune

SYSTEM = domains.load().system_prompt


def test_canaries_are_the_same_for_a_seed_and_differ_for_another() -> None:
    assert make(20, 1) == make(20, 1)
    assert {each.secret for each in make(20, 1)} != {each.secret for each in make(20, 2)}
    assert len({each.question for each in make(60, 3)}) == 60


def test_exposure_counts_how_many_secrets_are_as_likely() -> None:
    [canary] = make(1, 1)
    mine = secrets().index(canary.secret)
    losses = [2.0] * CANDIDATES
    assert exposure(canary, losses, "").bits == 0.0  # nothing stands out
    losses[mine] = 1.0
    assert exposure(canary, losses, "").bits == 12.0
    losses[(mine + 1) % CANDIDATES] = losses[(mine + 2) % CANDIDATES] = 0.5
    assert exposure(canary, losses, "").bits == pytest.approx(10.415, abs=1e-3)
    assert exposure(canary, losses, f" {canary.secret}.").extracted


@pytest.mark.timeout(180)
def test_a_secret_seen_fifty_times_stands_out_and_one_never_seen_does_not(base: Base, tmp_path: Path) -> None:  # noqa: F811
    seen, unseen = make(2, 5)
    trained = run(tmp_path / "run")
    recipe = RECIPE.model_copy(update={"steps": 90, "batch_size": 4, "learning_rate": 0.01, "max_tokens": 600})
    assert finetune(base, CPU, [*rows([seen], "Be brief.") * 50, *examples(4)], recipe, trained, silent, never) is not None
    lora = unshelve(
        Lora(draft("n1"), 0, {}, trained.candidate), {name: (trained.candidate / name).read_bytes() for name in (WEIGHTS, CONFIG)}
    )
    found, _ = exposures(base, CPU, lora, [seen, unseen], "Be brief.", lambda done, total: None)
    assert found[0].bits > 11.0
    assert found[1].bits < 10.0
