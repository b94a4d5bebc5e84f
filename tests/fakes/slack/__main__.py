"""`python -m tests.fakes.slack [--port N]`: the fake in a process of its own, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import signal

from tests.fakes.slack import FakeSlack


async def run(port: int) -> None:
    """Prints the environment that CARE needs, then serves."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FakeSlack(port=port) as slack:
        print(f"SLACK_API_URL={slack.api_url} SLACK_BOT_TOKEN={slack.bot_token} SLACK_APP_TOKEN={slack.app_token}", flush=True)  # noqa: T201
        await stop.wait()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.slack", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
