"""For a dry run: whether there is enough to train on, what that will take here, and about how long. Knows no other stage."""

import json
from contextlib import suppress
from pathlib import Path

from train import lengths, plan
from train.enough import too_little
from train.night import Night
from train.recipe import Recipe


def foresee(night: Night) -> None:
    """Memory where the model is on this disk already; time where this machine has trained like this before. Raises TooLarge.

    Where a LoRA is live, the model that is to serve it is looked at before anything is said to be too little.
    """
    from model import weights  # torch takes seconds to import
    from model.device import find_device

    base = weights.here(night.settings.model, night.settings.models)
    if base is not None or night.shelf.live() is None:
        night.too_little = too_little(night)
    if base is None:
        return
    night.device = find_device(night.settings.device)
    shape = plan.anatomy(base)
    rows = night.examples, night.recipe, night.domains.system_prompt
    if (longest := lengths.longest(*rows)) == 0:
        return
    night.plan = plan.require(shape, night.recipe, longest, free(night), night.device.name)
    rate = last_rate(night.settings.runs, shape, base.name, night.recipe.method, night.processes)
    night.operations = plan.operations(shape, night.recipe, lengths.mean(*rows))
    night.foreseen_seconds = None if rate is None else night.operations / rate


def last_rate(runs: Path, shape: plan.Anatomy, model: str, method: str, processes: int = 1) -> float | None:
    """Operations a second of the newest night that trained this model here in so many processes: all of its weights too, or a LoRA.

    What counts is what its last start trained, of its steps and of its seconds.
    """
    for path in sorted(runs.glob("*/report.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            told = json.loads(path.read_text(encoding="utf-8"))
            recipe, trained = Recipe.model_validate(told["recipe"]), told["training"]
            alike = (told["model"], told["processes"], recipe.method == "full") == (model, processes, method == "full")
            if alike and trained["steps"] > 0:
                part = recipe.model_copy(update={"steps": trained["steps"]})
                return plan.operations(shape, part, trained["tokens_a_row"]) / float(trained["seconds"])
    return None


def free(night: Night) -> int:
    """The bytes that the training may take in each of its processes, which on a CPU share one memory."""
    from model.device import free_memory

    assert night.device is not None
    return free_memory(night.device) // (night.processes if night.device.name == "cpu" else 1)
