"""`care chat`: the local page's conversation in a terminal, with the server that runs."""

import asyncio
import getpass
import json
import readline  # noqa: F401  # gives `input` its line editing and history
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
import click

from bot.cli import load_settings
from bot.exits import Exit
from bot.home import running
from bot.settings import Settings

_HELP = """\
Type a question and press Enter; Ctrl-C stops an answer, Ctrl-D leaves.
/up               the last answer was good
/down [reason]    the last answer was bad
/correct TEXT     what the last answer should have said
/new              start a new conversation
/help             this list"""
_CONNECT_SECONDS = 10


class _Failed(click.ClickException):
    exit_code = Exit.MACHINE_CANNOT


@click.command()
def chat() -> None:
    """Talk to the running server in the terminal."""
    chosen = load_settings()
    server = running(chosen.home)
    if server is None:
        raise _Failed(f"no server runs in CARE_HOME={chosen.home}; start one with `care serve`")
    _Chat(server.url, chosen).run()


class _Chat:
    def __init__(self, url: str, chosen: Settings) -> None:
        self._url = url
        user = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in getpass.getuser())
        self._user = f"terminal-{user}"
        self._headers = {"Authorization": f"Bearer {chosen.token}"} if chosen.token else {}
        self._conversation = uuid4().hex
        self._last_turn: str | None = None
        self._reason: str | None = None
        self._correction: str | None = None

    def run(self) -> None:
        me = asyncio.run(self._get("/api/me"))
        click.secho(f"{me['notice']}\n{_HELP}\n", err=True, dim=True)
        while (line := _ask()) is not None:
            if line.startswith("/"):
                self._command(line)
            elif line.strip():
                self._answer(line)

    def _answer(self, line: str) -> None:
        try:
            asyncio.run(self._stream(line))
        except KeyboardInterrupt:
            click.secho("\n(stopped)", err=True, dim=True)

    def _command(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        match verb:
            case "/up":
                self._rate(1)
            case "/down":
                self._reason = rest.strip() or self._reason
                self._rate(-1, self._reason, self._correction)
            case "/correct" if rest.strip():
                self._correction = rest.strip()
                self._rate(-1, self._reason, self._correction)
            case "/new":
                self._conversation, self._last_turn = uuid4().hex, None
            case _:
                click.secho(_HELP, err=True, dim=True)

    def _rate(self, verdict: int, reason: str | None = None, correction: str | None = None) -> None:
        if self._last_turn is None:
            click.secho("There is no answer to rate yet.", err=True)
            return
        rating = {"turn_id": self._last_turn, "user_id": self._user, "verdict": verdict, "reason": reason, "correction": correction}
        try:
            asyncio.run(self._post("/api/ratings", rating))
        except _Failed as error:
            error.show()
        else:
            click.secho("Thanks, saved.", err=True, dim=True)

    async def _stream(self, line: str) -> None:
        body = {"id": uuid4().hex, "text": line}
        try:
            async with self._session() as session, session.post(f"/api/conversations/{self._conversation}/turns", json=body) as response:
                await _require_ok(response)
                async for event, data in _events(response):
                    self._show(event, data)
        except aiohttp.ClientError as error:
            click.secho(f"\nThe connection broke ({error}); the answer will be on the page.", err=True, fg="red")
        except _Failed as error:
            error.show()

    def _show(self, event: str, data: dict[str, str]) -> None:
        if event == "turn":
            self._last_turn, self._reason, self._correction = data["id"], None, None
        elif event == "piece":
            click.echo(data["text"], nl=False)
        elif event == "done":
            click.echo()
            if data["status"] == "failed":
                click.secho(data["error"], err=True, fg="red")

    async def _get(self, path: str) -> dict[str, str]:
        return await self._call("GET", path, None)

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, str]:
        return await self._call("POST", path, body)

    async def _call(self, method: str, path: str, body: dict[str, object] | None) -> dict[str, str]:
        try:
            async with self._session() as session, session.request(method, path, json=body) as response:
                await _require_ok(response)
                answer: dict[str, str] = await response.json()
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Failed(f"{self._url} does not answer ({error}); is `care serve` running?") from error

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS, sock_read=300)
        return aiohttp.ClientSession(self._url, headers=self._headers, cookies={"care_user": self._user}, timeout=timeout)


def _ask() -> str | None:
    try:
        return input("\001\033[1m\002you>\001\033[0m\002 " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except KeyboardInterrupt:
        click.echo(err=True)
        return ""


async def _require_ok(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise _Failed((await response.json())["error"]["message"])


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, str]]]:
    event = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
