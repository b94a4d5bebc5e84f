"""CARE's training on the same rows as the plain TRL script beside it (train_plain.py), with the same output; tokens are counted there."""

import json
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from model.chat import Message
from model.device import find_device
from model.weights import Base
from train.examples import Example
from train.finetune import finetune
from train.recipe import Recipe
from train.runs import Run


def main(model: Path, rows: Path, recipe: dict[str, Any]) -> None:
    """Trains on the "examples" of a JSON file."""
    examples = [
        Example(f"e{at}", f"g{at}", tuple(Message(**each) for each in row["messages"]), row["response"], "other", "bench", "")
        for at, row in enumerate(json.loads(rows.read_text())["examples"])
    ]
    ends: list[float] = []
    with TemporaryDirectory() as folder:
        (made := Path(folder) / "run").mkdir()
        base = Base(model.name, model)
        trained = finetune(
            base,
            find_device("auto"),
            examples,
            Recipe.model_validate(recipe),
            Run(made, "b" * 64),
            lambda step, loss: ends.append(time.monotonic()),
            lambda: False,
        )
    assert trained is not None
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ends": ends, "losses": [each.loss for each in trained.losses], "peak": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
