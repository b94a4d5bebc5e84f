"""Modals and the home tab: views.*, trigger ids. Knows nothing of requests or payloads."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.slack.arguments import Method, mapping, text
from tests.fakes.slack.blocks import checked_view
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import APP, BOT, TEAM, Json, Workspace

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack

TRIGGER_SECONDS = 3.0  # Slack's
_VIEW_DEFAULTS: Json = {"private_metadata": "", "callback_id": "", "title": None, "submit": None, "close": None, "external_id": ""}


@dataclass
class View:
    """A modal or home tab that a person has open."""

    id: str
    user: str
    definition: Json
    root: str | None = None
    previous: str | None = None
    version: int = 1
    open: bool = True
    errors: dict[str, str] = field(default_factory=dict)  # what the app said about its fields, by block id

    @property
    def blocks(self) -> list[Json]:
        """What is in it."""
        return list(self.definition["blocks"])

    def json(self, values: Json | None = None) -> Json:
        """The view as payloads and responses show it."""
        flags = {"clear_on_close": False, "notify_on_close": False}
        ids = {"id": self.id, "team_id": TEAM, "app_id": APP, "bot_id": BOT, "app_installed_team_id": TEAM}
        stack = {"root_view_id": self.root or self.id, "previous_view_id": self.previous, "hash": f"{self.version}.{self.id}"}
        return {**_VIEW_DEFAULTS, **flags, **self.definition, **ids, **stack, "state": {"values": values or {}}}


@dataclass
class Trigger:
    """What lets an app open a view: once, and soon."""

    user: str
    at: float
    used: bool = False
    view: View | None = None  # pressed inside of this view


def named(workspace: Workspace, definition: Json) -> Json:
    """A view whose blocks and inputs have the ids that Slack gives to those without."""
    blocks = []
    for block in definition["blocks"]:
        inner = {"element": {"action_id": workspace.new_id("a"), **block["element"]}} if block["type"] == "input" else {}
        blocks.append({**block, **inner, "block_id": block.get("block_id") or workspace.new_id("b")})
    return {**definition, "blocks": blocks}


def _exchange(slack: "FakeSlack", given: Json) -> Trigger:
    found = slack.triggers.get(given.get("trigger_id") or given.get("interactivity_pointer", ""))
    if found is None:
        raise Refused("invalid_trigger_id")
    if found.used:
        raise Refused("exchanged_trigger_id")
    if slack.clock() - found.at > slack.trigger_seconds:
        raise Refused("expired_trigger_id")
    found.used = True
    return found


async def open_view(slack: "FakeSlack", given: Json) -> Json:
    definition = checked_view(given["view"], ("modal",))
    trigger = _exchange(slack, given)
    view = slack.show_view(View(slack.workspace.new_id("V"), trigger.user, named(slack.workspace, definition)))
    return {"view": view.json()}


async def push_view(slack: "FakeSlack", given: Json) -> Json:
    definition = checked_view(given["view"], ("modal",))
    trigger = _exchange(slack, given)
    if trigger.view is None:
        raise Refused("push_limit_reached", "views.push needs a trigger_id from inside a modal")
    under = trigger.view
    view = View(slack.workspace.new_id("V"), trigger.user, named(slack.workspace, definition), under.root or under.id, under.id)
    return {"view": slack.show_view(view).json()}


async def update_view(slack: "FakeSlack", given: Json) -> Json:
    definition = checked_view(given["view"], ("modal", "home"))
    external = given.get("external_id")
    found = next(
        (view for view in slack.views if view.id == given.get("view_id") or (external and view.definition.get("external_id") == external)),
        None,
    )
    if found is None or not found.open:
        raise Refused("not_found")
    if given.get("hash") and given["hash"] != found.json()["hash"]:
        raise Refused("hash_conflict")
    slack.replace_view(found, named(slack.workspace, definition))
    return {"view": found.json()}


async def publish_view(slack: "FakeSlack", given: Json) -> Json:
    definition = checked_view(given["view"], ("home",))
    if given["user_id"] not in slack.workspace.people:
        raise Refused("invalid_arguments", "invalid user_id")
    found = slack.homes.get(given["user_id"])
    if found is None:
        found = slack.homes[given["user_id"]] = View(slack.workspace.new_id("V"), given["user_id"], definition)
    slack.replace_view(found, named(slack.workspace, definition))
    return {"view": found.json()}


_TRIGGER = {"trigger_id": text, "interactivity_pointer": text}
METHODS = {
    "views.open": Method(open_view, (), {"view": mapping}, _TRIGGER, limit=100),
    "views.push": Method(push_view, (), {"view": mapping}, _TRIGGER, limit=100),
    "views.update": Method(update_view, (), {"view": mapping}, {"view_id": text, "external_id": text, "hash": text}, limit=100),
    "views.publish": Method(publish_view, (), {"user_id": text, "view": mapping}, {"hash": text}, limit=100),
}
