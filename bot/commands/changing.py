"""What `care promote` and `care rollback` share: asking first, and saying what came of it."""

import json
import sys

import click

from bot.exits import Exit
from bot.promotion import Applied


class Declined(click.ClickException):
    """Nobody said yes."""

    exit_code = Exit.USAGE


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal. Raises Declined without one, or Abort."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Declined(f"{question} There is no terminal to ask on; add --yes")
    click.confirm(question, abort=True, err=True)


def say(applied: Applied, *, as_json: bool) -> None:
    """What is live now and since when it is served."""
    change = applied.change
    if change.action == "withdraw":
        ended = {"canary": None, "before": change.lora_id, "live": change.before, "action": change.action}
        text = f"no canary any more (before: {change.lora_id}); live: {change.before or 'the base'}"
        return click.echo(json.dumps(ended) if as_json else text)
    told = {"live": change.lora_id, "before": change.before, "action": change.action, "seconds": applied.seconds}
    when = "the next start serves it" if applied.seconds is None else f"served after {applied.seconds:.1f} s"
    text = f"live: {change.lora_id or 'the base'} (before: {change.before or 'the base'}); {when}"
    return click.echo(json.dumps(told) if as_json else text)
