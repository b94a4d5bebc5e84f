"""For a dry run: what the training will take here, and about how long. Knows no other stage."""

import json
from contextlib import suppress
from pathlib import Path

from train import plan
from train.night import Night
from train.recipe import Recipe

# What decides how long a step takes.
_PACE = ("method", "batch_size", "accumulate", "max_tokens", "rank", "gradient_checkpointing")


def foresee(night: Night) -> None:
    """Memory where the model is on this disk already; time where this machine has trained like this before. Raises TooLarge."""
    from model import weights  # torch takes seconds to import
    from model.device import find_device, free_memory

    base = weights.here(night.settings.model, night.settings.models)
    if base is None:
        return
    night.device = find_device(night.settings.device)
    night.plan = plan.require(plan.anatomy(base), night.recipe, longest(night), free_memory(night.device), night.device.name)
    pace = last_pace(night.settings.runs, night.recipe, base.name)
    night.foreseen_seconds = None if pace is None else pace * night.recipe.steps


def last_pace(runs: Path, recipe: Recipe, model: str) -> float | None:
    """Seconds a step of the newest night that trained this model in such steps."""
    wanted = {name: recipe.facts()[name] for name in _PACE}
    for path in sorted(runs.glob("*/report.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["model"] == model and {name: told["recipe"][name] for name in _PACE} == wanted:
                return float(told["cost"]["training"]) / int(told["recipe"]["steps"])
    return None


def longest(night: Night) -> int:
    """The characters of the longest row."""
    return max((sum(len(message.content) for message in each.messages) + len(each.response) for each in night.examples), default=0)
