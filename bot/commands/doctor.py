"""`care doctor`"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

import click

from bot import doctor as general
from bot import settings
from bot.checks import Check, failed
from bot.cli import DOTENV, load_settings
from bot.exits import Exit
from bot.settings import BadSettings, Settings

_MARKS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "failed": ("FAIL", "red")}
_INDENT = 2 + 6


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor(as_json: bool) -> None:
    """Say what works on this machine, and what to do about the rest. Exits with 14 if something must be done."""
    if not as_json:
        click.echo("Looking… (the device takes some seconds)", err=True)
    made = list(_checks())
    click.echo(json.dumps([asdict(check) for check in made]) if as_json else _table(made))
    wrong = [check for check in made if check.state == "failed"]
    if wrong:
        sys.exit(Exit.USAGE if all(check.section == "settings" for check in wrong) else Exit.MACHINE_CANNOT)


def _checks() -> Iterator[Check]:
    try:
        chosen = load_settings()
    except BadSettings as error:
        for fault in error.faults:
            name, _, said = fault.partition("=")
            yield failed("settings", name, said, "mend it in .env or the environment; see .env.example")
        return
    yield from general.settings_checks(settings.unknown(os.environ, DOTENV), DOTENV)
    yield from general.general_checks(chosen)
    yield from _slack(chosen)
    yield from _teams(chosen)


def _slack(chosen: Settings) -> list[Check]:
    if chosen.slack_bot_token is None:
        return []
    from bot.connectors.slack.checks import NOTHING_COMES, checks  # slack_sdk is only read where Slack is used

    return [*asyncio.run(checks(chosen)), *general.arrivals(chosen, "slack", otherwise=NOTHING_COMES)]


def _teams(chosen: Settings) -> list[Check]:
    if not chosen.teams:
        return []
    from bot.connectors.teams.checks import NOTHING_COMES, checks

    return [*asyncio.run(checks(chosen)), *general.arrivals(chosen, "teams", otherwise=NOTHING_COMES)]


def _table(made: list[Check]) -> str:
    width = max(len(check.name) for check in made)
    lines: list[str] = []
    for section, within in groupby(made, key=lambda check: check.section):
        lines += ["", click.style(section.capitalize(), bold=True)]
        for check in within:
            mark, colour = _MARKS[check.state]
            lines.append(f"  {click.style(f'{mark:<5}', fg=colour)} {check.name:<{width}}  {check.detail}")
            if check.next_step:
                lines.append(f"{'':{_INDENT}}{'':{width}}  → {check.next_step}")
    return "\n".join([*lines, "", _verdict(made)])


def _verdict(made: list[Check]) -> str:
    wrong, odd = (sum(check.state == state for check in made) for state in ("failed", "warning"))
    if wrong:
        return click.style(
            f"{wrong} of {len(made)} checks failed: follow the arrows (→), then run `care doctor` again.", fg="red", bold=True
        )
    return click.style(f"All {len(made)} checks passed" + (f", {odd} with a warning." if odd else "."), fg="green", bold=True)
