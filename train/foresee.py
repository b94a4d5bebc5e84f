"""For a dry run: what the training will take here, and about how long. Knows no other stage."""

import json
from contextlib import suppress
from pathlib import Path

from train import plan
from train.night import Night
from train.recipe import Recipe


def foresee(night: Night) -> None:
    """Memory where the model is on this disk already; time where this machine has trained like this before. Raises TooLarge."""
    from model import weights  # torch takes seconds to import
    from model.device import find_device

    base = weights.here(night.settings.model, night.settings.models)
    if base is None:
        return
    night.device = find_device(night.settings.device)
    shape = plan.anatomy(base)
    night.plan = plan.require(shape, night.recipe, longest(night), free(night), night.device.name)
    rate = last_rate(night.settings.runs, shape, base.name, night.processes)
    night.operations = plan.operations(shape, night.recipe)
    night.foreseen_seconds = None if rate is None else night.operations / rate


def last_rate(runs: Path, shape: plan.Anatomy, model: str, processes: int = 1) -> float | None:
    """Operations a second of the newest night that trained this model here in so many processes, by any recipe."""
    for path in sorted(runs.glob("*/report.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["model"] == model and told.get("processes", 1) == processes:
                return plan.operations(shape, Recipe.model_validate(told["recipe"])) / float(told["cost"]["training"])
    return None


def free(night: Night) -> int:
    """The bytes that the training may take in each of its processes, which on a CPU share one memory."""
    from model.device import free_memory

    assert night.device is not None
    return free_memory(night.device) // (night.processes if night.device.name == "cpu" else 1)


def longest(night: Night) -> int:
    """The characters of the longest row."""
    return max((sum(len(message.content) for message in each.messages) + len(each.response) for each in night.examples), default=0)
