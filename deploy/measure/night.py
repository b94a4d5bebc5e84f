"""`make measure-night`: one night on the embedded model and the public data, and what it did to each domain.

`python -m deploy.measure.night --recipe care-paper` does it by another recipe; the curve of its losses lies in the night's folder.

The day is the demo's: seventeen people correct 33 answers on an invented company, and a reviewer approves what waits. Measured is the
loss of the right answers on items that nothing was trained on, candidate and base on the same ones.
"""

import json
import os
import subprocess
import sys
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bot import domains
from bot.store import Store
from bot.turns import Question, Rating, Reply, Status
from train.gates import Score, paired

CARE = Path(sys.executable).with_name("care")
_DAY = Path(__file__).parent.parent / "demo" / "day.toml"
_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def spend_the_day(home: Path) -> int:
    """The demo's day, written through the store as the bot does; how many turns were rated."""
    day = tomllib.loads(_DAY.read_text())
    known = domains.load()
    said = [(each["person"], each["question"], -1, each["correction"]) for fact in day["facts"] for each in fact["asked"]]
    said += [(each["person"], each["question"], each["verdict"], None) for each in day["small_talk"]]
    with closing(Store(home / "care.db")) as store:
        for number, (person, question, verdict, correction) in enumerate(said):
            at, turn_id = _NOON + timedelta(minutes=number), f"day-{number}"
            store.receive(Question("web", turn_id, f"c-{number}", person, question, at, private=False), turn_id, known.label(question))
            store.finish(turn_id, Reply("Please ask at the counter.", None, Status.ANSWERED, at, finish_reason="stop"))
            store.rate(Rating(turn_id, person, verdict, at, None, correction))
    return len(said)


def care(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = subprocess.run([CARE, *arguments], env={**os.environ, "CARE_HOME": str(home)}, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


@click.command()
@click.option("--home", type=click.Path(path_type=Path), default=Path("var/measure-night"), help="A CARE_HOME of its own; must be new.")
@click.option("--recipe", help="A shipped recipe or a TOML file; without it the one that fits the model.")
def main(home: Path, recipe: str | None) -> None:
    """Prints JSON: the night's own result, and by domain candidate minus base."""
    if "CARE_PUBLIC_DATA" not in os.environ:
        raise click.UsageError("CARE_PUBLIC_DATA names no folder; this measures a night with public data")
    home.mkdir(parents=True)
    click.echo(f"{spend_the_day(home)} rated turns", err=True)
    care(home, "review", "--approve", "all", "--as", "cli:lead", "--json")
    code, output = care(home, "nightly", "--json", *(("--recipe", recipe) if recipe else ()))
    result = json.loads(output)
    scores = {name: [Score(**each) for each in result["scores"][name]] for name in ("candidate", "base")}
    for domain in sorted({score.domain for score in scores["base"]}):
        mine, base = ([score for score in scores[name] if score.domain == domain] for name in ("candidate", "base"))
        found = paired(mine, base)
        mean = sum(score.loss for score in base) / len(base)
        click.echo(
            f"{domain:<10} base {mean:.3f}, candidate {found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {found.n} items", err=True
        )
    click.echo(json.dumps({"exit": code, **result}))


if __name__ == "__main__":
    main()
