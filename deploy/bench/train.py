"""`make bench-train [ROUNDS=5]`: CARE's training beside a plain TRL script, in turns; prints the table, writes var/bench/train.json.

Same rows in the same order, same micro-batch, steps, model, LoRA and precision. Every turn is a process of its own, so that its peak
memory is; who goes first changes with every round. The loss that is compared is of the last third of the steps: before, nothing is learned.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bot import domains
from model import weights
from model.device import find_device
from model.tokens import Tokens
from model.weights import Base
from train import methods, public
from train import recipe as recipes
from train.examples import shipped
from train.recipe import Recipe

_SIDES = {"ours": "CARE", "plain": "plain TRL"}


def given(base: Base, folder: Path | None, recipe: Recipe) -> dict[str, object]:
    """The starter set and public data, as examples for CARE and as the same token ids for TRL."""
    system = domains.load().system_prompt
    examples = [each for each in [*shipped(system), *public.examples(folder, recipe, system)] if not each.held_out]
    loaded = weights.load(base, find_device("auto"))
    found = methods.rows(Tokens(loaded, loaded.context), examples, recipe)
    said = [
        {"messages": [{"role": one.role, "content": one.content} for one in each.messages], "response": each.response} for each in examples
    ]
    return {"examples": said, "rows": [dict(row) for row in found.rows]}


def turn(side: str, model: Path, data: Path, recipe: Recipe) -> dict[str, Any]:
    """One training in a process of its own."""
    command = [sys.executable, "-m", f"deploy.bench.train_{side}", str(model), str(data), json.dumps(recipe.facts())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{_SIDES[side]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def order(number: int) -> list[str]:
    """Who goes first in a round, and who then: a machine that slows down or speeds up does so for both."""
    return list(_SIDES) if number % 2 == 0 else list(reversed(_SIDES))


def ratios(rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, float]:
    """Of the medians, CARE to plain TRL. The first step of each training warms up, and is not timed."""
    ours, plain = ({key: statistics.median(of(each[side]) for each in rounds) for key, of in _FIGURES.items()} for side in _SIDES)
    return {
        "tokens_per_s": plain["seconds"] / ours["seconds"],
        "peak_memory": ours["peak"] / plain["peak"],
        "loss": ours["loss"] / plain["loss"],
    }


def _seconds(found: Mapping[str, Any]) -> float:
    return float(found["ends"][-1] - found["ends"][0])


def _peak(found: Mapping[str, Any]) -> float:
    return float(found["peak"])


def _loss(found: Mapping[str, Any]) -> float:
    """The mean of the last third of the steps."""
    losses = found["losses"]
    return statistics.mean(map(float, losses[-max(1, len(losses) // 3) :]))


def _fell(found: Mapping[str, Any]) -> float:
    """From the first step to the last third, in nats a token."""
    return float(found["losses"][0]) - _loss(found)


_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {"seconds": _seconds, "peak": _peak, "loss": _loss, "fell": _fell}


def table(rounds: Sequence[Mapping[str, Mapping[str, Any]]], found: Mapping[str, float]) -> str:
    """Markdown: medians of both, and the ratios."""
    tokens = rounds[0]["plain"]["tokens"][-1] - rounds[0]["plain"]["tokens"][0]
    lines = [
        "| training | tokens a second | peak memory | loss, last third of the steps | fell from the first step by |",
        "|---|---|---|---|---|",
    ]
    for side, name in _SIDES.items():
        pace, peak, loss, fell = (statistics.median(of(each[side]) for each in rounds) for of in _FIGURES.values())
        lines.append(f"| {name} | {tokens / pace:.0f} | {peak / 2**30:.2f} GiB | {loss:.3f} | {fell:.3f} |")
    lines.append(f"| **ratio** | **{found['tokens_per_s']:.2f}** | **{found['peak_memory']:.2f}** | **{found['loss']:.3f}** | |")
    return "\n".join(lines)


@click.command()
@click.option("--rounds", default=5, help="Turns of each.")
@click.option("--steps", default=12, type=click.IntRange(min=2), help="Steps of each turn; the first is not timed.")
@click.option("--model", default="embedded", help="As CARE_MODEL: a folder, a hub id, or embedded.")
@click.option("--recipe", help="A shipped recipe or a TOML file; without it the one that fits the model.")
@click.option("--home", type=click.Path(path_type=Path), default=Path(os.environ.get("CARE_HOME") or "var"), help="CARE_HOME.")
def main(rounds: int, steps: int, model: str, recipe: str | None, home: Path) -> None:
    """Prints the table, and writes every round and the ratios."""
    chosen = recipes.load(recipe or recipes.default_name(model))
    chosen = chosen.model_copy(update={"steps": steps, "warmup_steps": min(chosen.warmup_steps, steps)})
    base, data = weights.find(model, home / "models"), os.environ.get("CARE_PUBLIC_DATA")
    done: list[dict[str, dict[str, Any]]] = []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        file.write_text(json.dumps(given(base, Path(data) if data else None, chosen)))
        for number in range(rounds):
            done.append({side: turn(side, base.folder, file, chosen) for side in order(number)})
            click.echo(f"round {number + 1} of {rounds}: {ratios(done[-1:])}", err=True)
    found = ratios(done)
    (home / "bench").mkdir(parents=True, exist_ok=True)
    (home / "bench" / "train.json").write_text(json.dumps({"ratios": found, "recipe": chosen.facts(), "rounds": done}, indent=1))
    click.echo(table(done, found))


if __name__ == "__main__":
    main()
