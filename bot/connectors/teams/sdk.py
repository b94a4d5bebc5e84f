"""The SDK's kinds of activities: which listener hears what. Knows no listener's business.

Of botbuilder this file takes what comes in and `calls.py` what goes out; no other imports it. An activity is verified before it comes here.
The SDK's handler tells its kinds apart, and sees nothing of it but its kind: what people wrote is never made into the SDK's types. A
listener returns before the activity is acknowledged, so it may do no more than commit; what takes longer is a task. One that raises is not
acknowledged (500 or 503), and Teams sends the activity again.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from botbuilder.core import ActivityHandler, BotAdapter, TurnContext
from botbuilder.schema import Activity

from bot.connectors.teams.errors import TeamsError
from bot.store import StoreError
from model.errors import NotReady

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
Payload = Mapping[str, Any]  # the activity as it came
Listener = Callable[[Payload], Awaitable[None]]
Invoked = Callable[[Payload], Awaitable[Json]]  # the body of the answer; {} where Teams wants none

_PAYLOAD = "care_payload"
_TAKEN = "care_taken"


class InvokeRefused(Exception):
    """What somebody pressed can't be done; `status` is 400, 403, 404 …"""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Ears:
    """Who listens to what; invokes by name."""

    message: Listener
    edited: Listener
    deleted: Listener
    reacted: Listener
    installed: Listener
    joined: Listener
    left: Listener
    invokes: Mapping[str, Invoked] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What Teams is answered; without a body for anything but invokes."""

    status: int
    body: Json | None = None


class Dispatch:
    """The SDK at work: a verified activity in, what to answer out."""

    def __init__(self, ears: Ears) -> None:
        self._handler = _Handler(ears)
        self._adapter = _NoWayOut()

    async def take(self, payload: Payload) -> Taken:
        """Once this returns a status below 300, what came is committed. Raises nothing."""
        known = {name: payload.get(name) for name in ("type", "name", "action")}
        context = TurnContext(self._adapter, Activity(channel_id="msteams", **known))
        context.turn_state[_PAYLOAD] = payload
        what = {"activity": str(known["type"])[:40], "invoke": str(known["name"])[:40]}
        try:
            await self._handler.on_turn(context)
        except InvokeRefused as error:
            return Taken(error.status, {"error": {"code": HTTPStatus(error.status).phrase, "message": str(error)}})
        except (StoreError, NotReady, TeamsError) as error:
            log.warning("an activity could not be taken", extra={**what, "error": type(error).__name__, "reason": str(error)})
            return Taken(503)
        except Exception:  # the edge of an activity: the others go on
            log.exception("a listener broke", extra=what)
            return Taken(500)
        taken = context.turn_state.get(_TAKEN)
        return taken if isinstance(taken, Taken) else Taken(201)


class _Handler(ActivityHandler):  # type: ignore[misc]  # the SDK has no types
    """The SDK's names for what happens, and ours."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears

    async def on_message_activity(self, turn_context: TurnContext) -> None:
        await self._ears.message(turn_context.turn_state[_PAYLOAD])

    async def on_message_update_activity(self, turn_context: TurnContext) -> None:
        await self._ears.edited(turn_context.turn_state[_PAYLOAD])

    async def on_message_delete_activity(self, turn_context: TurnContext) -> None:
        await self._ears.deleted(turn_context.turn_state[_PAYLOAD])

    async def on_message_reaction_activity(self, turn_context: TurnContext) -> None:
        await self._ears.reacted(turn_context.turn_state[_PAYLOAD])

    async def on_conversation_update_activity(self, turn_context: TurnContext) -> None:
        await self._ears.joined(turn_context.turn_state[_PAYLOAD])

    async def on_installation_update_add(self, turn_context: TurnContext) -> None:
        await self._ears.installed(turn_context.turn_state[_PAYLOAD])

    async def on_installation_update_remove(self, turn_context: TurnContext) -> None:
        await self._ears.left(turn_context.turn_state[_PAYLOAD])

    async def on_event_activity(self, turn_context: TurnContext) -> None:
        """Meetings and the like: nobody hears them."""

    async def on_invoke_activity(self, turn_context: TurnContext) -> None:
        """The SDK's own answers would have to be of its types, and it sends a dict with status 500."""
        invoked = self._ears.invokes.get(turn_context.activity.name)
        if invoked is None:
            turn_context.turn_state[_TAKEN] = Taken(HTTPStatus.NOT_IMPLEMENTED)
            return
        turn_context.turn_state[_TAKEN] = Taken(200, await invoked(turn_context.turn_state[_PAYLOAD]))


class _NoWayOut(BotAdapter):  # type: ignore[misc]  # the SDK has no types
    """Answers leave through `TeamsApi` alone, which knows where they may go."""

    async def send_activities(self, context: TurnContext, activities: list[Activity]) -> list[Any]:
        raise AssertionError("answers leave through TeamsApi")

    async def update_activity(self, context: TurnContext, activity: Activity) -> None:
        raise AssertionError("answers leave through TeamsApi")

    async def delete_activity(self, context: TurnContext, reference: object) -> None:
        raise AssertionError("answers leave through TeamsApi")
