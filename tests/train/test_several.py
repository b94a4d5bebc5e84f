"""A training that several processes share: what each step learns, what is refused, and that nothing outlives its night."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from bot import domains
from bot.exits import Exit
from model import weights
from model.device import Device
from model.errors import DeviceUnusable
from tests.train.nights import Nights
from tests.train.test_finetune import CPU, examples, never, run, silent
from train import several
from train.errors import Diverged, Failed
from train.examples import read_snapshot, write_snapshot
from train.finetune import finetune
from train.learn import rows
from train.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_two_processes_learn_step_by_step_what_one_does(nights: Nights, tmp_path: Path) -> None:
    """Real processes, each of which imports for ten seconds; the one to compare with is this one."""
    nights.people_say(12)
    assert nights.run("--json", "--processes", "2", steps=5, accumulate="2", dropout="0.0") in (0, 11), nights.said
    [job] = nights.home.glob(f"runs/*/{several.JOB}")
    told = json.loads(job.read_text())
    recipe = Recipe.model_validate(told["recipe"])
    taught = rows(read_snapshot(Path(told["snapshot"])), recipe, domains.load().system_prompt)
    alone = finetune(weights.find(str(nights.model), tmp_path), CPU, taught, recipe, run(tmp_path / "alone"), silent, never)
    assert alone is not None
    losses = [loss["loss"] for loss in nights.result["losses"]]  # type: ignore[attr-defined]
    assert losses == pytest.approx([loss.loss for loss in alone.losses], rel=0.01)
    assert len(losses) == 5
    assert [entry.id for entry in nights.shelf.list()] == [nights.result["lora"]]


def test_a_night_that_is_killed_takes_its_processes_with_it() -> None:
    child = "from train.several import die_with_parent; die_with_parent(); print('here', flush=True); import time; time.sleep(60)"
    starts = f"import subprocess as s, sys, time; print(s.Popen([sys.executable, '-c', {child!r}]).pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True) as night:
        assert night.stdout is not None
        said = {night.stdout.readline().strip(), night.stdout.readline().strip()}
        [of_the_child] = said - {"here"}
        other = psutil.Process(int(of_the_child))
        night.kill()
        assert psutil.wait_procs([other], timeout=60)[1] == []


def test_a_step_that_can_not_be_divided_is_refused_by_name(nights: Nights) -> None:
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
