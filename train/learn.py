"""The stage that trains, and what becomes of a candidate that can't serve. Knows no other stage."""

import json
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from train import canaries, runs, several
from train.errors import Diverged, Interrupted
from train.examples import Example
from train.night import Night
from train.recipe import Recipe

_TOLD = "training.json"


def train(night: Night) -> None:
    """The candidate, from the base, on everything that is not held out."""
    run = night.run
    assert run is not None
    if not any(runs.is_complete(run.candidate, key) for key in (run.key, _put_away_key(night))):
        shutil.rmtree(run.candidate, ignore_errors=True)
        resumed, began = runs.last_checkpoint(run.checkpoints, run.key), time.monotonic()
        steps = night.recipe.steps - (runs.step(resumed) if resumed else 0)
        try:
            trained = _finetune(night) if night.processes == 1 else _share(night)
        except Diverged as error:
            night.fault = str(error)
            return
        if trained is None:
            raise Interrupted("stopped while training; `care nightly` goes on from the last checkpoint")
        runs.write_json(run.candidate / _TOLD, {**trained, "steps": steps, "seconds": time.monotonic() - began})
        runs.mark_complete(run.candidate, run.key)
    told = json.loads((run.candidate / _TOLD).read_text())
    night.losses = [runs.Loss(**loss) for loss in told["losses"]]
    night.trained, night.too_long = told["rows"], told["too_long"]
    night.trained_steps, night.trained_seconds = told.get("steps", 0), told.get("seconds", 0.0)
    night.weights = run.candidate


def rows(examples: Iterable[Example], recipe: Recipe, system_prompt: str) -> list[Example]:
    """These, in the order of a snapshot, and the canaries: what is trained on."""
    marked = canaries.rows(canaries.make(recipe.canaries, recipe.seed), system_prompt)
    return [*sorted(examples, key=lambda each: each.id), *marked]


def _finetune(night: Night) -> Mapping[str, object] | None:
    from train.finetune import finetune  # torch takes seconds to import

    assert night.run is not None
    assert night.base is not None
    assert night.device is not None
    total, recipe = night.recipe.steps, night.recipe

    def progress(step: int, loss: float) -> None:
        night.progress.step(step, total, f"loss {loss:.2f}")

    taught = rows((each for each in night.examples if not each.held_out), recipe, night.domains.system_prompt)
    trained = finetune(night.base, night.device, taught, recipe, night.run, progress, night.stopped)
    return asdict(trained) if trained is not None else None


def _share(night: Night) -> Mapping[str, object] | None:
    assert night.run is not None
    assert night.device is not None
    assert night.snapshot is not None
    return several.finetune(night.device, night.recipe, night.snapshot, night.run, night.processes, night.stopped)


def put_away(night: Night) -> None:
    """Of full fine-tuning only what was measured stays: its weights are a whole model, and never serve."""
    if not night.recipe.whole or night.fault is not None:
        return
    assert night.run is not None
    runs.mark_complete(night.run.candidate, _put_away_key(night), [_TOLD])  # first: whoever is killed below has not to train again
    for path in night.run.candidate.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (_TOLD, runs.COMPLETE):
            path.unlink()


def _put_away_key(night: Night) -> str:
    """What was measured holds beside what was live then: with another one live, it is trained again to be measured again."""
    assert night.run is not None
    return f"{night.run.key} beside {night.live} and the unquantized base"
