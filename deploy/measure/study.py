"""A study: variants of one training, each measured on the same items, kept under `var/study` and written into docs/results.md.

A study that was killed does what is missing when it is started again; `--only` lets two processes share its variants. What a variant
came to is kept under the hash of all it depends on but the code: after a change of the code remove the study's folder.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
import numpy as np
from pydantic import ValidationError

from bot.exits import EXPECTED, exit_code
from deploy.measure import material
from deploy.measure.material import Material
from deploy.measure.trained import Trained, peak, reset_peak
from model import weights
from model.device import Device, find_device
from model.manifest import Draft, Lora, Unshelved
from model.shelf import CONFIG, WEIGHTS, unshelve
from model.tokens import Tokens
from model.weights import Base
from train import merge
from train import recipe as recipes
from train.evaluate import BASE, Candidate, measure
from train.examples import Example
from train.finetune import finetune
from train.gates import Score
from train.recipe import Recipe
from train.runs import Run, write_json

UNQUANTIZED = "base, unquantized"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to train; with `parents` what `recipe.merge` makes of two others; the base as it is, where the name says so."""

    name: str
    recipe: Recipe
    rows: Sequence[Example]
    items: Sequence[Example]
    quantize: bool = True
    parents: tuple["Variant", "Variant"] | None = None

    @property
    def is_base(self) -> bool:
        """Whether it is only measured."""
        return self.name in (BASE, UNQUANTIZED)

    @property
    def own_base(self) -> str:
        """The name of what it was trained from; full fine-tuning is of unquantized weights."""
        return BASE if self.quantize and not self.recipe.whole else UNQUANTIZED


@dataclass(frozen=True, slots=True)
class Result:
    """What a variant came to on its items, and the day it was measured."""

    name: str
    scores: Sequence[Score]
    trained: Trained | None
    own_base: str = BASE
    measured_on: date | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What all variants of a study share: model, device and recipe, where results are kept and where they are written."""

    name: str
    model: str
    models: Path
    base: Base
    device: Device
    recipe: Recipe
    digest: str  # of the base
    rows: int
    only: Sequence[str]
    as_kept: bool
    folder: Path
    results: Path
    material: Material

    def varied(self, steps: int | None = None, **changes: object) -> Recipe:
        """The recipe with something else in it; it warms up in its steps at most. Raises UsageError for what no recipe may hold."""
        steps = self.recipe.steps if steps is None else steps
        fitting = {"steps": steps, "warmup_steps": min(self.recipe.warmup_steps, steps)}
        try:
            return Recipe.model_validate(dict(self.recipe) | fitting | changes)
        except ValidationError as error:
            raise click.UsageError(str(error)) from error

    def plain_base(self, quantize: bool = True) -> Variant:
        """The model before any training."""
        return Variant(BASE if quantize else UNQUANTIZED, self.recipe, (), self.material.items, quantize)


class Numbers(click.ParamType):
    """A list of whole numbers over 0, between commas."""

    name = "numbers"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        with suppress(ValueError):
            if min(numbers(value)) > 0:
                return value
        return self.fail(f"{value!r} is no list of whole numbers over 0, as 8,16,32 is", param, ctx)


def numbers(value: str) -> list[int]:
    """As they were given, each once."""
    return list(dict.fromkeys(map(int, value.split(","))))


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every study; what can't be studied as it was asked for ends in a sentence, and with the exit code of `care`."""

    @wraps(command)
    def said(**given: object) -> None:
        try:
            command(**given)
        except EXPECTED as error:
            ending = click.ClickException(str(error))
            ending.exit_code = exit_code(error)
            raise ending from error

    some = click.IntRange(min=1)
    for option in (
        click.option("--rows", type=some, default=240, help="Most rows to train on."),
        click.option("--items", type=some, default=96, help="Most held-out items to measure on."),
        click.option("--steps", type=some, help="Steps of a training; without it the recipe's."),
        click.option("--max-tokens", type=some, default=256, help="Longest row and item, prompt and answer."),
        click.option("--model", default="embedded", help="As CARE_MODEL: a folder, a hub id, or embedded."),
        click.option("--recipe", help="A shipped recipe or a TOML file; without it the one that fits the model."),
        click.option("--models", type=click.Path(path_type=Path), default=Path("var/models"), help="Where models lie."),
        click.option("--kept", type=click.Path(path_type=Path), default=Path("var/study"), help="Where results are kept."),
        click.option("--results", type=click.Path(path_type=Path), default=Path("docs/results.md"), help="The page to write into."),
        click.option("--as-kept", is_flag=True, help="Train nothing; write what is kept, whatever it was made from."),
        click.option("--only", multiple=True, help="Do these variants alone, and write what is there."),
    ):
        said = option(said)
    return said


def opened(name: str, **given: Any) -> Setting:
    """From the options of a study. Raises RecipeInvalid, ModelNotFound, ModelDamaged, DeviceUnusable, PublicDataInvalid."""
    recipe = recipes.load(given["recipe"] or recipes.default_name(given["model"]))
    recipe = recipe.model_copy(update={"max_tokens": given["max_tokens"], "steps": given["steps"] or recipe.steps})
    base, device = weights.find(given["model"], given["models"]), find_device("auto")
    loaded = weights.load(base, device)
    data = os.environ.get("CARE_PUBLIC_DATA")
    found = material.read(Path(data) if data else None, Tokens(loaded, loaded.context), recipe, given["items"])
    folder = Path(given["kept"]) / name
    folder.mkdir(parents=True, exist_ok=True)
    return Setting(
        name,
        given["model"],
        given["models"],
        base,
        device,
        recipe,
        loaded.identity.weights_sha256,
        given["rows"],
        given["only"],
        given["as_kept"],
        folder,
        given["results"],
        found,
    )


def run(setting: Setting, variants: Sequence[Variant]) -> dict[str, Result]:
    """Trains and measures what is missing, and returns all that is there, in the order of the variants."""
    unknown = set(setting.only) - {each.name for each in variants}
    if unknown:
        raise click.UsageError(f"--only {sorted(unknown)[0]!r} is none of {', '.join(each.name for each in variants)}")
    empty = [each.name for each in variants if not (each.rows or each.parents or each.is_base)]
    if empty:
        raise click.UsageError(f"--rows {setting.rows} leaves nothing to train {empty[0]!r} on; give more")
    wanted = [each for each in variants if not setting.only or each.name in setting.only or each.name == BASE]
    for variant in () if setting.as_kept else wanted:
        if _known(setting, variant) is None:
            _do(setting, variant)
    found = {each.name: result for each in variants if (result := _known(setting, each)) is not None}
    if BASE not in found:
        raise click.UsageError(f"{setting.folder} keeps no result of the base; leave out --as-kept")
    return found


def _do(setting: Setting, variant: Variant) -> None:
    trained = None if variant.is_base else _trained(setting, variant)
    scores = _measured(setting, variant)
    said = {"key": _key(setting, variant), "measured_at": datetime.now(UTC).isoformat(), "trained": asdict(trained) if trained else None}
    write_json(setting.folder / f"{_file_name(variant)}.json", said | {"scores": [asdict(score) for score in scores]})


def _known(setting: Setting, variant: Variant) -> Result | None:
    path = setting.folder / f"{_file_name(variant)}.json"
    kept = _kept(path, None if setting.as_kept else _key(setting, variant))
    if kept is None:
        return None
    trained = Trained(**kept["trained"]) if kept["trained"] else None
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()  # of results that don't say when
    day = datetime.fromisoformat(kept.get("measured_at", written)).date()
    return Result(variant.name, [Score(**score) for score in kept["scores"]], trained, variant.own_base, day)


def _kept(path: Path, key: str | None) -> Mapping[str, Any] | None:
    """What lies there, if it has this key; without one whatever its key."""
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if found and key in (None, found["key"]) else None


def _key(setting: Setting, variant: Variant, *, trained: bool = False) -> str:
    """The hash of what a result depends on; with `trained` of what a LoRA does, whatever it is measured on."""
    parts = {
        "recipe": variant.recipe.facts(),
        "rows": [each.row() for each in variant.rows],
        "items": [] if trained else [each.row() for each in variant.items],
        "base": [setting.digest, variant.quantize, setting.device.name, str(_device(setting, variant).dtype)],
        "parents": [_key(setting, parent, trained=True) for parent in variant.parents or ()],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _trained(setting: Setting, variant: Variant) -> Trained:
    """Trains or merges a variant's LoRA, unless that is done, and says how it went."""
    folder, key = setting.folder / _file_name(variant), _key(setting, variant, trained=True)
    kept = _kept(folder / "trained.json", key)
    if kept is not None and (folder / "candidate").exists():
        return Trained(**kept["trained"])
    folder.mkdir(exist_ok=True)
    for parent in variant.parents or ():
        _trained(setting, parent)
    reset_peak()
    made = _merge(setting, variant, folder) if variant.parents else _finetune(setting, variant, Run(folder, key))
    write_json(folder / "trained.json", {"key": key, "trained": asdict(made)})
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return made


def _finetune(setting: Setting, variant: Variant, run: Run) -> Trained:
    times: list[float] = []

    def progress(step: int, loss: float) -> None:
        times.append(time.monotonic())
        _say(f"{variant.name}: step {step} of {variant.recipe.steps}, loss {loss:.2f}")

    device = _device(setting, variant)
    found = finetune(setting.base, device, variant.rows, variant.recipe, run, progress, lambda: False, quantize=variant.quantize)
    assert found is not None  # nobody stops it
    # As if all steps had been done now, and each had taken the median: other work comes in bursts, and loading is not training.
    seconds = float(np.median(np.diff(times) if len(times) > 1 else 0.0)) * variant.recipe.steps
    return Trained([each.loss for each in found.losses], found.rows, variant.recipe.steps, seconds, peak())


def _merge(setting: Setting, variant: Variant, folder: Path) -> Trained:
    assert variant.parents is not None
    began = time.monotonic()
    one, other = (setting.folder / _file_name(parent) / "candidate" for parent in variant.parents)
    way = variant.recipe.merge
    assert way != "none"
    made = merge.merged(merge.read(one), merge.read(other), way, variant.recipe.merge_share, variant.recipe.rank)
    merge.write(made, one, folder / "candidate")
    rows = {each.id for parent in variant.parents for each in parent.rows}
    return Trained([], len(rows), sum(parent.recipe.steps for parent in variant.parents), time.monotonic() - began, peak())


def _measured(setting: Setting, variant: Variant) -> list[Score]:
    """A model of its own is removed once it is measured: it takes as much room as its base."""
    folder = setting.folder / _file_name(variant) / "candidate"
    candidates: dict[str, Candidate] = {}
    if not variant.is_base:
        candidates[variant.name] = Base(variant.name, folder) if variant.recipe.whole else _lora(setting, variant, folder)

    def progress(done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            _say(f"{variant.name}: measured on {done} of {total}")

    found = measure(
        setting.base,
        _device(setting, variant),
        candidates,
        variant.items,
        variant.recipe.max_tokens,
        progress,
        quantize=variant.quantize,
        with_base=variant.is_base,
    )
    if variant.recipe.whole:
        shutil.rmtree(folder)
    return next(iter(found.values()))


def _lora(setting: Setting, variant: Variant, folder: Path) -> Unshelved:
    """A trained or merged LoRA as it is served."""
    identity = weights.identify(setting.base)
    draft = Draft("m1", datetime.now(UTC), identity, "0" * 64, variant.recipe.seed, variant.recipe.facts(), (), ())
    return unshelve(Lora(draft, 0, {}, folder), {name: (folder / name).read_bytes() for name in (WEIGHTS, CONFIG)})


def _device(setting: Setting, variant: Variant) -> Device:
    """What is not quantized computes in fp32 on a CPU, as full fine-tuning does; on a GPU its weights lie in half precision."""
    return setting.device if variant.quantize or setting.device.name == "cuda" else setting.device.whole


def _file_name(variant: Variant) -> str:
    return re.sub(r"[^a-z0-9]+", "-", variant.name.lower()).strip("-")


def _say(what: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {what}", err=True)
