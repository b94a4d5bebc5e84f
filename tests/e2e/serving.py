"""A real server process for a test: started, asked, killed, stopped. Only ever on 127.0.0.1."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import aiohttp

from tests.e2e.warm import ENGINE, ROOT, Forked, warm

CARE = Path(sys.executable).with_name("care")
_START_SECONDS = 110
_STOP_SECONDS = 110


class Server:
    """`care serve` in a process of its own, on a free port, with its state under `home`."""

    def __init__(
        self,
        home: Path,
        *,
        command: Sequence[str] = (str(CARE), "serve"),
        script: Sequence[str] | None = None,
        modules: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """With a `script`, the arguments of `tests.fakes.server`, it comes from a warm process that has imported these modules."""
        self.home = home
        self._script = script
        self._modules = modules
        self._command = command
        # Spinning threads of the server and a busy test on two cores slow each other tenfold.
        self._settings = {"CARE_HOME": str(home), "CARE_PORT": "0", "OMP_WAIT_POLICY": "PASSIVE", **(settings or {})}
        self._log = home.with_name(f"{home.name}.log")

    @classmethod
    def scripted(cls, home: Path, *options: str, pause: float = 0.0, settings: Mapping[str, str] | None = None) -> "Server":
        """A server whose engine answers from a script, with `pause` seconds before each word."""
        return cls(home, script=("--scripted", str(pause), *options), settings=settings)

    @classmethod
    def mortal(cls, home: Path, *options: str) -> "Server":
        """A server with the real engine, whose imports are done, that `options` may tell to die."""
        return cls(home, script=options, modules=[ENGINE], settings={"CARE_MAX_TOKENS": "12"})

    def __enter__(self) -> "Server":
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CARE_", "SLACK_", "TEAMS_"))}
        self._output = self._log.open("ab")
        self.process = self._start({**environment, **self._settings})
        try:
            self.url = self._listening()
        except BaseException:
            self.kill()
            raise
        return self

    def _listening(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "listening on" in line, f"{line}{self.log()[-2000:]}"
        return line.split()[-1].rstrip("/")

    def _start(self, environment: Mapping[str, str]) -> "subprocess.Popen[str] | Forked":
        if self._script is not None:
            return warm(*self._modules).start("server", self._script, environment, self._output)
        return subprocess.Popen(self._command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=self._output, text=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> int:
        """SIGTERM, as systemd sends it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        code = self.process.wait(_STOP_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._output.close()
        return code

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Returns once /readyz says so."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            async with session.get(f"{self.url}/readyz") as response:
                if response.status == 200:
                    return
                fault = await response.text()
            await _pause(0.1)
        raise TimeoutError(f"not ready after {_START_SECONDS} s: {fault}")

    def rows(self, sql: str) -> list[sqlite3.Row]:
        """What any SQLite tool reads from the database while the bot runs."""
        connection = sqlite3.connect(self.home / "care.db")
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    async def settled(self) -> None:
        """Returns once no turn is waiting for its answer."""
        deadline = time.monotonic() + _START_SECONDS
        while self.rows("SELECT 1 FROM turns WHERE status IN ('received', 'answering')"):
            assert time.monotonic() < deadline, "turns stay unanswered"
            await _pause(0.05)


async def _pause(seconds: float) -> None:
    """Polling another process is the one thing that needs a real wait."""

    await asyncio.sleep(seconds)


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    """A started server, for tests that start several at once."""
    await asyncio.to_thread(server.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict]]:
    """Server-sent events as (event, data); OpenAI's unnamed ones have the event "data"."""
    event = "data"
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: ") and line != "data: [DONE]":
            yield event, json.loads(line.removeprefix("data: "))
            event = "data"


def completion(text: str, **fields: object) -> dict[str, object]:
    """The body of a chat completion that asks one question."""
    return {"model": "care", "messages": [{"role": "user", "content": text}], **fields}
