"""`care forget`: erases everything of a person."""

import click

from bot import forgetting, promotion
from bot.cli import load_settings
from bot.commands.changing import confirm
from bot.commands.people import Person, open_store
from bot.forgetting import Receipt
from model.shelf import Shelf


@click.command()
@click.argument("person", type=Person())
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def forget(person: tuple[str, str], yes: bool, as_json: bool) -> None:
    """Erase everything of a person (PLATFORM:USER, for example slack:U024BE7LH), for good.

    LoRAs that were trained on their words are taken off the shelf. What stands on the platform itself has to be deleted there. A server
    may run meanwhile; it returns once that serves the change.
    """
    settings = load_settings()
    store = open_store(settings.database)
    try:
        confirm(f"Erase everything of {person[0]}:{person[1]} for good?", yes=yes)
        receipt = forgetting.forget(store, Shelf(settings.loras), settings.home, *person)
    finally:
        store.close()
    if receipt.loras:
        promotion.wait_until_served(settings.home, receipt.live)
    click.echo(receipt.as_json() if as_json else _said(receipt))


def _said(receipt: Receipt) -> str:
    lines = [f"erased: {receipt.turns} turns, {receipt.ratings} ratings; {receipt.files} files removed or cleaned; receipt {receipt.id}"]
    if receipt.loras:
        lines.append(f"never to answer again: {', '.join(receipt.loras)}; {receipt.live or 'the base'} is live")
        lines.append("`care nightly` trains a new one without them")
    if receipt.waits_for_night:
        lines.append("a night runs and has files in hand: it cleans them itself at its end")
    lines += [f"left for you to delete: {path}" for path in receipt.left]
    return "\n".join(lines)
