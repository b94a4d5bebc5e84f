"""`make accept-teams`: CARE in Microsoft's Agents Playground, driven as people would: what they see, and what the database holds then.

A real `care serve` with TEAMS_NO_AUTH=1 (the Playground signs nothing), on the embedded model unless `--scripted` is given, twice in one
home: with the thumbs of the client, then, after a restart, with the card below answers. Pictures lie in var/accept-teams/shots.
The app package is checked against Microsoft's own schema. 0 if everything was seen; each step and the whole are bounded in time.
"""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator

import click
from playwright.async_api import async_playwright

from deploy.accept.day import SCHEMA, Day
from deploy.accept.playground import Client, NotSeen, playground
from deploy.accept.server import START_SECONDS, TOOLS, Server, prepare

SHOTS = TOOLS / "shots"
_ALL_SECONDS = 600.0
_STEP_SECONDS = 60.0
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@contextlib.asynccontextmanager
async def browser(url: str) -> AsyncIterator[Client]:
    """The page of the Playground, open."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        try:
            client = Client(await chromium.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light"), SHOTS)
            await client.open(url)
            yield client
        finally:
            await chromium.close()


async def run(scripted: float | None) -> int:
    """All steps; how many failed."""
    prepare()
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    server = Server(scripted)
    try:
        click.echo("starting CARE…", err=True)
        await server.start("dialog")
        async with playground(TOOLS, f"{server.url}/api/messages") as url, browser(url) as client:
            return await steps(Day(client, server))
    finally:
        await server.kill()


async def steps(day: Day) -> int:
    """In the order of a day; one that fails is told, and the others go on."""
    order = [day.package, day.welcome, day.suggested_action, day.streaming, day.like, day.dislike, day.commands]
    order += [day.group, day.channel, day.report, day.human, day.restart, day.proactive, day.card, day.forget]
    failed = 0
    for step in order:
        name, began = step.__name__.replace("_", "-"), time.monotonic()
        try:
            await asyncio.wait_for(step(), _STEP_SECONDS + START_SECONDS)
        except Exception as error:  # the edge of a step: the others go on
            failed += 1
            await day.client.shot(f"{name}-FAILED")
            click.secho(f"FAILED  {name}: {type(error).__name__}: {str(error)[:600]}", fg="red", err=True)
        else:
            await day.client.shot(name)
            click.echo(f"ok      {name} ({time.monotonic() - began:.1f} s): {(step.__doc__ or '').splitlines()[0]}", err=True)
    return failed


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="make accept-teams", description=__doc__)
    parser.add_argument("--scripted", type=float, metavar="SECONDS", help="a scripted engine that waits so long before each word")
    arguments = parser.parse_args()
    if shutil.which("chromium") is None or not SCHEMA.exists():
        click.secho("run it as `make accept-teams`, which installs what it needs", fg="red", err=True)
        sys.exit(2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it started is stopped then too
    try:
        failed = asyncio.run(asyncio.wait_for(run(arguments.scripted), _ALL_SECONDS))
    except KeyboardInterrupt:
        sys.exit(130)
    except (NotSeen, TimeoutError) as error:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        failed = 1
    said = f"{failed} steps failed" if failed else "everything was seen"
    click.secho(f"{said}; pictures in {SHOTS}", fg="red" if failed else "green", bold=True, err=True)
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
