"""`make measure-redaction`: what share of each kind of personal data is masked, and what is masked in vain, where no rule was made."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from train.redact import Redactor

FILE = "eval/privacy/presidio_synth_dataset_v2.json"
_MOST_LEFT = 0.2  # of a finding's letters: a street whose house number stays readable counts as missed


def held_out(folder: Path) -> Sequence[Mapping[str, object]]:
    """Every other text of Presidio's synthetic set; the rules were made on the rest."""
    rows: list[Mapping[str, object]] = json.loads((folder / FILE).read_text())
    return rows[1::2]


def measure(rows: Sequence[Mapping[str, object]], redactor: Redactor) -> tuple[dict[str, tuple[int, int]], float]:
    """For each type how many were masked of how many; and of all that was masked the share that was personal data of any type."""
    wanted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right = masked_in_all = 0
    for row in rows:
        text, labelled = str(row["full_text"]), row["spans"]
        assert isinstance(labelled, list)
        spans = redactor.spans(text)
        masked = {at for start, end, _ in spans for at in range(start, end)}
        for span in labelled:
            letters = [at for at in range(span["start_position"], span["end_position"]) if not text[at].isspace()]
            wanted[span["entity_type"]] += 1
            found[span["entity_type"]] += sum(at in masked for at in letters) >= (1 - _MOST_LEFT) * len(letters)
        right += sum(any(start < span["end_position"] and span["start_position"] < end for span in labelled) for start, end, _ in spans)
        masked_in_all += len(spans)
    return {kind: (found[kind], n) for kind, n in sorted(wanted.items())}, right / masked_in_all


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), envvar="CARE_PUBLIC_DATA", required=True, help="The public data.")
def main(data: Path) -> None:
    """Prints a line a type."""
    recall, precision = measure(held_out(data), Redactor())
    for kind, (found, n) in recall.items():
        click.echo(f"{kind:<20} {found:>5} of {n:<5} {found / n:7.1%}")
    click.echo(f"precision {precision:.1%}")


if __name__ == "__main__":
    main()
