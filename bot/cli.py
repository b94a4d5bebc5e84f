"""`care …`: finds its verbs through the entry-point group `care.commands`, and turns errors into exit codes."""

import getpass
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click

from bot import __version__, settings
from bot.exits import EXPECTED, exit_code
from bot.settings import Settings

_INTERRUPTED_BY_USER = 130
DOTENV = Path(".env")


class _Verbs(click.Group):
    """Loads a verb's module only when it is called: `care status` need not import what `care serve` does."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = _verbs().get(cmd_name)
        return verb.load() if verb is not None else None


def _verbs() -> dict[str, EntryPoint]:
    return {verb.name: verb for verb in entry_points(group="care.commands")}


@click.command(cls=_Verbs)
@click.version_option(__version__, prog_name="care")
def care() -> None:
    """CARE, the support chatbot that learns from its ratings. Settings: see .env.example."""


def load_settings() -> Settings:
    """The settings of this process, from ./.env and the environment. Raises BadSettings."""
    return settings.load(os.environ, DOTENV)


def operator() -> str:
    """Who gives orders at this terminal."""
    return f"cli:{getpass.getuser()}"


def main() -> None:
    """The `care` command."""
    try:
        sys.exit(care(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED_BY_USER)
    except EXPECTED as error:
        for line in str(error).splitlines():
            click.secho(f"care: {line}", err=True, fg="red")
        sys.exit(exit_code(error))
