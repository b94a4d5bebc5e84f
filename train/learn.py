"""The stage that trains, and what becomes of a candidate that can't serve. Knows no other stage."""

import json
import shutil
from dataclasses import asdict

from train import canaries, runs
from train.errors import Diverged, Interrupted
from train.night import Night

_TOLD = "training.json"


def train(night: Night) -> None:
    """The candidate, from the base, on everything that is not held out."""
    run = night.run
    assert run is not None
    assert night.base is not None
    assert night.device is not None
    if not any(runs.is_complete(run.candidate, key) for key in (run.key, _put_away_key(night))):
        from train.finetune import finetune

        shutil.rmtree(run.candidate, ignore_errors=True)
        marked = canaries.rows(canaries.make(night.recipe.canaries, night.recipe.seed), night.domains.system_prompt)
        rows = [*(example for example in night.examples if not example.held_out), *marked]
        total = night.recipe.steps
        try:
            trained = finetune(
                night.base,
                night.device,
                rows,
                night.recipe,
                run,
                lambda step, loss: night.progress.step(step, total, f"loss {loss:.2f}"),
                night.stopped,
            )
        except Diverged as error:
            night.fault = str(error)
            return
        if trained is None:
            raise Interrupted("stopped while training; `care nightly` goes on from the last checkpoint")
        runs.write_json(run.candidate / _TOLD, asdict(trained))
        runs.mark_complete(run.candidate, run.key)
    told = json.loads((run.candidate / _TOLD).read_text())
    night.losses = [runs.Loss(**loss) for loss in told["losses"]]
    night.trained, night.too_long = told["rows"], told["too_long"]
    night.weights = run.candidate


def put_away(night: Night) -> None:
    """Of full fine-tuning only what was measured stays: its weights are a whole model, and never serve."""
    if not night.recipe.whole or night.fault is not None:
        return
    assert night.run is not None
    for path in night.run.candidate.iterdir():
        if path.name != _TOLD:
            path.unlink()
    runs.mark_complete(night.run.candidate, _put_away_key(night))


def _put_away_key(night: Night) -> str:
    """What was measured holds beside what was live then: with another one live, it is trained again to be measured again."""
    assert night.run is not None
    return f"{night.run.key} beside {night.live}"
