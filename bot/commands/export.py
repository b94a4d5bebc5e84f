"""`care export`: all that is kept of a person."""

import click

from bot.cli import load_settings
from bot.commands.people import Person, open_store
from bot.privacy import exported


@click.command()
@click.argument("person", type=Person())
@click.option("--json", "as_json", is_flag=True, help="JSON, which it is anyway.")
def export(person: tuple[str, str], as_json: bool) -> None:
    """Print all that is kept of a person (PLATFORM:USER, for example slack:U024BE7LH) as JSON."""
    store = open_store(load_settings().database)
    try:
        click.echo(exported(*person, store.kept_of(*person)))
    finally:
        store.close()
