"""The real `care serve`, with what a test needs changed: a scripted engine, or a SIGKILL at a named point.

`python -m tests.fakes.server [--scripted PAUSE [--break-at REQUEST] [--refuse-lora ID] [--nonsense-lora ID]] [--kill-at POINT:COUNT]`,
settings in the environment as always.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from bot.cli import load_settings
from bot.commands import serve
from bot.connectors.web.feed import Feed
from bot.store import Store
from model.engine import Request
from model.errors import LoraDamaged
from tests.fakes.engine import ScriptedEngine, echo

POINTS: dict[str, tuple[type, str, bool]] = {
    # point: where it is, and whether the process dies before or after that call
    "received": (Store, "receive", False),
    "committed": (Store, "receive", True),
    "answering": (Feed, "show", True),
    "answered": (Store, "finish", True),
    "rated": (Store, "rate", True),
}

# Where the server posts what waits in its outboxes.
POSTING_POINTS: dict[str, tuple[type, str, bool]] = {
    "handed over": (Store, "handover_posted", False),
    "handover noted": (Store, "handover_posted", True),
    "notice noted": (Store, "told", True),
}

# Where CARE writes to Slack: killed right after Slack has it, and before CARE can remember that.
SLACK_POINTS = {"stream begun": "start_stream", "stream grown": "append_stream", "stream ended": "stop_stream", "posted": "post"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scripted", type=float)
    parser.add_argument("--kill-at")
    parser.add_argument("--break-at", type=int)
    parser.add_argument("--refuse-lora", default="")
    parser.add_argument("--nonsense-lora", default="")
    arguments = parser.parse_args()
    if arguments.kill_at:
        point, _, count = arguments.kill_at.partition(":")
        die_at(point, int(count))
    settings = load_settings()
    if arguments.scripted is None:
        serve.run(settings, serve.local_engine(settings))
    else:
        pause = arguments.scripted

        def answer(request: Request) -> Sequence[str]:
            return ["la "] * 20 if request.lora and request.lora == arguments.nonsense_lora else echo(request)

        engine = ScriptedEngine(answer, step=lambda: asyncio.sleep(pause), slots=settings.slots, queue=settings.queue)
        engine.breaks_at = arguments.break_at
        engine.refuses[arguments.refuse_lora] = LoraDamaged("the script refuses it")
        serve.run(settings, engine)


def die_at(point: str, count: int) -> None:
    """SIGKILL when the point is reached for the `count`-th time."""
    owner, name, after = _slack_point(point) if point in SLACK_POINTS else (POINTS | POSTING_POINTS)[point]
    real: Callable[..., Any] = getattr(owner, name)
    left = [count]

    def reached() -> bool:
        left[0] -= 1
        return left[0] == 0

    def sync(*args: Any, **kwargs: Any) -> Any:
        deadly = reached()
        if deadly and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        result = await real(*args, **kwargs)
        if reached():
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, coroutine if asyncio.iscoroutinefunction(real) else sync)


def _slack_point(point: str) -> tuple[type, str, bool]:
    from bot.connectors.slack.api import SlackApi  # takes a while, which only a server with Slack needs

    return SlackApi, SLACK_POINTS[point], True


if __name__ == "__main__":
    main()
