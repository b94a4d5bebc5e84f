"""The token with which CARE calls Teams: fetched off the login server, kept until shortly before it ends. Knows no call.

The SDK asks for a new one with every turn, blocks the event loop meanwhile, and waits for as long as it takes.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from bot.connectors import inside
from bot.connectors.teams.errors import Unreachable
from bot.connectors.teams.http import Http, body_of

log = logging.getLogger(__name__)

_SCOPE = "https://api.botframework.com/.default"
_SECONDS = 8.0  # less than a call may take
_EARLY_SECONDS = 300.0  # so long before a token ends the next one is fetched
_LAST_SECONDS = 15.0  # a token that ends while a call is on its way is of no use
_FRESH_SECONDS = 5.0  # one that is refused so soon is not the fault of its age
_PAUSE = 5.0  # a wrong password does not become right by asking at once


@dataclass(frozen=True, slots=True)
class App:
    """Who CARE is: one app of one tenant."""

    id: str
    password: str
    tenant: str


class Tokens:
    """Of one app. `login_url` ends in a slash."""

    def __init__(self, app: App, login_url: str, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._url = f"{login_url}{app.tenant}/oauth2/v2.0/token"
        self._http = http
        self._clock = clock
        self._token: str | None = None
        self._fetched_at = self._tried_at = 0.0
        self._renew_at = self._ends_at = 0.0
        self._refused: tuple[float, str] | None = None
        self._fetching: asyncio.Task[str] | None = None

    async def get(self) -> str:
        """The token. Whoever needs one waits for the same fetch; while the last one is good, nobody waits. Raises Unreachable."""
        if self._token is not None and self._clock() < self._ends_at:
            if self._clock() >= max(self._renew_at, self._tried_at + _PAUSE):
                self._fetch()
            return self._token
        if self._refused is not None and self._clock() < self._refused[0]:
            raise Unreachable(self._refused[1], sent=False)
        return await asyncio.shield(self._fetch())

    def refused(self) -> bool:
        """Teams did not accept it; whether the next one may be another."""
        if self._token is not None and self._clock() - self._fetched_at < _FRESH_SECONDS:
            return False
        self._token = None
        return True

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _fetch(self) -> "asyncio.Task[str]":
        """The fetch that runs, or a new one."""
        if self._fetching is None or self._fetching.done():
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._log_in(), name="teams token")
            self._fetching.add_done_callback(lambda task: task.cancelled() or task.exception())  # the last who waited may have left
        return self._fetching

    async def _log_in(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": self._app.id, "client_secret": self._app.password, "scope": _SCOPE}
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self._http().post(self._url, data=form, allow_redirects=False) as response,
            ):
                status, body = response.status, await body_of(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"the login server can't be reached ({type(error).__name__})", sent=False) from None
        return self._keep(status, body)

    def _keep(self, status: int, body: bytes) -> str:
        found = inside.parsed(body)
        token, seconds = found.get("access_token"), found.get("expires_in")
        if status != 200 or not isinstance(token, str) or not token:
            raise self._refusal(status, str(found.get("error") or "without an error")[:80])
        # Entra writes a number; what is none, or none that could be meant, is an hour, as its tokens last.
        lasts = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 3600.0
        self._token, self._fetched_at, self._refused = token, self._clock(), None
        self._renew_at = self._fetched_at + max(lasts - _EARLY_SECONDS, lasts / 2)
        self._ends_at = max(self._fetched_at + lasts - _LAST_SECONDS, self._renew_at)
        return token

    def _refusal(self, status: int, code: str) -> Unreachable:
        if status >= 500 or status == 429:
            return Unreachable(f"the login server has trouble of its own ({status} {code})", sent=False)
        told = f"the login server gives no token ({status} {code}); are TEAMS_APP_ID, TEAMS_APP_PASSWORD and TEAMS_TENANT_ID right?"
        log.error(told)
        self._refused = (self._clock() + _PAUSE, told)
        return Unreachable(told, sent=False)
