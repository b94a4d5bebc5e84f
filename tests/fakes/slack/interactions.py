"""What people do with the app itself: buttons, modals, commands, shortcuts, Stop. Each waits for the app's acknowledgement."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.slack import events
from tests.fakes.slack.api import Api
from tests.fakes.slack.blocks import checked_blocks, checked_view
from tests.fakes.slack.outbox import Delivery, Kind, Outbox
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.views import TRIGGER_SECONDS, Trigger, View, named
from tests.fakes.slack.workspace import BOT_USER, Channel, Json, Message, Workspace

RESPONSES = 5  # how often a response_url may be used


@dataclass
class ResponseUrl:
    """What an interaction lets the app answer to, without a token."""

    channel: Channel
    user: str
    source: Message | None = None
    left: int = RESPONSES


class Interactions:
    """The other half of FakeSlack: everything that ends in an interactive payload or a command."""

    workspace: Workspace
    outbox: Outbox
    api: Api
    clock: Callable[[], float]
    scopes: set[str]
    tell_event: Callable[[Json], Delivery | None]

    @property
    def url(self) -> str:
        """Where the fake listens."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.triggers: dict[str, Trigger] = {}
        self.trigger_seconds = TRIGGER_SECONDS
        self.responses: dict[str, ResponseUrl] = {}
        self.views: list[View] = []
        self.homes: dict[str, View] = {}
        self.commands: set[str] | None = None  # what the manifest declares; None: everything
        self.shortcuts: set[str] | None = None
        self.shortcut_names = {"teach_care": "Teach CARE"}
        self.interactivity = True

    async def click(self, said: Message | View, action_id: str, user: str, value: str | None = None) -> Delivery:
        """Presses a button (feedback buttons: `value` says which), chooses from a select, in a message or a view."""
        blocks = said.blocks
        block, element = _element(blocks, action_id)
        payload, trigger = self._interaction("block_actions", user)
        action = {"type": element["type"], "action_id": action_id, "block_id": block["block_id"], "action_ts": self.workspace.new_ts()}
        payload["actions"] = [action | _pressed(element, value)]
        if isinstance(said, View):
            trigger.view = said
            place: Json = {"container": {"type": "view", "view_id": said.id}, "view": said.json()}
        else:
            place = self._in_message(said, user)
        return await self._put("interactive", {**payload, **place, "state": {"values": {}}})

    async def submit(self, view: View, values: dict[str, object], user: str | None = None) -> Delivery:
        """Submits a modal; `values` are texts or option values by action id or block id, the rest is empty.

        The app's response_action is carried out: errors are kept in `view.errors`.
        """
        payload, _ = self._interaction("view_submission", user or view.user)
        payload |= {"view": view.json(_state(view.blocks, values)), "response_urls": []}
        delivery = await self._put("interactive", payload)
        if delivery.acked:
            self._respond_to_submission(view, delivery.response or {})
        return delivery

    async def close_view(self, view: View) -> Delivery | None:
        """Closes a modal; the app is told if it asked for that."""
        self.hide_view(view)
        if not view.definition.get("notify_on_close"):
            return None
        payload, _ = self._interaction("view_closed", view.user)
        return await self._put("interactive", {**payload, "view": view.json(), "is_cleared": False})

    async def command(self, name: str, text: str, user: str, channel: str) -> Delivery:
        """A slash command; the response's text is shown to its user."""
        if (self.commands is not None and name not in self.commands) or "commands" not in self.scopes:
            raise Refused("invalid_command", f"{name} is no command of the app: it is not in its manifest")
        person, where = self.workspace.people[user], self.workspace.channels[channel]
        trigger, response_url = self._trigger(user)[0], self._response_url(ResponseUrl(where, user))
        delivery = await self._put("slash_commands", events.command(where, person, name, text, trigger, response_url))
        if delivery.response:
            self.respond(ResponseUrl(where, user), delivery.response)
        return delivery

    async def shortcut(self, callback_id: str, said: Message, user: str) -> Delivery:
        """A message shortcut."""
        if self.shortcuts is not None and callback_id not in self.shortcuts:
            raise Refused("invalid_shortcut", f"{callback_id} is no shortcut of the app: it is not in its manifest")
        payload, _ = self._interaction("message_action", user)
        payload |= {"callback_id": callback_id, "message_ts": said.ts, "message": said.json(), "action_ts": self.workspace.new_ts()}
        payload["channel"] = events.channel_json(self.workspace.channels[said.channel])
        payload["response_url"] = self._response_url(ResponseUrl(self.workspace.channels[said.channel], user, said))
        return await self._put("interactive", payload)

    async def interact(self, payload: Json) -> Delivery:
        """Any interactive payload, as it stands: forged ones too."""
        return await self._put("interactive", payload)

    def stop(self, channel: str, thread_ts: str, user: str) -> Delivery | None:
        """Slack's own Stop button: running streams of the thread end at once, the app is told."""
        streams = [message for message in self.workspace.thread(channel, thread_ts) if message.streaming]
        for message in streams:
            message.streaming = False
            self.workspace.changed("message", message)
        return self.tell_event(events.session_stopped(self.workspace, channel, thread_ts, user, [message.ts for message in streams]))

    def set_session(self, channel: str, root: str, status: str, title: str | None = None) -> Json:
        """The state of an agent session; made if there is none."""
        session = self.workspace.sessions.setdefault((channel, root), {"title": title or ""})
        session["status"] = status
        self.workspace.changed("status", (channel, root))
        return session

    def set_title(self, channel: str, root: str, title: str) -> None:
        """What a thread is called in the person's list."""
        self.workspace.sessions.setdefault((channel, root), {"status": "active"})["title"] = title
        self.workspace.changed("status", (channel, root))

    def show_view(self, view: View) -> View:
        """A view opens."""
        self.views.append(view)
        self.workspace.changed("view", view)
        return view

    def hide_view(self, view: View) -> None:
        """A view closes."""
        view.open = False
        self.workspace.changed("view", view)

    def replace_view(self, view: View, definition: Json) -> None:
        """A view shows something else."""
        view.definition, view.version, view.errors = definition, view.version + 1, {}
        self.workspace.changed("view", view)

    def respond(self, to: ResponseUrl, body: Json) -> None:
        """What a response_url or the answer to a command does."""
        if body.get("delete_original") or body.get("replace_original"):
            self._replace_source(to, body)
            return
        said = Message(to.channel.id, self.workspace.new_ts(), BOT_USER, body.get("text", ""), body.get("thread_ts"), "B0CAREBOT1")
        said.blocks = checked_blocks(body.get("blocks") or [])
        if body.get("response_type") == "in_channel":
            self.workspace.add(said)
            return
        said.ephemeral_to = to.user
        self.workspace.ephemerals.append(said)
        self.workspace.changed("ephemeral", said)

    def _replace_source(self, to: ResponseUrl, body: Json) -> None:
        if to.source is None:
            return
        to.source.deleted = bool(body.get("delete_original"))
        if not to.source.deleted:
            to.source.text, to.source.blocks = body.get("text", ""), checked_blocks(body.get("blocks") or [])
        self.workspace.changed("ephemeral" if to.source.ephemeral_to else "message", to.source)

    def _respond_to_submission(self, view: View, response: Json) -> None:
        action = response.get("response_action")
        if action == "errors":
            inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
            if not response["errors"] or not inputs.issuperset(response["errors"]):
                raise Refused("invalid_arguments", f"errors name input blocks ({sorted(inputs)}), not {sorted(response['errors'])}")
            view.errors = response["errors"]
            self.workspace.changed("view", view)
        elif action == "update":
            self.replace_view(view, named(self.workspace, checked_view(response["view"], ("modal",))))
        elif action == "push":
            definition = named(self.workspace, checked_view(response["view"], ("modal",)))
            self.show_view(View(self.workspace.new_id("V"), view.user, definition, view.root or view.id, view.id))
        elif action in (None, "clear"):
            self.hide_view(view)
        else:
            raise Refused("invalid_arguments", f"unknown response_action {action!r}")

    def _in_message(self, said: Message, user: str) -> Json:
        where = self.workspace.channels[said.channel]
        container = {"type": "message", "message_ts": said.ts, "channel_id": said.channel, "is_ephemeral": said.ephemeral_to is not None}
        thread = {"thread_ts": said.thread_ts} if said.thread_ts else {}
        place: Json = {"container": container | thread, "channel": events.channel_json(where)}
        place["response_url"] = self._response_url(ResponseUrl(where, user, said))
        return place if said.ephemeral_to else place | {"message": said.json()}

    def _interaction(self, kind: str, user: str) -> tuple[Json, Trigger]:
        name, trigger = self._trigger(user)
        return events.interaction(kind, self.workspace.people[user], name), trigger

    def _trigger(self, user: str) -> tuple[str, Trigger]:
        name, trigger = self.workspace.new_id("trigger."), Trigger(user, self.clock())
        self.triggers[name] = trigger
        return name, trigger

    def _response_url(self, to: ResponseUrl) -> str:
        name = self.workspace.new_id("R")
        self.responses[name] = to
        return f"{self.url}/response/{name}"

    async def _put(self, kind: Kind, payload: Json) -> Delivery:
        if kind == "interactive" and not self.interactivity:
            raise Refused("interactivity_disabled", "the manifest switches interactivity off: settings.interactivity.is_enabled")
        delivery = self.outbox.put(kind, payload)
        await asyncio.wait_for(delivery.done.wait(), self.outbox.ack_seconds + 1)
        return delivery


def _element(blocks: list[Json], action_id: str) -> tuple[Json, Json]:
    return Message("", "", "", blocks=blocks).element(action_id)


def _pressed(element: Json, value: str | None) -> Json:
    """What an action says besides its ids."""
    if element["type"] == "feedback_buttons":
        chosen = [element["positive_button"], element["negative_button"]]
        button = next((button for button in chosen if button.get("value") == value), None)
        if button is None:
            raise LookupError(f"feedback buttons have no value {value!r}, only {[button.get('value') for button in chosen]}")
        return {"value": button["value"], "text": button["text"]}
    if element["type"] in ("static_select", "overflow", "radio_buttons"):
        option = next(option for option in element["options"] if option["value"] == value)
        return {"selected_option": option}
    return {"value": element.get("value") if value is None else value, "text": element.get("text")}


def _state(blocks: list[Json], values: dict[str, object]) -> Json:
    """`state.values` of a view in which somebody has filled in these."""
    found: Json = {}
    for block in blocks:
        element = block.get("element")
        if block.get("type") != "input" or not isinstance(element, dict):
            continue
        value = values.get(element["action_id"], values.get(block["block_id"]))
        found[block["block_id"]] = {element["action_id"]: {"type": element["type"], **_entered(element, value)}}
    return found


def _entered(element: Json, value: object) -> Json:
    if element["type"] in ("static_select", "radio_buttons"):
        return {"selected_option": next((option for option in element["options"] if option["value"] == value), None)}
    if element["type"] == "checkboxes":
        chosen = value if isinstance(value, list | tuple) else []
        return {"selected_options": [option for option in element["options"] if option["value"] in chosen]}
    return {"value": value}
