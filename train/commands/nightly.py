"""`care nightly`"""

import json
import logging
import math
import os
import signal
from datetime import datetime, timedelta
from time import monotonic
from types import FrameType

import click

from bot import domains, forgetting
from bot.cli import load_settings
from bot.exits import Exit
from bot.home import running
from bot.settings import Settings
from bot.store import Store
from bot.turns import now
from model.shelf import Shelf
from train import recipe as recipes
from train import several
from train.commands.beside import step_back
from train.errors import TooLarge, TooLittleData
from train.gates import ask_for_more
from train.night import Night
from train.nightly import PLAN, run
from train.progress import Progress
from train.report import result
from train.runs import only_night

_EXITS = {"promoted": Exit.DONE, "control": Exit.DONE, "kept": Exit.GATE_REFUSED, "reverted": Exit.REVERTED}


@click.command()
@click.option(
    "--recipe",
    "recipes_named",
    multiple=True,
    help="A shipped recipe (care-paper, embedded, full, nightly) or a TOML file; by default the one for CARE_MODEL.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be trained on and how, in what memory and time, and stop before anything is loaded."
)
@click.option(
    "--until", type=click.DateTime(["%H:%M"]), help="Stop by this time of day (06:00) at a checkpoint, which the next start goes on from."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    help="Train in so many processes, each on a GPU of its own; they share a step's passes (`accumulate` of the recipe).",
)
@click.option("--control", is_flag=True, help="Train without the ratings, same seed and steps, to compare with; never goes live.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def nightly(recipes_named: tuple[str, ...], dry_run: bool, until: datetime | None, processes: int, control: bool, as_json: bool) -> int:
    """Learn from what people said: train a LoRA, measure it, and make it live if it is better."""
    if len(recipes_named) > 1:
        raise click.UsageError(f"--recipe is given {len(recipes_named)} times ({', '.join(recipes_named)}); a night has one")
    settings = load_settings()
    night = open_night(settings, *recipes_named, control=control, until=until, processes=processes)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names optional kernels that are not installed
    if dry_run:
        run(night, PLAN)
    else:
        step_back(serving=running(settings.home) is not None)
        try:
            with only_night(settings.home):
                _finish_forgetting(night)
                try:
                    run(night)
                    night = _with_more_rank(night)
                finally:
                    _finish_forgetting(night)
        except TooLittleData:
            click.echo(json.dumps(result(night), ensure_ascii=False) if as_json else _said(night))
            raise
    said = [_said(night), *_foreseen(night)] if dry_run else [_said(night)]
    click.echo(json.dumps(result(night), ensure_ascii=False) if as_json else os.linesep.join(said))
    return _EXITS[night.verdict] if night.verdict is not None else Exit.DONE


def open_night(
    settings: Settings, recipe_name: str | None = None, *, control: bool = False, until: datetime | None = None, processes: int = 1
) -> Night:
    """A night that knows nothing yet. Raises RecipeInvalid."""
    recipe = recipes.load(recipes.default_name(settings.model) if recipe_name is None else recipe_name)
    several.require(recipe, processes)
    return Night(
        settings=settings,
        recipe=recipe,
        domains=domains.load(),
        shelf=Shelf(settings.loras),
        progress=Progress(),
        stopped=_stop_on_signals(_seconds_until(until)),
        started_at=now(),
        control=control,
        processes=processes,
    )


def _with_more_rank(night: Night) -> Night:
    """What became of a night in the end: it is repeated with more rank as long as the gates ask for that, and there is memory for it."""
    while (wider := _wider(night)) is not None:
        try:
            run(wider)
        except TooLarge as error:
            click.echo(f"it stays with rank {night.recipe.rank}: {error}", err=True)
            return night
        night = wider
    return night


def _wider(night: Night) -> Night | None:
    """The same night with twice the rank, where the gates ask for no more than that and the recipe allows it. The scale stays."""
    recipe = night.recipe
    if (
        night.verdict != "kept"
        or not ask_for_more(night.gates, {example.domain for example in night.examples})
        or 2 * recipe.rank > recipe.most_rank
    ):
        return None
    click.echo(f"rank {recipe.rank} learned too little; again with {2 * recipe.rank} …", err=True)
    wider = recipe.model_copy(update={"rank": 2 * recipe.rank, "alpha": 2 * recipe.alpha})
    return Night(night.settings, wider, night.domains, night.shelf, Progress(), night.stopped, now(), night.control, night.processes)


def _finish_forgetting(night: Night) -> None:
    """What a night has in hand of people who were forgotten is cleared away by the night itself. Raises StoreError, Busy or OSError."""
    if night.settings.database.exists():
        store = Store(night.settings.database)
        try:
            forgetting.finish(store, night.shelf, night.settings.home, within_night=True)
        finally:
            store.close()


def _next(time: datetime, now: datetime) -> datetime:
    """The next such time of day on this machine's clock, also where clocks change before it."""
    today = now.replace(tzinfo=None, hour=time.hour, minute=time.minute, second=0, microsecond=0)
    days = (today, today + timedelta(days=1), today + timedelta(days=2))
    return next(day.astimezone() for day in days if day.astimezone() >= now)


def _seconds_until(time: datetime | None) -> float:
    """To the next such time of day, which is told: it may be tomorrow's."""
    if time is None:
        return math.inf
    now = datetime.now().astimezone()
    then = _next(time, now)
    click.echo(f"stops at a checkpoint on {then:%Y-%m-%d at %H:%M}, unless it is done before", err=True)
    return (then - now).total_seconds()


class _Stop:
    """Set by SIGTERM or Ctrl-C, of which a second one ends the process at once, or when the time is up."""

    def __init__(self, seconds: float) -> None:
        self._asked = False
        self._deadline = monotonic() + seconds

    def __call__(self) -> bool:
        if not self._asked and monotonic() > self._deadline:
            self._asked = True
            click.echo("the time is up: stopping after this step …", err=True)
        return self._asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        click.echo("stopping after this step …", err=True)
        signal.signal(number, signal.SIG_DFL)


def _stop_on_signals(seconds: float) -> _Stop:
    stop = _Stop(seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.ask)
    return stop


def _said(night: Night) -> str:
    funnel, waiting = night.curated.funnel, len(night.curated.waiting)
    lines = [f"{funnel.rated} rated turns, {funnel.approved} accepted ({night.new} new), {len(night.examples)} examples in all"]
    if told := night.kinds.for_method(night.recipe.method):
        lines.append(f"{night.recipe.method:<9} {told}")
    if waiting:
        lines.append(f"{waiting} wait for a reviewer: `{night.review_command}`")
    if night.snapshot is not None:
        lines.append(f"snapshot  {night.snapshot.path}")
    lines.append(f"recipe    {', '.join(f'{name} {value}' for name, value in night.recipe.facts().items())}")
    if night.verdict is not None and night.merging:
        lines.append(f"merged    {night.merging}")
    for gate in night.gates:
        lines.append(f"{'passed' if gate.passed else 'FAILED':<9} {gate.gate}: {gate.told}")
    if night.verdict is not None and night.run is not None:
        lora = f" {night.lora.id}" if night.lora is not None else ""
        lines = [click.style(f"{night.verdict.upper()}{lora}: {night.why}", bold=True), *lines]
        lines.append(f"report    {(night.run.folder / 'report.html').resolve()}")
    return os.linesep.join(lines)


def _foreseen(night: Night) -> list[str]:
    """What a dry run says on top."""
    lines = []
    if night.device is None:
        lines.append("takes     unknown until the model is on this disk, where `care serve` or a night puts it")
    elif night.plan is not None:
        seconds = night.foreseen_seconds
        time = "this machine has not trained this model before" if seconds is None else f"about {seconds / 60:.0f} minutes"
        lines.append(f"takes     up to {night.plan}; {night.operations / 1e12:,.0f} TFLOP: {time}")
    if night.too_little is not None:
        lines.append(f"stops     a night would train nothing and end with exit code {Exit.TOO_LITTLE_DATA:d}: {night.too_little}")
    return lines
