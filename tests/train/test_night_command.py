"""When `care nightly` stops, and which night it tells of."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot.settings import Settings
from train.commands import nightly as command
from train.commands.nightly import _seconds_until, _Stop
from train.errors import RecipeInvalid, TooLarge
from train.foresee import foresee
from train.night import Night


def test_a_night_stops_when_its_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    early, late = _Stop(math.inf), _Stop(-1.0)
    assert [early(), late(), late()] == [False, True, True]
    assert capsys.readouterr().err == "the time is up: stopping after this step …\n"
    for clock in ("00:00", "06:00", "23:59"):
        seconds = _seconds_until(datetime.strptime(clock, "%H:%M"))  # noqa: DTZ007  # as click reads it
        assert 0 <= seconds < 24 * 60 * 60
        assert (datetime.now().astimezone() + timedelta(seconds=seconds + 1)).strftime("%H:%M") == clock


def test_a_dry_run_without_the_model_says_why_it_foresees_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_stop_on_signals", _Stop)  # the signals are pytest's
    night = command.open_night(Settings(home=tmp_path, model="acme/not-here"))
    foresee(night)
    assert "takes     unknown until the model is on this disk, where `care serve` or a night puts it" in command._said(night)


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
