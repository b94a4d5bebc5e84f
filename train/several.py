"""A training that several processes share, each on a device of its own: started by `accelerate launch`, watched, its end read.

The passes of a step are divided among them, so that a step is the recipe's. What each does is `train/job.py`; they find what to do in the
run's folder, and leave there what came of it.
"""

import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bot.exits import Exit
from model.errors import DeviceUnusable
from train.errors import Diverged, Failed, RecipeInvalid
from train.examples import Snapshot
from train.recipe import Recipe
from train.runs import Run, last_checkpoint, write_json

if TYPE_CHECKING:  # torch takes seconds to import
    from model.device import Device

JOB, STOP, END = "job.json", "job-stop", "job-end-{}.json"  # what to do, when to stop, and what each process came to
_LOOK_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def require(recipe: Recipe, processes: int) -> None:
    """Raises RecipeInvalid where a step can't be divided evenly."""
    if recipe.accumulate % processes:
        raise RecipeInvalid(
            f"accumulate = {recipe.accumulate} can't be divided among --processes {processes}, which share the passes of a step: "
            "set accumulate in the recipe to a multiple (and batch_size so much lower), or start fewer"
        )


def finetune(
    device: "Device", recipe: Recipe, snapshot: Snapshot, run: Run, processes: int, stopped: Callable[[], bool]
) -> Mapping[str, object] | None:
    """What `train.finetune` returns, as plain values. Raises Diverged, DeviceUnusable or Failed, with the exit code that fits."""
    _require_devices(device, processes)
    last_checkpoint(run.checkpoints, run.key)  # what a crash left is removed once, not by each of them
    for path in (run.folder / STOP, *run.folder.glob(END.format("*"))):
        path.unlink(missing_ok=True)
    write_json(run.folder / JOB, {"key": run.key, "recipe": recipe.facts(), "snapshot": str(snapshot.path), "device": device.name})
    started = subprocess.Popen(  # noqa: S603  # our own words; a session of its own: Ctrl-C is for the night, which asks them to stop
        _command(run.folder, processes),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call, no lock
    )
    while started.poll() is None:
        if stopped():
            (run.folder / STOP).touch()
        time.sleep(_LOOK_SECONDS)
    return _end(run.folder, started.returncode)


def _require_devices(device: "Device", processes: int) -> None:
    if device.name == "cpu":
        return
    import torch

    if processes > torch.cuda.device_count():
        raise DeviceUnusable(f"--processes {processes}, but torch sees {torch.cuda.device_count()} CUDA devices; start one for each")


def _command(folder: Path, processes: int) -> list[str]:
    """With `--cpu` accelerate starts a single process unless there is MPI; `--multi_gpu` starts them whatever they compute on."""
    shape = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    port = ["--main_process_port", "0"]  # any that is free
    return [sys.executable, "-m", "accelerate.commands.launch", *shape, *port, "-m", "train.job", str(folder)]


def die_with_parent() -> None:
    """A night that is killed takes its processes with it: two trainings in one folder would spoil each other. Linux only."""
    with suppress(AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(folder: Path, code: int) -> Mapping[str, object] | None:
    """What they came to; where one failed, what it said: the launcher has ended the others."""
    ends = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(END.format("*")))]
    for end in ends:
        if "diverged" in end:
            raise Diverged(end["diverged"])
        if "failed" in end:
            raise Failed(end["failed"], Exit(end["exit"]))
    if code != 0 or not ends:
        said = f"the processes that share the training ended with code {code}; the last lines of what they said tell why"
        raise Failed(said, Exit.MACHINE_CANNOT)
    trained: Mapping[str, object] | None = ends[0]["trained"]
    return trained
