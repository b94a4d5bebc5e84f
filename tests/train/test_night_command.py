"""When `care nightly` stops, and which night it tells of."""

import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot.settings import Settings
from model.manifest import GateResult
from train.commands import nightly as command
from train.commands.nightly import _next, _seconds_until, _Stop
from train.errors import RecipeInvalid, TooLarge
from train.examples import write_snapshot
from train.foresee import foresee
from train.night import Night
from train.report import result
from train.runs import Run


def test_a_night_stops_when_its_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    early, late = _Stop(math.inf), _Stop(-1.0)
    assert [early(), late(), late()] == [False, True, True]
    assert capsys.readouterr().err == "the time is up: stopping after this step …\n"
    for clock in ("00:00", "06:00", "23:59"):
        seconds = _seconds_until(datetime.strptime(clock, "%H:%M"))  # noqa: DTZ007  # as click reads it
        assert 0 <= seconds < 24 * 60 * 60
        assert (datetime.now().astimezone() + timedelta(seconds=seconds + 1)).strftime("%H:%M") == clock


def test_it_says_which_day_its_time_of_day_is_on(capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now().astimezone()
    _seconds_until(now - timedelta(minutes=5))
    assert capsys.readouterr().err.startswith(
        f"stops at a checkpoint on {now - timedelta(minutes=5) + timedelta(days=1):%Y-%m-%d at %H:%M}"
    )


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(("evening", "hours"), [((2026, 3, 28), 6), ((2026, 6, 28), 7), ((2026, 10, 24), 8)])
def test_six_in_the_morning_is_that_also_in_the_night_when_clocks_change(evening: tuple[int, int, int], hours: int) -> None:
    now = datetime(*evening, 23, 0).astimezone()
    assert (_next(datetime(1900, 1, 1, 6, 0), now) - now).total_seconds() == hours * 60 * 60  # noqa: DTZ001  # as click reads it


def test_a_dry_run_without_the_model_says_why_it_foresees_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night = collected(tmp_path, monkeypatch)
    foresee(night)
    assert command._foreseen(night)[0] == "takes     unknown until the model is on this disk, where `care serve` or a night puts it"


def test_a_dry_run_says_that_a_night_would_find_too_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night = collected(tmp_path, monkeypatch, new=7)
    foresee(night)
    said = "stops     a night would train nothing and end with exit code 10: 7 new accepted examples, a night needs 8"
    assert command._foreseen(night)[-1] == said
    assert result(night)["too_little"] == "7 new accepted examples, a night needs 8"


def test_a_dry_run_says_that_thumbs_are_all_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "kto.toml"
    recipe.write_text(Path("train/recipes/embedded.toml").read_text().replace('"sft"', '"kto"'))
    night = collected(tmp_path, monkeypatch, str(recipe), new=8)
    foresee(night)
    assert "exit code 10: method = 'kto' learns from good answers beside bad ones" in command._foreseen(night)[-1]


def test_a_recipe_that_merges_where_nothing_is_live_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "slerp.toml"
    recipe.write_text(Path("train/recipes/embedded.toml").read_text().replace('merge = "none"', 'merge = "slerp"'))
    night = collected(tmp_path, monkeypatch, str(recipe))
    night.verdict = "kept"
    assert "merged    slerp with nothing: no LoRA was live that can be served" in command._said(night)


def test_a_live_lora_that_could_not_be_measured_is_not_what_a_night_was_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = collected(tmp_path, monkeypatch)
    night.live, night.run, night.verdict = "20260301-00000000", Run(tmp_path, "k" * 64), "kept"
    for measured, said in (((), "base"), ((night.live,), night.live)):
        night.scores = dict.fromkeys(("base", "candidate", *measured), ())
        assert result(night)["compared_with"] == said


def test_a_gate_that_keeps_to_its_limit_says_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night = collected(tmp_path, monkeypatch)
    night.gates = (GateResult("scope not worse", 0.087, 0.3, passed=False, interval=(0.012, 0.16)),)
    assert "FAILED    scope not worse: 0.087, proven worse, 95 % 0.012 … 0.16, limit 0.3" in command._said(night)


def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str | None = None, *, new: int = 8) -> Night:
    """A night that has collected so many new examples of no kind, with a model that is not here."""
    monkeypatch.setattr(command, "_stop_on_signals", _Stop)  # the signals are pytest's
    night = command.open_night(Settings(home=tmp_path, model="acme/not-here"), recipe)
    night.snapshot, night.new = write_snapshot((), tmp_path / "snapshots"), new
    return night


def test_an_empty_name_is_no_wish_for_the_default_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_stop_on_signals", _Stop)
    with pytest.raises(RecipeInvalid, match="--recipe '' can't be read"):
        command.open_night(Settings(home=tmp_path), "")


def test_a_night_whose_repetition_with_more_rank_does_not_fit_keeps_its_own_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, wider = (SimpleNamespace(recipe=SimpleNamespace(rank=rank)) for rank in (8, 16))

    def run(night: object) -> None:
        raise TooLarge("training takes up to 9 GiB")

    monkeypatch.setattr(command, "_wider", lambda night: wider)
    monkeypatch.setattr(command, "run", run)
    assert command._with_more_rank(cast(Night, first)) is first
    assert capsys.readouterr().err == "it stays with rank 8: training takes up to 9 GiB\n"
