"""`care eval`"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import click

from bot import domains
from bot.cli import load_settings
from bot.home import running
from bot.settings import Settings
from bot.turns import now
from model.chat import Message
from model.manifest import Unshelved
from model.shelf import Shelf
from train import recipe as recipes
from train.commands.beside import step_back
from train.errors import ItemsInvalid
from train.examples import Example, to_messages
from train.gates import Interval, Score, paired
from train.night import Night
from train.nightly import collect
from train.progress import Progress


@click.command()
@click.argument("lora_ids", metavar="[ID]...", nargs=-1)
@click.option("--items", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSONL with instruction and response a row.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def evaluate(lora_ids: tuple[str, ...], items: Path | None, as_json: bool) -> None:
    """Measure the base and LoRAs (by default the live one) on the same items (by default the held-out ones), paired."""
    settings = load_settings()
    shelf = Shelf(settings.loras)
    live = shelf.live()
    wanted = lora_ids or ((live,) if live is not None else ())
    for lora_id in wanted:
        shelf.read(lora_id)  # a name that is wrong shows before anything is loaded
    examples = _read(items) if items is not None else _held_out(settings)
    step_back(serving=running(settings.home) is not None)
    scores = _measure(settings, shelf, wanted, examples)
    pairs = {(better, other): paired(scores[better], scores[other]) for other, better in combinations(scores, 2)}
    click.echo(json.dumps(_told(scores, pairs)) if as_json else _table(scores, pairs))


def _held_out(settings: Settings) -> Sequence[Example]:
    night = Night(
        settings,
        recipes.load(recipes.default_name(settings.model)),
        domains.load(),
        Shelf(settings.loras),
        Progress(),
        lambda: False,
        now(),
    )
    collect(night)
    return [example for example in night.examples if example.held_out]


def _read(path: Path) -> list[Example]:
    """Items from a file; the bot's system prompt leads. Raises ItemsInvalid with the line."""
    system = Message("system", domains.load().system_prompt)
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            history = to_messages(row.get("history", []))
            messages = (system, *history, Message("user", _text(row, "instruction")))
            found.append(Example(str(number), str(number), messages, _text(row, "response"), str(row.get("domain", "other")), "items", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ItemsInvalid(f"{path}, line {number}: {error!r}; each line is an object with instruction and response") from error
    if not found:
        raise ItemsInvalid(f"{path} holds no items; each line is an object with instruction and response")
    return found


def _text(row: Mapping[str, object], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} is no text")
    return value.strip()


def _measure(settings: Settings, shelf: Shelf, wanted: Sequence[str], examples: Sequence[Example]) -> Mapping[str, Sequence[Score]]:
    from model import weights  # importing torch takes seconds
    from model.device import find_device
    from train.evaluate import measure

    base = weights.find(settings.model, settings.models)
    identity = weights.identify(base)
    loras: dict[str, Unshelved] = {lora_id: shelf.open(lora_id, identity) for lora_id in wanted}
    progress = Progress()
    progress.stage("measuring")
    scores = measure(base, find_device(settings.device), loras, examples, settings.context, progress.step)
    progress.close()
    return scores


def _told(scores: Mapping[str, Sequence[Score]], pairs: Mapping[tuple[str, str], Interval]) -> Mapping[str, object]:
    return {
        "models": {name: {"loss": _mean(found), "items": len(found)} for name, found in scores.items()},
        "comparisons": [{"model": model, "against": other, **asdict(interval)} for (model, other), interval in pairs.items()],
        "scores": {name: [asdict(score) for score in found] for name, found in scores.items()},
    }


def _table(scores: Mapping[str, Sequence[Score]], pairs: Mapping[tuple[str, str], Interval]) -> str:
    width = max(map(len, scores))
    lines = [click.style(f"{'model'.ljust(width)}  answer loss (nats a token, {len(next(iter(scores.values())))} items)", bold=True)]
    lines += [f"{name.ljust(width)}  {_mean(found):.3f}" for name, found in scores.items()]
    for (model, other), each in pairs.items():
        proven = "" if each.low <= 0 <= each.high else ("better" if each.high < 0 else "worse")
        lines.append(f"{model} − {other}: {each.mean:+.3f}, 95 % [{each.low:+.3f}, {each.high:+.3f}] {proven}".rstrip())
    return "\n".join(lines)


def _mean(scores: Sequence[Score]) -> float:
    return sum(score.loss for score in scores) / len(scores) if scores else float("nan")
