"""`/api/messages`: what Teams sends, verified before anything reads it. Knows no activity's meaning.

Neither a body nor a token ever gets into the log or into an answer. First the token, then the body: for a stranger nobody reads one.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from aiohttp import web

from bot.connectors.tasks import Owned
from bot.connectors.teams.address import tenant_of
from bot.connectors.teams.api import Hosts
from bot.connectors.teams.intake import Unreadable, read
from bot.connectors.teams.keys import KeysAway
from bot.connectors.teams.sdk import Payload, Taken
from bot.connectors.teams.trust import CHANNEL, Claims, Foreign, Forged, Trust

log = logging.getLogger(__name__)

PATH = "/api/messages"
_MOST_BODY = 256 * 1024
_BODY_SECONDS = 10.0
_LOG_SECONDS = 60.0
_RETRY_AFTER = "5"

Take = Callable[[Payload], Coroutine[None, None, Taken]]


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Webhook:
    """The handler of the one route. `trust` None: anybody is believed, for development on this machine."""

    def __init__(self, trust: Trust | None, hosts: Hosts, take: Take) -> None:
        self._trust = trust
        self._hosts = hosts
        self._take = take
        self._channels = frozenset({CHANNEL} if trust is not None else {CHANNEL, "emulator"})
        self._taking = True
        self._taken = Owned()
        self._told_at: dict[int, float] = {}  # when a status was logged last: the statuses above, a handful

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    def stop(self) -> None:
        """Teams sends what comes now again."""
        self._taking = False

    async def close(self) -> None:
        """What was accepted is done first."""
        await self._taken.close()
        if self._trust is not None:
            await self._trust.close()

    async def receive(self, request: web.Request) -> web.Response:
        if not self._taking:
            return _refused(503, "CARE is shutting down")
        try:
            claims = await self._claims(request)
            activity = read(await _body(request), self._channels)
            self._require_ours(claims, activity)
        except KeysAway as error:
            return _refused(503, str(error))
        except Unreadable as error:
            return self._refuse(400, str(error))
        except Forged as error:
            return self._refuse(401, "not a request of Teams'", str(error))
        except Foreign as error:
            return self._refuse(403, str(error))
        except _Refusal as error:
            return self._refuse(error.status, str(error))
        return _response(await self._taken.finish(self._take(activity)))  # a sender that hangs up leaves nothing half done

    async def _claims(self, request: web.Request) -> Claims | None:
        if self._trust is None:
            return None
        given = request.headers.getall("Authorization", [])
        if len(given) != 1:
            raise Forged("it has no bearer token")
        return await self._trust.check(given[0])

    def _require_ours(self, claims: Claims | None, activity: Payload) -> None:
        if self._trust is not None and claims is not None:
            self._trust.require_ours(claims, activity, tenant_of(activity))
        if not self._hosts.allows(activity["serviceUrl"]):
            raise Foreign("serviceUrl is no host of Teams' (TEAMS_SERVICE_HOSTS)")

    def _refuse(self, status: int, message: str, reason: str | None = None) -> web.Response:
        """Into the log once a minute for each status: whoever forges can send many, and must not hide what else is wrong."""
        if time.monotonic() - self._told_at.get(status, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._told_at[status] = time.monotonic()
            log.warning("refused a request to the door of Teams", extra={"status": status, "reason": reason or message})
        return _refused(status, message)


async def _body(request: web.Request) -> bytes:
    too_long = _Refusal(413, "the body is larger than 256 KiB")
    if (request.content_length or 0) > _MOST_BODY:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > _MOST_BODY:
                    raise too_long
    except TimeoutError:
        raise _Refusal(408, f"the body did not come within {_BODY_SECONDS:g} s") from None
    except web.RequestPayloadError:
        raise _Refusal(400, "the body is not packed as its Content-Encoding says") from None
    return bytes(body)


def _response(taken: Taken) -> web.Response:
    if taken.status >= 500 and taken.status != 501:
        return _refused(taken.status, "CARE could not take it now")
    return web.Response(status=taken.status) if taken.body is None else web.json_response(dict(taken.body), status=taken.status)


def _refused(status: int, message: str) -> web.Response:
    headers = {"Retry-After": _RETRY_AFTER} if status == 503 else {}
    code = "ServiceUnavailable" if status == 503 else "BadRequest" if status == 400 else "Refused"
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
