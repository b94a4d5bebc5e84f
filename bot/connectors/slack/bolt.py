"""The only file that imports slack-bolt: which listener hears what. Knows no listener's business.

Every listener returns before its event is acknowledged, so it may do no more than commit; what takes longer is a task. One
that raises is not acknowledged (HTTP: 500 or 503), and Slack sends the event again. What nobody listens to is acknowledged too.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.connectors.slack.errors import SlackError
from bot.connectors.slack.workspace import Unknown, Workspace
from bot.store import StoreError
from model.errors import NotReady

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
# What to answer with the acknowledgement, where a view wants to hear something.
Listener = Callable[[Payload], Awaitable[dict[str, Any] | None]]

_HEARD = "care_heard"  # a listener of ours was reached
_ANY = re.compile(".*")


@dataclass(frozen=True, slots=True)
class Ears:
    """Who listens to what: names of events, action ids, callback ids of views and shortcuts, commands."""

    events: Mapping[str, Listener]
    actions: Mapping[str, Listener] = field(default_factory=dict)
    views: Mapping[str, Listener] = field(default_factory=dict)
    shortcuts: Mapping[str, Listener] = field(default_factory=dict)
    commands: Mapping[str, Listener] = field(default_factory=dict)


class Bolt:
    """slack-bolt at work: a payload in, what to answer out."""

    def __init__(self, workspace: Workspace, ears: Ears) -> None:
        self._workspace = workspace
        self._app = AsyncApp(
            name="care",
            client=workspace.api.client,
            authorize=_authorizing(workspace),
            logger=_quiet(),
            process_before_response=True,
            request_verification_enabled=False,  # the webhook has verified it
            ignoring_self_events_enabled=False,  # `events.said` knows bots
            ssl_check_enabled=False,
            url_verification_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        self._app.error(_failed)
        self._listen(ears)

    def _listen(self, ears: Ears) -> None:
        registers: list[tuple[Callable[..., Any], Mapping[str, Listener]]] = [
            (self._app.event, ears.events),
            (self._app.action, ears.actions),
            (self._app.view, ears.views),
            (self._app.shortcut, ears.shortcuts),
            (self._app.command, ears.commands),
        ]
        for register, listeners in registers:
            for name, listener in listeners.items():
                register(name)(_listening(listener))
            register(_ANY)(_listening(_nothing))

    async def socket(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """An envelope's payload; what to answer. Raises NotTaken when Slack shall send it again."""
        response = await self._dispatch({"mode": "socket_mode", "body": payload})
        if response.status >= 500:
            raise NotTaken(f"status {response.status}")
        return _answer(response) if response.status == 200 else None

    async def http(self, body: str, content_type: str) -> BoltResponse:
        """A verified request; what to answer."""
        return await self._dispatch({"mode": "http", "body": body, "headers": {"content-type": content_type}})

    async def _dispatch(self, arguments: dict[str, Any]) -> BoltResponse:
        try:
            response = await self._app.async_dispatch(AsyncBoltRequest(**arguments))
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # bolt's own, before any listener
            return _unreadable(error)
        if response.status == 404:  # a kind that Slack invents tomorrow: sent again and again, it would drown the others
            log.info("Slack sent something that CARE does not know")
            return BoltResponse(status=200, body="")
        return response


class NotTaken(Exception):
    """Slack shall send it again."""


def _listening(listener: Listener) -> Callable[..., Awaitable[None]]:
    async def listen(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        context[_HEARD] = True
        answer = await listener(body)
        await ack(**(answer or {}))

    return listen


def _authorizing(workspace: Workspace) -> Callable[..., Awaitable[AuthorizeResult]]:
    """bolt wants to know whose app this is; a function, because it takes a method's `self` for an argument of its own."""

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        me, token = workspace.identity, workspace.api.client.token
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_user_id=me.user, bot_id=me.bot, bot_token=token)

    return authorize


async def _failed(error: Exception, body: dict[str, Any], context: AsyncBoltContext) -> BoltResponse:
    """Slack sends it again; the log says why, and nothing of what it says."""
    what = {"event": str(body.get("event_id") or body.get("type"))[:40], "error": type(error).__name__}
    if isinstance(error, StoreError | SlackError | NotReady | Unknown):
        log.warning("an event could not be taken", extra={**what, "reason": str(error)})
        return BoltResponse(status=503, body="")
    if not context.get(_HEARD):
        return _unreadable(error)
    log.error("a listener broke", exc_info=error, extra=what)
    return BoltResponse(status=500, body="")


async def _nothing(_: Payload) -> None:
    return None


def _unreadable(error: Exception) -> BoltResponse:
    """bolt stumbled over it before any listener heard of it: it would again."""
    log.warning("Slack sent something that can't be read", extra={"error": type(error).__name__})
    return BoltResponse(status=400, body="")


def _answer(response: BoltResponse) -> dict[str, Any] | None:
    """As it goes through a socket."""
    if not response.body:
        return None
    if not response.first_headers().get("content-type", "").startswith("application/json"):
        return {"text": response.body}
    found = json.loads(response.body)
    return found if isinstance(found, dict) and found else None


def _quiet() -> logging.Logger:
    """bolt's own log would hold whole events."""
    logger = logging.getLogger("slack_bolt")
    logger.setLevel(logging.CRITICAL)
    return logger
