"""What was live when, who changed it and why: one JSON line a change, appended before the change is made. Knows no LoRA."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

FILE = "history.jsonl"
Action = Literal["promote", "rollback", "try", "withdraw", "quarantine"]


@dataclass(frozen=True, slots=True)
class Change:
    """What became live instead of what (None: the base); "try" and "withdraw": which LoRA is the canary beside `before`, or no more.

    "quarantine": which one may never answer again, whatever is live.
    """

    at: datetime
    action: Action
    lora_id: str | None
    before: str | None
    by: str
    reason: str


_CHANGE = TypeAdapter(Change)


def read(path: Path) -> Sequence[Change]:
    """Every change, oldest first; a line that a crash cut short is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    changes = []
    for line in lines:
        with suppress(ValidationError):
            changes.append(_CHANGE.validate_json(line))
    return changes


def append(path: Path, change: Change) -> None:
    """Before the change is made: a crash in between leaves a line of something that did not happen, which nobody follows."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (b"\n" if torn else b"") + _CHANGE.dump_json(change) + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def predecessor(changes: Sequence[Change], lora_id: str) -> str | None:
    """What was live before this LoRA was promoted last; None: the base."""
    promotions = [change for change in changes if change.action == "promote" and change.lora_id == lora_id]
    return promotions[-1].before if promotions else None


def chain(changes: Sequence[Change], lora_id: str) -> Sequence[str]:
    """The predecessors of a LoRA that were not taken back themselves, the nearest first, up to the base (not in it)."""
    found: list[str] = []
    before = predecessor(changes, lora_id)
    while before is not None and before not in (lora_id, *found):
        found.append(before)
        before = predecessor(changes, before)
    taken_back = _taken_back(changes)
    return [older for older in found if older not in taken_back]


def _taken_back(changes: Sequence[Change]) -> set[str | None]:
    """Who was rolled back and not live again since, or quarantined."""
    found: set[str | None] = set()
    for change in changes:
        if change.action == "rollback":
            found.add(change.before)
        elif change.action == "quarantine":
            found.add(change.lora_id)
        elif change.action == "promote":
            found -= {change.lora_id, change.before}
    return found
