"""A training that several processes share: what each step learns, what is refused, and that nothing outlives its night."""

import json
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from bot.exits import Exit
from bot.store import Store
from model.device import Device
from model.errors import DeviceUnusable
from tests.train.people import Day
from tests.train.test_finetune import examples
from tests.train.test_nightly import Nights, model, nights, process  # noqa: F401  # fixtures
from train import several
from train.errors import Diverged, Failed
from train.examples import read_snapshot, write_snapshot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_two_processes_learn_step_by_step_what_one_does_and_a_kill_costs_nothing(nights: Nights, tmp_path: Path) -> None:  # noqa: F811
    """Forty seconds: real processes, started twice; each imports for ten."""
    (tmp_path / "alone").mkdir()
    store = Store(tmp_path / "alone" / "care.db")
    alone = Nights(nights.process, nights.model, tmp_path / "alone", Day(store))
    for each in (nights, alone):
        each.people_say(12)
    assert alone.run("--json", steps=5, accumulate="2", dropout="0.0") in (0, 11), alone.said
    store.close()
    assert nights.run("--processes", "2", steps=5, accumulate="2", dropout="0.0", patch="die while others train") == -9
    ended = time.monotonic() + 10
    while at_work(nights.home) and time.monotonic() < ended:
        time.sleep(0.1)
    assert at_work(nights.home) == [], "those who shared the training went with the night"
    assert nights.run("--json", "--processes", "2", steps=5, accumulate="2", dropout="0.0") in (0, 11), nights.said
    one, two = ([loss["loss"] for loss in each.result["losses"]] for each in (alone, nights))  # type: ignore[attr-defined]
    assert len(one) == 5
    assert two == pytest.approx(one, rel=0.01)
    assert [entry.id for entry in nights.shelf.list()] == [nights.result["lora"]]


def at_work(home: Path) -> list[int]:
    """The processes that name this home and are none of the tests'."""
    return [
        each.pid
        for each in psutil.process_iter(["cmdline"])
        if "train.job" in (words := each.info["cmdline"] or []) and str(home) in words[-1]
    ]


def test_a_step_that_can_not_be_divided_is_refused_by_name(nights: Nights) -> None:  # noqa: F811
    assert nights.run("--processes", "2") == 2
    assert "accumulate = 1 can't be divided among --processes 2" in nights.said


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By substitution: no GPU has run this."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceUnusable, match="--processes 2, but torch sees 1 CUDA devices"):
        several._require_devices(Device("cuda", torch.float16), 2)


@pytest.mark.parametrize(
    ("end", "kind", "code"),
    [
        ({"diverged": "no numbers"}, Diverged, None),
        ({"failed": "no numbers of a kind", "exit": 10}, Failed, Exit.TOO_LITTLE_DATA),
        (None, Failed, Exit.MACHINE_CANNOT),
    ],
)
def test_what_a_process_ended_with_is_what_the_night_ends_with(
    end: object, kind: type[Exception], code: Exit | None, tmp_path: Path
) -> None:
    if end is not None:
        (tmp_path / several.END.format(1)).write_text(json.dumps(end))
    with pytest.raises(kind, match="no numbers" if end else "ended with code -9") as caught:
        several._end(tmp_path, -9)
    assert getattr(caught.value, "exit", None) == code


def test_a_snapshot_gives_back_what_was_to_be_trained_on(tmp_path: Path) -> None:
    given = [replace(each, rejected="lazy dog", turn_ids=("t1",), raters=("web:u1",)) for each in examples(12)]
    snapshot = write_snapshot(given, tmp_path)
    wanted = [replace(each, group="") for each in sorted(given, key=lambda each: each.id) if not each.held_out]
    assert read_snapshot(snapshot.path) == wanted
