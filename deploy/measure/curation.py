"""`make measure-curation`: how long a dry run of the night takes to curate so many rated turns, cold and with a new day on top.

The turns are made from the questions and answers of the public data (CARE_PUBLIC_DATA), mixed sentence by sentence so that they
differ as people's do, with personal data in one of ten. Each size gets a CARE_HOME of its own in a temporary folder.
"""

import csv
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import click

from bot.rows import time_to_text
from bot.store import Store

CARE = Path(sys.executable).with_name("care")
FIRST_DAY = datetime(2026, 1, 1, 8, tzinfo=UTC)
TURNS_A_DAY = 1_000
_DOMAINS = ("telecom", "medical", "banking", "other")
_PERSONAL = (
    "My name is {first} {last}.",
    "You can reach me on {phone}.",
    "My account number is {digits}.",
    "Write to {first}.{last}@example.com please.",
    "The card is {card}.",
    "I live at {house} {last} Street.",
)
_FIRST = ("Ada", "Bo", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jana")
_LAST = ("Marsh", "Okafor", "Lindqvist", "Petrov", "Silva", "Tanaka", "Novak", "Weber", "Costa", "Haddad")


@dataclass(frozen=True, slots=True)
class Measured:
    """One dry run: rated turns, seconds on the clock and of one processor, the largest memory in MB, what was left after each stage."""

    turns: int
    cache: str
    seconds: float
    processor: float
    memory_mb: float
    funnel: dict[str, int]


def questions(folder: Path) -> list[str]:
    """What customers wrote: two sets of intents and two of dialogues."""
    with (folder / "train/banking/banking77_train.csv").open(newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)]
    for name in ("telecom/multidogo_media", "banking/multidogo_finance"):
        with (folder / f"train/{name}_train.tsv").open(newline="") as file:
            rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            found += [row[3] for row in islice(rows, 1, None) if len(row) > 3]
    return sorted({" ".join(text.split()) for text in found if 15 < len(text) < 300})


def answers(folder: Path) -> list[str]:
    """Sentences that answer."""
    with (folder / "train/support/bitext_customer_support_4514.csv").open(newline="") as file:
        texts = [row["response"] for row in csv.DictReader(file)]
    for path in sorted((folder / "train/medical").glob("MedQuAD_*.tar.gz")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member) if member.name.endswith(".xml") else None
                if file is not None:
                    texts += [answer.text or "" for answer in ElementTree.fromstring(file.read()).iter("Answer")]
    return sorted(
        {sentence.strip() for text in texts for sentence in text.split(". ") if 20 < len(sentence) < 250 and "{{" not in sentence}
    )


def personal(draw: Random) -> str:
    """Something that nobody should learn."""
    return draw.choice(_PERSONAL).format(
        first=draw.choice(_FIRST),
        last=draw.choice(_LAST),
        phone=f"0171 {draw.randrange(10**6, 10**7)}",
        digits=draw.randrange(10**7, 10**10),
        card=f"4111 1111 {draw.randrange(1000, 10_000)} 1111",
        house=draw.randrange(1, 400),
    )


def turns(first: int, n: int, asked: Sequence[str], said: Sequence[str]) -> Iterator[tuple[tuple[object, ...], tuple[object, ...]]]:
    """Rows of `turns` and `ratings`; always the same for a number."""
    for number in range(first, first + n):
        draw = Random(number)
        at = time_to_text(FIRST_DAY + timedelta(days=number // TURNS_A_DAY, seconds=number % TURNS_A_DAY * 40))
        question = " ".join(draw.sample(asked, draw.choice((1, 1, 2)))) + (f" {personal(draw)}" if draw.random() < 0.1 else "")
        answer, right = (". ".join(draw.sample(said, draw.randint(2, 4))) for _ in range(2))
        person, verdict = f"u{draw.randrange(max(50, (first + n) // 20))}", draw.choice((1, 1, -1))
        turn = (
            f"t{number}",
            "web",
            f"e{number}",
            f"c{number // 2}",
            person,
            0,
            question,
            draw.choice(_DOMAINS),
            "delivered",
            answer,
            at,
            at,
        )
        yield turn, (f"t{number}", person, verdict, right if verdict == -1 else None, at)


def fill(home: Path, first: int, n: int, folder: Path) -> None:
    """That many more rated turns."""
    asked, said = questions(folder), answers(folder)
    Store(home / "care.db").close()
    with sqlite3.connect(home / "care.db", isolation_level=None) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for turn, rating in turns(first, n, asked, said):
            db.execute(
                "INSERT INTO turns (id, platform, event_id, conversation_id, user_id, private, question, domain, status, answer, "
                "asked_at, answered_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                turn,
            )
            db.execute("INSERT INTO ratings (turn_id, user_id, verdict, correction, rated_at) VALUES (?, ?, ?, ?, ?)", rating)
        db.execute("COMMIT")
    db.close()


def dry_run(home: Path, turns: int, cache: str) -> Measured:
    """`care nightly --dry-run` as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CARE_")}
    began = time.monotonic()
    with subprocess.Popen(
        [CARE, "nightly", "--dry-run", "--json"],
        env={**kept, "CARE_HOME": str(home), "CARE_REVIEW": "none"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"care nightly --dry-run ended with {process.returncode}"
    seconds, processor = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    funnel = json.loads(output)["funnel"]
    click.echo(
        f"{turns:>9} turns, {cache:<7} {seconds:8.1f} s ({processor:.1f} s of a processor) {usage.ru_maxrss / 1024:7.0f} MB   "
        f"{_stages(funnel)}",
        err=True,
    )
    return Measured(turns, cache, round(seconds, 1), round(processor, 1), round(usage.ru_maxrss / 1024), funnel)


def _stages(funnel: dict[str, int]) -> str:
    return " → ".join(str(funnel[name]) for name in ("rated", "eligible", "redacted", "deduplicated", "capped", "approved", "trained"))


def measure(turns: int, folder: Path) -> list[Measured]:
    """Cold, again, and with one more day."""
    home = Path(tempfile.mkdtemp(prefix="care-curation-"))
    try:
        fill(home, 0, turns, folder)
        found = [dry_run(home, turns, "cold")]
        fill(home, turns, TURNS_A_DAY, folder)
        return [*found, dry_run(home, turns + TURNS_A_DAY, "new day")]
    finally:
        shutil.rmtree(home)


@click.command()
@click.option("--turns", "sizes", multiple=True, type=int, default=(10_000, 100_000), help="How many; may be given again.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), envvar="CARE_PUBLIC_DATA", required=True, help="The public data.")
def main(sizes: Sequence[int], data: Path) -> None:
    """Prints JSON, one object a dry run."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for size in sizes:
        for each in measure(size, data):
            click.echo(json.dumps(asdict(each)))


if __name__ == "__main__":
    main()
