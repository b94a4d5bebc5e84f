"""`/api/<method>`: who calls, whether they may, whether the arguments have their types, and the answer. Knows no method."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.slack import agents, chat, conversations, views
from tests.fakes.slack.arguments import Method
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import Json

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack

METHODS: dict[str, Method] = {**agents.METHODS, **chat.METHODS, **conversations.METHODS, **views.METHODS}
LIMITS = {name: method.limit for name, method in METHODS.items()}


@dataclass(frozen=True)
class Call:
    """One call of the app, and how it was answered."""

    method: str
    arguments: Json
    at: float  # time.monotonic()
    error: str | None


class Api:
    """The Web API."""

    def __init__(self, slack: "FakeSlack") -> None:
        self._slack = slack
        self.calls: list[Call] = []

    async def handle(self, request: web.Request) -> web.Response:
        """Answers one call."""
        name = request.match_info["method"]
        arguments: Json = {}
        headers = {"x-oauth-scopes": ",".join(sorted(self._slack.scopes))}
        error: str | None = None
        try:
            token, arguments = await _read(request)
            body = {"ok": True, **await self._run(name, token, dict(arguments))}
            status = 200
        except Refused as refused:
            error = refused.error or f"status {refused.status}"
            body, status = refused.json(), refused.status
            headers |= refused.headers
        self.calls.append(Call(name, arguments, time.monotonic(), error))
        self._slack.workspace.changed("call", self.calls[-1])
        if error is None and self._slack.faults.lost(name) and request.transport is not None:
            request.transport.abort()
        if error is not None and status not in (200, 429):
            return web.Response(status=status, text="<html>Service unavailable</html>", content_type="text/html")
        return web.json_response(body, status=status, headers=headers)

    async def _run(self, name: str, token: str, given: Json) -> Json:
        await self._slack.faults.meet(name, LIMITS)
        method = METHODS.get(name)
        if method is None:
            raise Refused("unknown_method", req_method=name)
        self._admit(method, token)
        return await method.run(self._slack, method.read(given))

    def _admit(self, method: Method, token: str) -> None:
        slack = self._slack
        if not token:
            raise Refused("not_authed")
        if token in slack.revoked_tokens:
            raise Refused("token_revoked")
        if token not in (slack.bot_token, slack.app_token):
            raise Refused("invalid_auth")
        if not token.startswith(method.token):
            raise Refused("not_allowed_token_type")
        if method.token == "xoxb-" and method.scopes:
            slack.require_scope(*method.scopes)


async def _read(request: web.Request) -> tuple[str, Json]:
    """The token and the arguments of a call, whichever way they came."""
    arguments: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError as error:
            raise Refused("invalid_json") from error
        if not isinstance(body, dict):
            raise Refused("json_not_object")
        arguments |= body
    elif request.method == "POST":
        arguments |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    token = str(arguments.pop("token", "")) or request.headers.get("Authorization", "").removeprefix("Bearer ")
    return token.strip(), arguments
