"""`care promote`: makes a LoRA live."""

import click

from bot import promotion
from bot.cli import load_settings, operator
from bot.commands.changing import confirm, say
from bot.exits import Exit
from model.manifest import Lora
from model.shelf import Shelf


class _Refused(click.ClickException):
    exit_code = Exit.GATE_REFUSED


@click.command()
@click.argument("lora_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also one whose gates said no, or a control.")
@click.option("--reason", default="asked for by an operator", help="Kept in the history.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def promote(lora_id: str, yes: bool, force: bool, reason: str, as_json: bool) -> None:
    """Make LoRA ID live, and return once the server serves it."""
    settings = load_settings()
    shelf = Shelf(settings.loras)
    lora = shelf.read(lora_id)
    if not force:
        _require_accepted(lora)
    confirm(f"Make {lora_id} live instead of {shelf.live() or 'the base'}?", yes=yes)
    say(promotion.promote(shelf, settings.home, lora_id, by=operator(), reason=reason), as_json=as_json)


def _require_accepted(lora: Lora) -> None:
    try:
        promotion.require_accepted(lora)
    except promotion.NotAccepted as error:
        raise _Refused(f"{error}; --force promotes it all the same") from error
