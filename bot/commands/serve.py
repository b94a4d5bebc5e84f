"""`care serve`"""

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import click

from bot import app, logs, settings
from bot.cli import DOTENV, load_settings
from bot.settings import Settings
from bot.systemd import Systemd
from model.engine import Engine
from model.local import LocalEngine

if TYPE_CHECKING:
    from model.network import Network

log = logging.getLogger(__name__)


@click.command()
def serve() -> None:
    """Answer people until stopped (SIGTERM or Ctrl-C)."""
    chosen = load_settings()
    run(chosen, local_engine(chosen))


def run(chosen: Settings, engine: Engine) -> None:
    """Serves with this engine. Raises one of `bot.exits.EXPECTED`."""
    logs.configure(chosen.log)
    for name in settings.unknown(os.environ, DOTENV):
        log.warning("a setting is unknown and does nothing", extra={"setting": name})
    if chosen.teams_no_auth:
        click.echo("WARNING: TEAMS_NO_AUTH=1: nobody is verified; whoever reaches this machine speaks for anybody in Teams.", err=True)
    asyncio.run(app.serve(chosen, engine, _announce, Systemd(os.environ)))


def local_engine(chosen: Settings) -> LocalEngine:
    """The real engine; it imports torch in its own thread, so that the port answers meanwhile."""

    def load() -> "Network":
        from model.network import open_network

        return open_network(
            chosen.model,
            chosen.models,
            device=chosen.device,
            slots=chosen.slots,
            context=chosen.context,
            prefix_bytes=chosen.prefix_mb * 2**20,
        )

    return LocalEngine(chosen.model, load, slots=chosen.slots, queue=chosen.queue)


def _announce(url: str) -> None:
    click.echo(f"CARE is listening on {url}/")
