"""`make measure-methods`: SFT, KTO, DPO, ORPO and merges of two LoRAs, trained on the same corrections and measured on the same items.

A correction is a row of the starter set or of the public data, and what it corrects is what the base itself wrote to that question:
as in service, where people correct what they were told. Each method trains for the same number of steps. Two LoRAs that saw half
of the rows each are merged in three ways. Measured are the loss of the right answer, and how much likelier it is than the base's.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from bot import domains
from model import weights
from model.device import Device, find_device
from model.manifest import Draft, Lora, Unshelved
from model.shelf import CONFIG, WEIGHTS, unshelve
from model.weights import Base
from train import merge, public, samples
from train import recipe as recipes
from train.evaluate import BASE, measure
from train.examples import Example, shipped
from train.finetune import finetune
from train.gates import Interval, Score, interval, paired
from train.recipe import Recipe
from train.runs import Run

METHODS, MERGES = ("sft", "kto", "dpo", "orpo"), ("linear", "ties", "slerp")
HALVES = ("sft, first half", "sft, second half")


@dataclass(frozen=True, slots=True)
class Found:
    """One LoRA beside the base: candidate minus base on the right answers, and how far it has pulled right and own answers apart."""

    name: str
    loss: Interval
    margin: Interval
    seconds: float  # of training; of a merge, of merging


def corrections(folder: Path | None, recipe: Recipe, models: Path, rows: int) -> tuple[list[Example], list[Example]]:
    """Rows to train on and items to measure, each with what the base writes to its question."""
    system = domains.load().system_prompt
    given = [*shipped(system), *public.examples(folder, recipe, system)]
    trained = _some([example for example in given if not example.held_out], rows)
    items = _some([example for example in given if example.held_out], rows)
    wrote = samples.write("embedded", models, "auto", recipe.max_tokens, {BASE: None}, [*trained, *items])
    return _corrected(trained, wrote), _corrected(items, wrote)


def _some(examples: Sequence[Example], n: int) -> list[Example]:
    """Evenly spread over the whole, in the order of ids."""
    ordered = sorted(examples, key=lambda each: each.id)
    return ordered if len(ordered) <= n else [ordered[at * len(ordered) // n] for at in range(n)]


def _corrected(examples: Sequence[Example], wrote: Mapping[str, Mapping[str, str]]) -> list[Example]:
    return [replace(each, rejected=wrote[each.id][BASE]) for each in examples if wrote[each.id][BASE].strip()]


def train(base: Base, device: Device, rows: Sequence[Example], recipe: Recipe, folder: Path) -> float:
    """Trains into `folder`/candidate; how many seconds it took."""
    folder.mkdir()
    began = time.monotonic()

    def progress(step: int, loss: float) -> None:
        click.echo(f"\r{folder.name}: step {step} of {recipe.steps}, loss {loss:.2f} ", err=True, nl=False)

    assert finetune(base, device, rows, recipe, Run(folder, "m" * 64), progress, lambda: False) is not None
    click.echo(err=True)
    return time.monotonic() - began


def opened(base: Base, recipe: Recipe, folder: Path) -> Unshelved:
    """A trained or merged LoRA as it is served."""
    draft = Draft("m1", datetime.now(UTC), weights.identify(base), "0" * 64, recipe.seed, recipe.facts(), (), ())
    return unshelve(Lora(draft, 0, {}, folder), {name: (folder / name).read_bytes() for name in (WEIGHTS, CONFIG)})


def all_loras(base: Base, device: Device, rows: Sequence[Example], recipe: Recipe, folder: Path) -> dict[str, tuple[Path, float]]:
    """Every LoRA's folder and how long it took: one a method, one a half, one a merge of the halves."""
    made: dict[str, tuple[Path, float]] = {}
    for method in METHODS:
        by = recipe.model_copy(update={"method": method})
        made[method] = folder / method / "candidate", train(base, device, rows, by, folder / method)
    for name, half in zip(HALVES, (rows[::2], rows[1::2]), strict=True):
        short = recipe.model_copy(update={"steps": recipe.steps // 2})
        made[name] = folder / name / "candidate", train(base, device, half, short, folder / name)
    one, other = (merge.read(made[name][0]) for name in HALVES)
    for way in MERGES:
        began = time.monotonic()
        merge.write(merge.merged(one, other, way, 0.5, recipe.rank), made[HALVES[0]][0], folder / way)
        made[f"halves, {way}"] = folder / way, time.monotonic() - began
    return made


def judged(base: Base, device: Device, items: Sequence[Example], recipe: Recipe, made: Mapping[str, tuple[Path, float]]) -> list[Found]:
    """All of them in one load of the base."""
    loras = {name: opened(base, recipe, path) for name, (path, _) in made.items()}
    own = [replace(each, id=f"own/{each.id}", response=str(each.rejected)) for each in items]

    def progress(done: int, total: int) -> None:
        click.echo(f"\rmeasuring: {done} of {total} ", err=True, nl=False)

    scores = measure(base, device, loras, [*items, *own], recipe.max_tokens, progress)
    click.echo(err=True)
    right = {name: [score for score in found if not score.item.startswith("own/")] for name, found in scores.items()}
    apart = {name: _margins(found) for name, found in scores.items()}
    return [
        Found(
            name,
            paired(right[name], right[BASE]),
            interval([apart[name][item] - apart[BASE][item] for item in sorted(apart[BASE])]),
            seconds,
        )
        for name, (_, seconds) in made.items()
    ]


def _margins(scores: Sequence[Score]) -> dict[str, float]:
    """By item, how much more the right answer is expected than the base's own (nats a token)."""
    losses = {score.item: score.loss for score in scores}
    return {item: losses[f"own/{item}"] - loss for item, loss in losses.items() if f"own/{item}" in losses}


def draw(found: Sequence[Found], path: Path) -> None:
    """Both columns with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.8 + 0.4 * len(found)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(found))[::-1]
    for axes, name, title in ((left, "loss", "loss of the right answer"), (right, "margin", "right answer over the base's own")):
        values: list[Interval] = [getattr(each, name) for each in found]
        spread = [[value.mean - value.low for value in values], [value.high - value.mean for value in values]]
        axes.errorbar([value.mean for value in values], rows, xerr=spread, fmt="o", color="#2563eb", capsize=3)
        axes.axvline(0, color="#9ca3af", linewidth=1)
        axes.set(title=title, xlabel="minus base (nats a token, 95 %)", yticks=rows, yticklabels=[each.name for each in found])
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--rows", default=96, help="Corrections to train on, and at most so many items to measure.")
@click.option("--steps", default=48, help="Steps of each method; of each half half of them.")
@click.option("--models", type=click.Path(path_type=Path), default=Path("var/models"), help="Where the embedded model lies.")
@click.option("--chart", type=click.Path(path_type=Path), default=Path("var/bench/methods.png"), help="Where the chart goes.")
def main(rows: int, steps: int, models: Path, chart: Path) -> None:
    """Prints a table, and one JSON object a LoRA on stdout, on the embedded model."""
    data = os.environ.get("CARE_PUBLIC_DATA")
    recipe = recipes.load("embedded").model_copy(update={"steps": steps})
    base, device = weights.find("embedded", models), find_device("auto")
    trained, items = corrections(Path(data) if data else None, recipe, models, rows)
    click.echo(f"{len(trained)} corrections, {len(items)} items", err=True)
    with tempfile.TemporaryDirectory(prefix="care-methods-") as folder:
        found = judged(base, device, items, recipe, all_loras(base, device, trained, recipe, Path(folder)))
    for each in found:
        loss, margin = each.loss, each.margin
        click.echo(
            f"| {each.name:<16} | {loss.mean:+.3f} | {loss.low:+.3f} … {loss.high:+.3f} | {margin.mean:+.3f} "
            f"| {margin.low:+.3f} … {margin.high:+.3f} | {each.seconds:.0f} s |",
            err=True,
        )
        click.echo(json.dumps(asdict(each)))
    chart.parent.mkdir(parents=True, exist_ok=True)
    draw(found, chart)


if __name__ == "__main__":
    main()
