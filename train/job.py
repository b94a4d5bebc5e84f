"""`accelerate launch … -m train.job FOLDER`: one of the processes that share a training (`train/several.py`). Knows no night."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast

from bot import domains
from bot.cli import load_settings
from bot.exits import EXPECTED, exit_code
from bot.settings import Settings
from model import weights
from model.device import find_device
from train.errors import Diverged
from train.examples import read_snapshot
from train.finetune import finetune
from train.learn import rows
from train.progress import Progress
from train.recipe import Recipe
from train.runs import Run, room, write_json
from train.several import END, JOB, STOP, die_with_parent


def main(folder: Path) -> None:
    die_with_parent()
    told = json.loads((folder / JOB).read_text(encoding="utf-8"))
    state = PartialState(cpu=told["device"] == "cpu")  # from here on this process has its device
    settings = load_settings()
    end: Mapping[str, object]
    try:
        with room(settings.home):
            end = {"trained": _train(folder, told, settings, state)}
    except Diverged as error:
        end = {"diverged": str(error)}
    except EXPECTED as error:
        end = {"failed": str(error), "exit": exit_code(error)}
    write_json(folder / END.format(state.process_index), end)
    if "trained" not in end:
        sys.exit(1)  # the launcher then ends the others, which would wait for this one


def _train(folder: Path, told: Mapping[str, Any], settings: Settings, state: PartialState) -> Mapping[str, object] | None:
    recipe = Recipe.model_validate(told["recipe"])
    mine = recipe.model_copy(update={"accumulate": recipe.accumulate // state.num_processes})
    examples = rows(read_snapshot(Path(told["snapshot"])), recipe, domains.load().system_prompt)
    progress = Progress()

    def step(number: int, loss: float) -> None:
        if state.is_main_process:
            progress.step(number, recipe.steps, f"loss {loss:.2f}")

    def stopped() -> bool:
        """What the first of them sees holds for all: who stopped alone would leave the others waiting."""
        asked = torch.tensor(float((folder / STOP).exists()), device=state.device)
        return bool(broadcast(asked, from_process=0))

    base, device = weights.find(settings.model, settings.models), find_device(settings.device)
    trained = finetune(base, device, examples, mine, Run(folder, told["key"]), step, stopped)
    return asdict(trained) if trained is not None else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
