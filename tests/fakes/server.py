"""The real `care serve`, with what a test needs changed: a scripted engine, or a SIGKILL at a named point.

`python -m tests.fakes.server [--scripted PAUSE [--hold FILE] [--break-at REQUEST] [--refuse-lora ID] [--nonsense-lora ID]]
[--kill-at POINT:COUNT]`, settings in the environment as always. With `--hold` nothing but the first four words of all is written
before FILE is there.
"""

import argparse
import asyncio
import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
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

# Where CARE writes to Teams, by what it writes: a stream's first line, its growing, its end, a message at once, an update in place.
TEAMS_POINTS = ("informative", "streaming", "final", "at once", "updated")

_FIRST_WORDS = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scripted", type=float)
    parser.add_argument("--hold", type=Path)
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
        may_go_on = arguments.hold.exists if arguments.hold else lambda: True

        def answer(request: Request) -> Sequence[str]:
            return ["la "] * 20 if request.lora and request.lora == arguments.nonsense_lora else echo(request)

        engine = ScriptedEngine(answer, step=stepping(arguments.scripted, may_go_on), slots=settings.slots, queue=settings.queue)
        engine.breaks_at = arguments.break_at
        engine.refuses[arguments.refuse_lora] = LoraDamaged("the script refuses it")
        serve.run(settings, engine)


def stepping(pause: float, may_go_on: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
    """What comes before each word."""
    written = itertools.count()

    async def step() -> None:
        await asyncio.sleep(pause)
        if next(written) >= _FIRST_WORDS:
            while not may_go_on():
                await asyncio.sleep(0.02)

    return step


def die_at(point: str, count: int) -> None:
    """SIGKILL when the point is reached for the `count`-th time."""
    owner, name, after = _platform_point(point) or (POINTS | POSTING_POINTS)[point]
    real: Callable[..., Any] = getattr(owner, name)
    left = [count]

    def reached(*args: Any) -> bool:
        left[0] -= point not in TEAMS_POINTS or _written(args) == point
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
        if reached(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, coroutine if asyncio.iscoroutinefunction(real) else sync)


def _platform_point(point: str) -> tuple[type, str, bool] | None:
    """Their connectors take a while to import, which only a server with them needs."""
    if point in SLACK_POINTS:
        from bot.connectors.slack.api import SlackApi

        return SlackApi, SLACK_POINTS[point], True
    if point in TEAMS_POINTS:
        from bot.connectors.teams.api import TeamsApi

        return TeamsApi, "update" if point == "updated" else "post", True
    return None


def _written(args: Sequence[Any]) -> str:
    """What was written to Teams: `post(api, to, activity)`, `update(api, to, id, activity)`."""
    if isinstance(args[2], str):
        return "updated"
    kinds = [entity["streamType"] for entity in args[2].get("entities", ()) if entity.get("type") == "streaminfo"]
    return kinds[0] if kinds else "at once"


if __name__ == "__main__":
    main()
