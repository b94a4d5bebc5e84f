"""`care rollback`: makes the predecessor of the live LoRA live again."""

import click

from bot import promotion
from bot.cli import load_settings, operator
from bot.commands.changing import confirm, say
from model.shelf import Shelf


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--reason", default="asked for by an operator", help="Kept in the history.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def rollback(yes: bool, reason: str, as_json: bool) -> None:
    """Take the canary back where there is one, otherwise the live LoRA; returns once the server serves the change."""
    settings = load_settings()
    shelf = Shelf(settings.loras)
    if (canary := shelf.canary()) is not None:
        confirm(f"Take the canary {canary} back?", yes=yes)
    else:
        confirm("Take the live LoRA back?", yes=yes)
    say(promotion.take_back(shelf, settings.home, by=operator(), reason=reason), as_json=as_json)
