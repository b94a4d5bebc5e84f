"""`make accept-teams`: CARE in Microsoft's Agents Playground, driven as people would: what they see, and what the database holds then.

A real `care serve` with TEAMS_NO_AUTH=1 (the Playground signs nothing), on the embedded model unless `--scripted` is given, twice in one
home: with the thumbs of the client, then, after a restart, with the card below answers. Pictures lie in var/accept-teams/shots.
The app package is checked against Microsoft's own schema. 0 if everything was seen; each step and the whole are bounded in time.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
from playwright.async_api import async_playwright

from deploy.accept.playground import (
    ADA,
    EXPERTS,
    EXPERTS_ID,
    GROUP,
    PERSONAL,
    SUPPORT,
    SUPPORT_ID,
    Client,
    NotSeen,
    playground,
    stop,
    until,
)

ROOT = Path.cwd()
TOOLS = Path("var/accept-teams").resolve()
HOME = TOOLS / "home"
SHOTS = TOOLS / "shots"
MODELS = Path("var/models").resolve()
CARE = Path(sys.executable).with_name("care")
SCHEMA = TOOLS / "node_modules/@microsoft/app-manifest/build/json-schemas/teams/v1.17/MicrosoftTeams.schema.json"
APP_ID: Final = "12345678-90ab-cdef-1234-567890abcdef"
_ALL_SECONDS = 600.0
_STEP_SECONDS = 60.0
_START_SECONDS = 180.0
_STOP_SECONDS = 60.0
_ANSWER_SECONDS = 90.0
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]

WHY: Final = "Please explain step by step how I set up a new phone, what a SIM card is for and why a phone needs one at all."
COMMENT, WRONG, BETTER = "Exactly what I needed", "Too long and vague", "It says to the network who you are."
TICKET: Final = "Where is my ticket?"
SAID_BY_EXPERT: Final = "Grace here: your ticket is 4711, I call you today."


def rows(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Of the database, read beside the server."""
    with contextlib.closing(sqlite3.connect(f"file:{HOME / 'care.db'}?mode=ro", uri=True)) as db:
        return db.execute(statement, values).fetchall()


async def row(statement: str, *values: object, what: str, seconds: float = 15.0) -> tuple[Any, ...]:
    """The last one, once there is one. Raises NotSeen."""

    async def look() -> list[tuple[Any, ...]]:
        return rows(statement, *values)

    return (await until(look, f"{what} in the database", seconds))[-1]


def demand(so: object, what: str) -> None:
    """Raises NotSeen."""
    if not so:
        raise NotSeen(what)


def environment(feedback: str) -> Mapping[str, str]:
    """What `care serve` needs to take the Playground for Teams, and none of what the caller has set for the real one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CARE_", "SLACK_", "TEAMS_"))}
    care = {
        "CARE_HOME": str(HOME),
        "CARE_PORT": "0",
        "CARE_MAX_TOKENS": "300",
        "CARE_OPERATORS": f"teams:{ADA}",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    teams = {"TEAMS_NO_AUTH": "1", "TEAMS_SERVICE_HOSTS": "localhost", "TEAMS_FEEDBACK": feedback}
    return {**kept, **care, **teams, "TEAMS_HANDOVER_CHANNEL": EXPERTS_ID, "TEAMS_ADMIN_CHANNEL": SUPPORT_ID}


class Server:
    """A `care serve` of our own, that can be started again at the same address."""

    def __init__(self, scripted: float | None) -> None:
        script = [sys.executable, "-m", "tests.fakes.server", "--scripted", str(scripted)]
        self._command = [str(CARE), "serve"] if scripted is None else script
        self._process: asyncio.subprocess.Process | None = None
        self._port = "0"
        self.url = ""

    async def start(self, feedback: str) -> None:
        """Once this returns it answers. Raises NotSeen."""
        with (HOME / "serve.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**environment(feedback), "CARE_PORT": self._port, "PYTHONPATH": str(ROOT)},
                cwd=HOME,  # where no .env with somebody's real tokens is
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            said = (await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)).decode().split()
            self.url = said[-1].rstrip("/") if said else ""
        demand(self.url, f"care serve did not start; see {HOME / 'serve.log'}")
        self._port = self.url.rpartition(":")[2]
        await until(self._ready, "care serve is ready", _START_SECONDS)

    async def stop(self) -> None:
        if self._process is not None:
            code = await stop(self._process, _STOP_SECONDS)
            demand(code == 0, f"care serve ended with {code}; see {HOME / 'serve.log'}")

    async def kill(self) -> None:
        """However it stands."""
        if self._process is not None:
            await stop(self._process, _STOP_SECONDS)

    async def _ready(self) -> bool:
        demand(self._process is not None and self._process.returncode is None, f"care serve ended; see {HOME / 'serve.log'}")
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http, http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        return False


class Day:
    """What Ada does; each method is a step."""

    def __init__(self, client: Client, server: Server) -> None:
        self.client = client
        self.server = server

    async def package(self) -> None:
        """The app package fits Microsoft's schema, and the check would see it if not."""
        for options in ([], ["--follow-ups"]):
            made = TOOLS / "care-teams.zip"
            given = ["--app-id", APP_ID, "--developer", "Example", "--website", "https://example.com", "--output", str(made), *options]
            await _run([str(CARE), "teams", "package", *given])
            await _run([str(TOOLS / "venv/bin/python"), str(Path(__file__).with_name("schema.py")), str(made), str(SCHEMA)])

    async def welcome(self) -> None:
        """In the first chat: what CARE is, and questions to begin with."""
        await self.client.until_text("I answer support questions")
        await self.client.page.get_by_role("button", name="What can you do?").wait_for()
        demand(len(await self.client.replies()) == 1, "one welcome, though Teams tells of the installation twice")

    async def suggested_action(self) -> None:
        """A prompt starter is asked by pressing it."""
        await self.client.press("What can you do?")
        await self._answered("What can you do?")

    async def streaming(self) -> None:
        """The answer grows before it is whole, and is marked as an AI's."""
        before = len(await self.client.replies())
        await self.client.say(WHY)
        seen: list[str] = []
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline and not rows("SELECT 1 FROM turns WHERE question = ? AND status = 'delivered'", WHY):
            replies = await self.client.replies()
            if len(replies) > before and (not seen or replies[-1] != seen[-1]):
                seen.append(replies[-1])
                if len(seen) == 3:
                    await self.client.shot("streaming-grows")
            await asyncio.sleep(0.1)
        answer = await self._answered(WHY)
        demand(len(seen) >= 3, f"the message grew: it was seen {len(seen)} times: {[text[:40] for text in seen]}")
        demand(len(await self.client.replies()) == before + 1, "one message, that grew")
        demand(answer, "an answer in the database")

    async def like(self) -> None:
        """Thumbs up with a comment; the Playground names no message, so it is kept and never trains."""
        said = await self.client.rate("Like", COMMENT)
        demand("Thank you" in said, f"the thumb was taken: {said!r}")
        await row("SELECT 1 FROM unattributed_ratings WHERE user_id = ? AND verdict = 1 AND reason = ?", ADA, COMMENT, what="the like")

    async def dislike(self) -> None:
        """Thumbs down with a comment."""
        said = await self.client.rate("Dislike", WRONG)
        demand("Thank you" in said, f"the thumb was taken: {said!r}")
        await row("SELECT 1 FROM unattributed_ratings WHERE user_id = ? AND verdict = -1 AND reason = ?", ADA, WRONG, what="the dislike")

    async def commands(self) -> None:
        """`help` and `new` in words."""
        before = len(await self.client.replies())
        await self.client.say("help")
        await until(self._more_than(before), "an answer to help", 20)
        await self.client.until_text("forget me")
        await self.client.shot("help")
        before = len(await self.client.replies())
        await self.client.say("new")
        await until(self._more_than(before), "an answer to new", 20)
        demand(not rows("SELECT 1 FROM turns WHERE question IN ('help', 'new')"), "commands are no questions")

    async def group(self) -> None:
        """A group chat: one message, by mention, with the AI's label."""
        await self.client.chat(GROUP)
        await self.client.until_text("mention me")
        question = "Which documents do I need?"
        await self.client.say(question, mention=True)
        await self._answered(question)
        await self.client.page.get_by_role("button", name="AI generated").last.wait_for()

    async def channel(self) -> None:
        """A channel: the answer stands in the thread of the post."""
        await self.client.chat(SUPPORT)
        question = "How long is the line today?"
        await self.client.say(question, mention=True, post=True)
        await self._answered(question)
        place = (await row("SELECT conversation_id FROM turns WHERE question = ?", question, what="the post"))[0]
        demand(";messageid=" in place, f"a thread of its own: {place}")

    async def human(self) -> None:
        """A conversation is handed to the experts, as a card in their channel."""
        await self.client.chat(PERSONAL)
        await self.client.say(TICKET)
        await self._answered(TICKET)
        await self.client.say("human")
        await row("SELECT 1 FROM handovers", what="the hand-over", seconds=30)
        await self.client.shot("human-asked")
        await self.client.chat(EXPERTS)
        await self.client.page.get_by_role("button", name="Send to the asker").wait_for()
        await self.client.until_text(TICKET)

    async def restart(self) -> None:
        """The server goes, and another one takes its place."""
        await self.server.stop()
        await self.server.start("card")

    async def proactive(self) -> None:
        """What the expert writes on the card reaches the asker, though the server that knew them is gone."""
        await self.client.fill("Your answer", SAID_BY_EXPERT)
        await self.client.press("Send to the asker")
        await asyncio.sleep(1.0)
        await self.client.shot("sent-to-asker")
        await self.client.chat(PERSONAL)
        await self.client.until_text("your ticket is 4711")
        await self.client.shot("from-the-expert")
        await self.client.chat(EXPERTS)
        await self.client.press("Hand back to CARE")
        await row("SELECT 1 FROM handovers WHERE ended_at IS NOT NULL", what="the end of the hand-over")

    async def card(self) -> None:
        """Where a client has no thumbs a card asks; the vote is of the answer, with reason and correction."""
        await self.client.chat(GROUP)
        question = "What is a SIM card?"
        await self.client.say(question, mention=True)
        turn = (await self._answered(question))[0]
        await self.client.press("👎")
        await row("SELECT 1 FROM ratings WHERE turn_id = ? AND verdict = -1", turn, what="the thumb on the card")
        await self.client.shot("card-pressed")
        await self.client.press("Say more")
        await self.client.fill("What was wrong?", WRONG)
        await self.client.fill("What should it have said?", BETTER)
        await self.client.shot("card-filled")
        await self.client.press("Send")
        found = "SELECT 1 FROM ratings WHERE turn_id = ? AND verdict = -1 AND reason = ? AND correction = ?"
        await row(found, turn, WRONG, BETTER, what="reason and correction of the card")

    async def forget(self) -> None:
        """`forget me` asks first; then nothing is left."""
        await self.client.chat(PERSONAL)
        await self.client.say("forget me")
        await self.client.page.get_by_role("button", name="Erase everything").wait_for()
        await self.client.shot("forget-asks")
        await self.client.press("Erase everything")

        async def gone() -> bool:
            return not rows("SELECT 1 FROM turns WHERE user_id = ?", ADA) and not rows("SELECT 1 FROM unattributed_ratings")

        await until(gone, "nothing of Ada is left in the database", 60)

    def _more_than(self, before: int) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return len(await self.client.replies()) > before

        return look

    async def _answered(self, question: str) -> tuple[str, str]:
        """The turn's id and answer, once it is delivered; what stands on the page is the same."""
        what = f"a delivered answer to {question!r}"
        found = "SELECT id, answer FROM turns WHERE question = ? AND status = 'delivered'"
        turn, answer = await row(found, question, what=what, seconds=_ANSWER_SECONDS)
        words = " ".join(answer.replace("*", " ").split())[:12]

        async def shown() -> bool:
            return words in " ".join((await self.client.text()).split())

        await until(shown, f"{words!r} on the page", 15)
        return turn, answer


async def _run(command: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, said = await asyncio.wait_for(process.communicate(), _STEP_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    demand(process.returncode == 0, f"{' '.join(command[:3])} … ended with {process.returncode}: {said.decode(errors='replace')[-500:]}")


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


def prepare() -> None:
    """A new home, whose downloaded models are shared with `make serve`."""
    for folder in (HOME, SHOTS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    MODELS.mkdir(parents=True, exist_ok=True)
    (HOME / "models").symlink_to(MODELS)


async def run(scripted: float | None) -> int:
    """All steps; how many failed."""
    prepare()
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
    order += [day.group, day.channel, day.human, day.restart, day.proactive, day.card, day.forget]
    failed = 0
    for step in order:
        name, began = step.__name__.replace("_", "-"), time.monotonic()
        try:
            await asyncio.wait_for(step(), _STEP_SECONDS + _START_SECONDS)
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
    try:
        failed = asyncio.run(asyncio.wait_for(run(arguments.scripted), _ALL_SECONDS))
    except (NotSeen, TimeoutError) as error:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        failed = 1
    said = f"{failed} steps failed" if failed else "everything was seen"
    click.secho(f"{said}; pictures in {SHOTS}", fg="red" if failed else "green", bold=True, err=True)
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
