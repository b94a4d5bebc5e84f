"""`make demo-slack`: CARE in a Slack of our own, in the browser: no account, no token, nothing leaves this machine.

Starts the fake Slack with its page and a `care serve` wired to it by Socket Mode, says where to look, and stops both at Ctrl-C.
Each run begins anew, since the fake forgets its messages; what CARE kept of the last one lies in `var/demo-slack` until the next.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from bot.connectors.slack.manifest import manifest
from tests.fakes.slack import ADMINS, EXPERTS, LINUS, FakeSlack

CARE = Path(sys.executable).with_name("care")
HOME = Path("var/demo-slack").resolve()
MODELS = Path("var/models").resolve()
_PORT = 8090
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_LOG_LINES = 15


def environment(slack: FakeSlack) -> Mapping[str, str]:
    """What `care serve` needs to take this for its Slack, and none of what the caller has set for the real one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CARE_", "SLACK_", "TEAMS_"))}
    care = {
        "CARE_HOME": str(HOME),
        "CARE_PORT": "0",
        "CARE_MAX_TOKENS": "160",
        "CARE_OPERATORS": f"slack:{LINUS}",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    tokens = {"SLACK_API_URL": slack.api_url, "SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token}
    return {**kept, **care, **tokens, "SLACK_HANDOVER_CHANNEL": EXPERTS, "SLACK_ADMIN_CHANNEL": ADMINS}


def prepare() -> None:
    """A new home, whose downloaded models are shared with `make serve`."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)
    MODELS.mkdir(parents=True, exist_ok=True)
    (HOME / "models").symlink_to(MODELS)


async def run(port: int) -> int:
    """Serves until Ctrl-C or until `care serve` ends; the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FakeSlack.installed(manifest(None), port=port) as slack:
        prepare()  # only now: whoever has the port may be using the home
        with (HOME / "serve.log").open("wb") as log:
            # In a session of its own, so that Ctrl-C reaches it once, from here. Its folder has no .env with somebody's real tokens.
            care = await asyncio.create_subprocess_exec(
                CARE, "serve", env=environment(slack), cwd=HOME, stdout=log, stderr=log, start_new_session=True
            )
        ended = asyncio.create_task(care.wait())
        waiting = asyncio.create_task(stop.wait())
        try:
            joined = asyncio.create_task(slack.connected(1, _START_SECONDS))
            await asyncio.wait([joined, ended, waiting], return_when=asyncio.FIRST_COMPLETED)
            if joined.done() and not joined.exception():
                click.echo(f"CARE is in a Slack of its own: open {slack.url} (the model follows within a minute; Ctrl-C stops both)")
                await asyncio.wait([ended, waiting], return_when=asyncio.FIRST_COMPLETED)
            joined.cancel()
            return 0 if stop.is_set() else complain(care.returncode)
        finally:
            waiting.cancel()
            if care.returncode is None:
                click.echo("stopping…", err=True)
                care.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended, _STOP_SECONDS)
            if care.returncode is None:
                care.kill()


def complain(code: int | None) -> int:
    """Says how the server ended, or that it never came."""
    what = f"care serve ended with {code}" if code is not None else f"care serve is not connected after {_START_SECONDS:.0f} s"
    lines = (HOME / "serve.log").read_text(errors="replace").splitlines()[-_LOG_LINES:]
    click.secho("\n".join([*lines, f"{what}; see {HOME / 'serve.log'}"]), fg="red", err=True)
    return code or 1


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="make demo-slack", description=__doc__)
    parser.add_argument("--port", type=int, default=_PORT, help="where the page is; 0 takes a free port")
    arguments = parser.parse_args()
    try:
        sys.exit(asyncio.run(run(arguments.port)))
    except OSError as error:
        click.secho(
            f"port {arguments.port} can't be used ({error.strerror or error}); choose another: make demo-slack PORT=0", fg="red", err=True
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
