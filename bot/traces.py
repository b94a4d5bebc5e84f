"""What nights left of a person's words under CARE_HOME, and how it goes: snapshots, runs, the cache, copies of the database.

Knows the layout that `train/runs.py` and `train/examples.py` write, and nothing of how a night works.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_STEM = 16  # letters of a snapshot's hash that are its name
_NOTE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>CARE, a night's report</title>
<p>This report quoted somebody who asked to be forgotten. What is left of it is in <a href="report.json">report.json</a>.</p></html>
"""


@dataclass(frozen=True, slots=True)
class Words:
    """How a person is found again in files: the examples that hold their words, and their name as a rater."""

    examples: frozenset[str]
    person: str

    def in_row(self, row: object) -> bool:
        """Whether they have a part in a row of a snapshot."""
        if not isinstance(row, dict):
            return False
        return row.get("id") in self.examples or self.person in (row.get("raters") or ())

    def in_item(self, name: str) -> bool:
        """Whether an item that a report names is theirs; probes of what was taught have names of their own."""
        turn = name.removeprefix("taught/").removesuffix("/good").removesuffix("/bad")
        return name in self.examples or f"turn/{turn.removeprefix('turn/')}" in self.examples


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many files went or lost words, whether a night that runs has some in hand, and what only a person can clear away."""

    files: int
    waits_for_night: bool
    left: tuple[str, ...]


def clean(home: Path, words: Words, *, within_night: bool = False) -> Cleaned:
    """Takes a person's words out of every file. What a night has in hand is left to it, unless this is that night. Raises OSError."""
    running = not within_night and night_runs(home)
    tainted = [path for path in _snapshots(home / "runs") if _holds(path, words)]
    stems, reported = {path.stem for path in tainted}, set()
    files = 0
    for folder, snapshot in _runs(home / "runs"):
        if snapshot[:_STEM] not in stems and not _reported(folder, words):
            continue
        if (folder / "finished.json").exists():
            files += _clean_report(folder, words)
            reported.add(snapshot[:_STEM])
        elif not running:
            files += _remove_folder(folder)
    # Last: a run is known by its snapshot, also the one that a running night may be about to make.
    files += _remove([path for path in tainted if not running or path.stem in reported])
    files += _remove(home.glob("cache/curation.db*"))
    files += _remove(home.glob("care.db.before-*"))  # made before a migration, which has passed
    return Cleaned(files, running, tuple(str(path) for path in sorted(home.glob("care.db.corrupt-*"))))


def night_runs(home: Path) -> bool:
    """Whether a night runs now."""
    try:
        file = os.open(home / "nightly.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _snapshots(runs: Path) -> Sequence[Path]:
    return sorted([*runs.glob("snapshots/*.jsonl"), *runs.glob("snapshots/*.part")])


def _holds(path: Path, words: Words) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                if words.in_row(json.loads(line)):
                    return True
    return False


def _runs(runs: Path) -> Iterator[tuple[Path, str]]:
    """Each run with the hash of its snapshot."""
    for path in sorted(runs.glob("*/run.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            yield path.parent, str(json.loads(path.read_text(encoding="utf-8"))["snapshot"])


def _report(folder: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return told
    return {}


def _without(told: dict[str, object], words: Words) -> dict[str, object]:
    """A report without what it quotes of a person."""
    kept = dict(told)
    for part in ("samples", "questions"):
        if isinstance(quoted := told.get(part), dict):
            kept[part] = {name: said for name, said in quoted.items() if not words.in_item(name)}
    for part in ("taught", "waiting"):
        if isinstance(rows := told.get(part), list):
            kept[part] = [row for row in rows if not (isinstance(row, dict) and words.in_item(f"turn/{row.get('turn_id')}"))]
    return kept


def _reported(folder: Path, words: Words) -> bool:
    told = _report(folder)
    return _without(told, words) != told


def _clean_report(folder: Path, words: Words) -> int:
    """The figures stay; quotations, the weights and what measured them go."""
    files = sum(_remove_folder(folder / name) for name in ("candidate", "checkpoints") if (folder / name).is_dir())
    files += _remove([folder / "scores.json"])
    told = json.dumps(_without(_report(folder), words), indent=2, ensure_ascii=False, sort_keys=True)
    for name, text in (("report.json", f"{told}\n"), ("report.html", _NOTE)):
        if (path := folder / name).exists():
            part = path.with_name(f"{name}.part")
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
            files += 1
    return files


def _remove_folder(folder: Path) -> int:
    files = sum(len(names) for _, _, names in os.walk(folder))
    shutil.rmtree(folder)
    return files


def _remove(paths: Iterable[Path]) -> int:
    found = [path for path in paths if path.exists()]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
