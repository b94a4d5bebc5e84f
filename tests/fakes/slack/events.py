"""The JSON of what Slack tells an app: events, interactions, commands. Knows nothing of how it gets there."""

import time

from tests.fakes.slack.workspace import APP, BOT_USER, TEAM, Channel, Json, Message, Person, Workspace

VERIFICATION_TOKEN = "fake-verification-token"
TEAM_JSON: Json = {"id": TEAM, "domain": "care-fake"}

# Which scope an app needs to be told of an event, and what the event is called in the manifest.
SCOPES = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "member_joined_channel": "channels:read",
    "app_home_opened": None,
    "agent_session_stopped": "assistant:write",
    "app_uninstalled": None,
    "tokens_revoked": None,
}
_MESSAGES = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}


def subscription(event: Json) -> str:
    """The name under which the manifest subscribes to an event."""
    return _MESSAGES[event["channel_type"]] if event["type"] == "message" else str(event["type"])


def envelope(workspace: Workspace, event: Json, *, shared: bool = False) -> Json:
    """The `event_callback` around an event."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM,
        "context_team_id": TEAM,
        "context_enterprise_id": None,
        "api_app_id": APP,
        "event": event,
        "type": "event_callback",
        "event_id": workspace.new_id("Ev"),
        "event_time": int(time.time()),
        "authorizations": [{"enterprise_id": None, "team_id": TEAM, "user_id": BOT_USER, "is_bot": True, "is_enterprise_install": False}],
        "is_ext_shared_channel": shared,
        "event_context": "4-fake",
    }


def message(channel: Channel, said: Message, person: Person, parent: str | None = None) -> Json:
    """A new message, as everybody in the channel is told of it; `parent` wrote the message that its thread began with."""
    teams = {"team": person.team, "user_team": person.team, "source_team": person.team} if channel.shared else {}
    under = {"parent_user_id": parent} if parent else {}
    return {**said.json(), "channel": channel.id, "channel_type": channel.type, "event_ts": said.ts, **teams, **under}


def mention(channel: Channel, said: Message, person: Person, parent: str | None = None) -> Json:
    """The second event of a message that names the app."""
    found = message(channel, said, person, parent)
    del found["channel_type"]
    return {**found, "type": "app_mention"}


def changed(workspace: Workspace, channel: Channel, now: Json, before: Json) -> Json:
    """A message is not what it was: edited, updated, unfurled, or a tombstone over a thread."""
    ts = workspace.new_ts()
    where = {"channel": channel.id, "channel_type": channel.type, "ts": ts, "event_ts": ts}
    return {"type": "message", "subtype": "message_changed", "hidden": True, "message": now, "previous_message": before, **where}


def deleted(workspace: Workspace, channel: Channel, before: Json) -> Json:
    """A message is gone."""
    ts = workspace.new_ts()
    where = {"channel": channel.id, "channel_type": channel.type, "ts": ts, "event_ts": ts, "deleted_ts": before["ts"]}
    return {"type": "message", "subtype": "message_deleted", "hidden": True, "previous_message": before, **where}


def reaction(workspace: Workspace, kind: str, user: str, name: str, said: Message) -> Json:
    """`kind` is reaction_added or reaction_removed."""
    item = {"type": "message", "channel": said.channel, "ts": said.ts}
    return {"type": kind, "user": user, "reaction": name, "item": item, "item_user": said.user, "event_ts": workspace.new_ts()}


def joined(workspace: Workspace, channel: Channel, person: Person) -> Json:
    """Somebody has come into a channel."""
    kind = "G" if channel.private else "C"
    return {
        "type": "member_joined_channel",
        "user": person.id,
        "channel": channel.id,
        "channel_type": kind,
        "team": person.team,
        "event_ts": workspace.new_ts(),
    }


def home_opened(workspace: Workspace, user: str, tab: str) -> Json:
    """Somebody has opened the app's `home` or `messages` tab."""
    return {"type": "app_home_opened", "user": user, "channel": workspace.dm(user).id, "tab": tab, "event_ts": workspace.new_ts()}


def session_stopped(workspace: Workspace, channel: str, root: str, user: str, streaming: list[str]) -> Json:
    """Slack's own Stop button. The streams named are already stopped."""
    where = {"channel": channel, "thread_ts": root, "user": user, "streaming_message_ts": streaming}
    return {"type": "agent_session_stopped", "event_ts": workspace.new_ts(), **where}


def interaction(kind: str, person: Person, trigger: str) -> Json:
    """What the payloads of buttons, views and shortcuts have in common."""
    name = person.name.split()[0].lower()
    who = {"id": person.id, "username": name, "name": name, "team_id": person.team}
    place = {"team": TEAM_JSON, "enterprise": None, "is_enterprise_install": False}
    return {"type": kind, "user": who, "api_app_id": APP, "token": VERIFICATION_TOKEN, "trigger_id": trigger, **place}


def channel_json(channel: Channel) -> Json:
    """A channel as interactions name it."""
    return {"id": channel.id, "name": "directmessage" if channel.with_user else channel.name}


def command(channel: Channel, person: Person, name: str, text: str, trigger: str, response_url: str) -> dict[str, str]:
    """The form fields of a slash command."""
    where = {"channel_id": channel.id, "channel_name": channel_json(channel)["name"], "team_id": TEAM, "team_domain": TEAM_JSON["domain"]}
    who = {"user_id": person.id, "user_name": person.name.split()[0].lower(), "api_app_id": APP, "is_enterprise_install": "false"}
    return {"token": VERIFICATION_TOKEN, "command": name, "text": text, "trigger_id": trigger, "response_url": response_url, **where, **who}
