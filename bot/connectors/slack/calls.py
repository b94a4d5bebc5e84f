"""How Slack's Web API is called: one session, a deadline on every call, 429 waited out, errors as what a caller decides on.

Knows no method's meaning.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.connectors.pauses import retry_after
from bot.connectors.slack.errors import SLACKS_OWN, TOKEN, Limited, SlackError, Unreachable, decided

log = logging.getLogger(__name__)

CALL_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_MOST_RETRY_SECONDS = 60.0
_CONNECTIONS = 50
# Slack counts posts by the second; who was told to wait goes on at that pace.
_STEP_SECONDS = 1.0
_PACED_SECONDS = 30.0
# These take their arguments in the query, all others as JSON.
_READS = frozenset({"chat.getPermalink", "conversations.replies", "users.info"})


@runtime_checkable
class Plain(Protocol):
    """slack_sdk's block objects."""

    def to_dict(self) -> dict[str, Any]: ...


class Calls:
    """Calls with this app's bot token."""

    def __init__(self, token: str, url: str) -> None:
        self.client = AsyncWebClient(token=token, base_url=url, logger=_quiet(), retry_handlers=[])
        self._token = token
        self._not_before: dict[str, float] = {}
        self._paced_until: dict[str, float] = {}
        self._refused: set[str] = set()

    async def close(self) -> None:
        if self.client.session is not None:
            await self.client.session.close()

    def http(self) -> aiohttp.ClientSession:
        """The one session; made with the first call, inside the loop."""
        if self.client.session is None or self.client.session.closed:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
            self.client.session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
        return self.client.session

    async def call(
        self, method: str, *, patience: float = 0.0, repeatable: bool = False, token: str | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """One call, tried again for as long as `patience` says: after 429 as late as Slack wants, after a broken connection
        if it never got there or is `repeatable`. Raises SlackError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        pause = _RETRY_SECONDS
        while True:
            await self._wait_for_turn(method, arguments, deadline)
            try:
                return await self._once(method, token or self._token, arguments)
            except Limited as error:
                self._pace(_gate(method, arguments), loop.time(), error.seconds)
                if loop.time() + error.seconds > deadline:
                    raise
            except Unreachable as error:
                if (error.sent and not repeatable) or loop.time() + pause > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MOST_RETRY_SECONDS)

    def _pace(self, gate: str, moment: float, seconds: float) -> None:
        """After a 429 everybody waits as long as Slack said, and then goes one by one for a while."""
        self._not_before[gate] = moment + seconds
        self._paced_until[gate] = moment + seconds + _PACED_SECONDS

    async def _wait_for_turn(self, method: str, arguments: Mapping[str, Any], deadline: float) -> None:
        """Others were told to come back later: so are we."""
        loop, gate = asyncio.get_running_loop(), _gate(method, arguments)
        while (left := self._not_before.get(gate, 0.0) - loop.time()) > 0:
            if loop.time() + left > deadline:
                raise Limited(method, left)
            await asyncio.sleep(left)
        if self._paced_until.get(gate, 0.0) > loop.time():
            self._not_before[gate] = loop.time() + _STEP_SECONDS

    async def _once(self, method: str, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.http()
        plain = {name: _plain(value) for name, value in arguments.items() if value is not None}
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with asyncio.timeout(CALL_SECONDS):
                if method in _READS:
                    response = await self.client.api_call(method, http_verb="GET", params=plain, headers=headers)
                else:
                    response = await self.client.api_call(method, json=plain, headers=headers)
        except SlackApiError as error:
            raise self.translated(method, error, token) from None
        except (aiohttp.ClientConnectorError, ssl.SSLError) as error:
            raise Unreachable(f"Slack can't be reached ({type(error).__name__}, {method})", sent=False) from None
        except (aiohttp.ClientError, OSError, TimeoutError, SlackClientError) as error:
            raise Unreachable(f"Slack did not answer ({type(error).__name__}, {method})", sent=True) from None
        if token in self._refused:
            self._refused.remove(token)
            log.info("Slack accepts the token again", extra={"method": method})
        data = response.data
        return data if isinstance(data, dict) else {}

    def translated(self, method: str, error: SlackApiError, token: str | None = None) -> SlackError:
        response = error.response
        status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)
        if status == 429:
            return Limited(method, retry_after(response.headers))
        data = getattr(response, "data", None)
        code = str(data.get("error") or "") if isinstance(data, dict) else ""
        if code == "ratelimited":
            return Limited(method, retry_after(response.headers))
        if status >= 500 or code in SLACKS_OWN or not code:
            return Unreachable(f"Slack has trouble of its own ({status} {code or 'without an error'}, {method})", sent=True)
        if code in TOKEN:
            self._tell_refused(method, code, token or self._token)
            return Unreachable(f"Slack refuses the token ({code})", sent=False)
        return decided(method, code, data.get("needed") if isinstance(data, dict) else None)

    def _tell_refused(self, method: str, code: str, token: str) -> None:
        """Once, however many calls fail: until Slack accepts it again."""
        if token not in self._refused:
            self._refused.add(token)
            log.error(
                "Slack refuses the token; install the app again and put its new tokens into SLACK_BOT_TOKEN and SLACK_APP_TOKEN",
                extra={"error": code, "method": method},
            )


def _gate(method: str, arguments: Mapping[str, Any]) -> str:
    """What Slack counts together: posts by channel, everything else by method."""
    return f"{method} {arguments.get('channel')}" if method == "chat.postMessage" else method


def _plain(value: Any) -> Any:
    if isinstance(value, Plain):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _quiet() -> logging.Logger:
    """The vendor's own log would hold arguments: texts and tokens."""
    logger = logging.getLogger("slack_sdk")
    logger.setLevel(logging.CRITICAL)
    return logger
