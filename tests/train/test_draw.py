"""The night's pictures."""

from pathlib import Path

import pytest

from model.manifest import GateResult
from train import draw
from train.runs import Loss

LOSSES = [Loss(step, 2.0 - step / 400 + 0.3 * (step % 7)) for step in range(1, 400)]


def _gates(n: int, *, interval: bool = True) -> list[GateResult]:
    return [GateResult(f"answer loss on {n} against the base", -0.4, 0.0, n % 3 > 0, (-0.6, 0.1) if interval else None) for n in range(n)]


@pytest.mark.parametrize("gates", [_gates(1), _gates(9), _gates(40), _gates(3, interval=False), []])
def test_the_chart_of_a_card_fits_a_message(gates: list[GateResult], tmp_path: Path) -> None:
    draw.card(gates, LOSSES, tmp_path / "card.png")
    made = (tmp_path / "card.png").read_bytes()
    assert made.startswith(b"\x89PNG")
    assert len(made) <= draw.CARD_BYTES
