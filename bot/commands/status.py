"""`care status`"""

import json

import click

from bot.cli import load_settings
from bot.home import running
from bot.promotion import served
from bot.settings import Settings
from bot.store import Store
from model.errors import LoraDamaged
from model.shelf import Shelf


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def status(as_json: bool) -> None:
    """Say whether a server runs, and what its database holds."""
    report = _report(load_settings())
    click.echo(json.dumps(report) if as_json else _table(report))


def _report(chosen: Settings) -> dict[str, object]:
    server, now = running(chosen.home), served(chosen.home)
    report: dict[str, object] = {
        "home": str(chosen.home.resolve()),
        "model": chosen.model,
        "running": server is not None,
        "pid": server.pid if server else None,
        "url": server.url if server else None,
        "lora": _live(chosen),
        "served": now.lora if now is not None else None,
        "turns": {},
        "ratings": {},
    }
    if chosen.database.exists():
        store = Store(chosen.database, read_only=True)
        report["turns"] = {status.value: n for status, n in store.counts().items()}
        report["ratings"] = {str(verdict): n for verdict, n in store.verdicts().items()}
        store.close()
    return report


def _table(report: dict[str, object]) -> str:
    rows = [
        ("server", f"running at {report['url']} (process {report['pid']})" if report["running"] else "not running"),
        ("model", report["model"]),
        ("lora", _lora(report)),
        ("home", report["home"]),
        ("turns", _listed(report["turns"])),
        ("ratings", _listed(report["ratings"])),
    ]
    return "\n".join(f"{name:<9}{value}" for name, value in rows)


def _live(chosen: Settings) -> str | None:
    try:
        return Shelf(chosen.loras).live()
    except LoraDamaged as error:
        return f"({error})"


def _lora(report: dict[str, object]) -> str:
    """What is live, and what is served where that differs."""
    live, now = report["lora"] or "none, the base answers", report["served"] or "the base"
    return (
        f"{live}" if not report["running"] or report["served"] == report["lora"] else f"{live} (served now: {now}; `care loras` says more)"
    )


def _listed(counts: object) -> str:
    names = {"1": "👍", "-1": "👎", "0": "withdrawn"}
    return ", ".join(f"{n} {names.get(name, name)}" for name, n in counts.items()) if isinstance(counts, dict) and counts else "none"
