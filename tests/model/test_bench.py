"""What the benchmark makes of its rounds, and what it says when a peer is missing. The measuring itself is no test."""

from pathlib import Path

import pytest

from deploy.bench import __main__ as bench
from deploy.bench import show

ROUND = {
    **{f"ours_{streams}": 100.0 * streams for streams in (1, 8, 16)},
    **{f"static_{streams}": 20.0 * streams for streams in (1, 8, 16)},
    **{f"llama_{streams}": 50.0 * streams for streams in (1, 8, 16)},
    **{f"{kind}_{streams}": rate for streams in (8, 16) for kind, rate in (("plain", 100.0), ("one", 90.0), ("mixed", 80.0))},
    "continuous_8": 10.0,
    "first_cached_s": 0.1,
    "first_uncached_s": 0.5,
    "long_gap": 2.5,
    "long_first_alone_s": 0.5,
    "long_first_beside_s": 1.0,
    "swap_gap_s": 0.1,
    "swap_failed": 0.0,
}


def test_ratios_are_of_medians_and_a_swap_counts_by_its_worst_round() -> None:
    slow = {**ROUND, "ours_8": 8.0, "swap_gap_s": 0.7, "swap_failed": 1.0}
    found = bench.ratios([ROUND, slow, ROUND])
    wanted = {"static_8": 5.0, "static_16": 5.0, "llama_1": 2.0, "llama_8": 2.0, "llama_16": 2.0, "lora_8": 0.9, "lora_16": 0.9}
    wanted |= {"lora_mixed_8": 0.8, "prefix_first_token": 0.2, "long_prompt_gap": 2.5, "long_prompt_first_token": 2.0}
    assert found == pytest.approx(found | wanted | {"swap_gap_s": 0.7, "swap_failed": 1})


def test_a_peer_that_is_missing_is_left_out_of_ratios_table_and_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "LLAMA", tmp_path / "llama" / "bin" / "python")
    assert bench._llama(2) is None
    assert "make bench-llama" in capsys.readouterr().err
    rounds = [{name: value for name, value in ROUND.items() if not name.startswith("llama")}]
    assert not any(name.startswith("llama") for name in bench.ratios(rounds))
    assert "llama.cpp" not in show.table(bench.medians(rounds), bench.ratios(rounds))
    show.chart(bench.medians(rounds), rounds, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 5000
