"""A `care serve` of our own, that takes the Playground for Teams. Knows nothing of what is asked."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from deploy.accept.playground import ADA, EXPERTS_ID, SUPPORT_ID, demand, stop, until

ROOT = Path.cwd()
TOOLS = Path("var/accept-teams").resolve()
HOME = TOOLS / "home"
MODELS = Path("var/models").resolve()
CARE = Path(sys.executable).with_name("care")
START_SECONDS = 180.0
_STOP_SECONDS = 60.0


def prepare() -> None:
    """A new home, whose downloaded models are shared with `make serve`."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    MODELS.mkdir(parents=True, exist_ok=True)
    (HOME / "models").symlink_to(MODELS)


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
            said = (await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)).decode().split()
            self.url = said[-1].rstrip("/") if said else ""
        demand(self.url, f"care serve did not start; see {HOME / 'serve.log'}")
        self._port = self.url.rpartition(":")[2]
        await until(self._ready, "care serve is ready", START_SECONDS)

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
