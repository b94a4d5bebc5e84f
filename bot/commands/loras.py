"""`care loras`: what lies on the shelf."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from bot.cli import load_settings
from bot.promotion import Served, served
from model.history import Change
from model.shelf import Entry, Shelf


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def loras(as_json: bool) -> None:
    """List the trained LoRAs, the newest first, with what their gates said."""
    settings = load_settings()
    shelf = Shelf(settings.loras)
    entries = [*reversed(shelf.list()), *(Entry(lora.id, "quarantined", lora) for lora in shelf.quarantined())]
    now = served(settings.home)
    changes = {lora_id: change for change in shelf.history() for lora_id in _about(change)}
    if as_json:
        click.echo(json.dumps([_told(entry, now, changes.get(entry.id)) for entry in entries], ensure_ascii=False))
    elif entries:
        click.echo(_table(entries, now, changes))
    else:
        click.secho(f"no LoRA in {settings.loras} yet: the base answers; `care nightly` trains one", err=True)


def _about(change: Change) -> Sequence[str]:
    """The LoRA that a change was about: for a rollback the one that was taken back."""
    lora_id = change.before if change.action == "rollback" else change.lora_id
    return [lora_id] if lora_id is not None else []


def _told(entry: Entry, now: Served | None, change: Change | None) -> dict[str, object]:
    """A row for programs: all of the manifest."""
    told: dict[str, object] = {"id": entry.id, "state": entry.state, "served": now is not None and entry.id in (now.lora, now.canary)}
    if change is not None:
        told["last_change"] = {"at": change.at.isoformat(), "action": change.action, "by": change.by, "reason": change.reason}
    if entry.lora is None:
        return told | {"fault": entry.fault}
    manifest = asdict(entry.lora.draft)
    return told | {
        **manifest,
        "created_at": entry.lora.draft.created_at.isoformat(),
        "number": entry.lora.number,
        "files": dict(entry.lora.files),
    }


def _table(entries: Sequence[Entry], now: Served | None, changes: Mapping[str, Change]) -> str:
    rows = [("", "id", "state", "trained", "examples", "gates, and why it is where it is")]
    for entry in entries:
        mark = "▶" if now is not None and entry.id in (now.lora, now.canary) else ""
        if entry.lora is None:
            rows.append((mark, entry.id, entry.state, "", "", entry.fault or ""))
            continue
        draft = entry.lora.draft
        rows.append(
            (mark, entry.id, entry.state, f"{draft.created_at:%Y-%m-%d %H:%M}", str(len(draft.example_ids)), _gates(entry, changes))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip() for row in rows]
    served_by = f"▶ served: {now.lora or 'the base'}" if now is not None else "no server runs"
    served_by += f"; canary: {now.canary}" if now is not None and now.canary else ""
    return "\n".join([click.style(lines[0], bold=True), *lines[1:], "", served_by])


def _gates(entry: Entry, changes: Mapping[str, Change]) -> str:
    assert entry.lora is not None
    draft = entry.lora.draft
    missed = [gate.gate for gate in draft.gates if not gate.passed]
    said = f"not passed: {', '.join(missed)}" if missed else f"{len(draft.gates)} of {len(draft.gates)} passed"
    said = f"control; {said}" if draft.control else said
    change = changes.get(entry.id)
    return f"{said}; {change.action} by {change.by}: {change.reason}" if change is not None else said
