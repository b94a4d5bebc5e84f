"""The manifest that makes CARE's Slack app: exactly the scopes, events and surfaces that the connector uses. Pure.

The shape is docs.slack.dev/reference/app-manifest; the new apps' surface is `agent_view` (docs.slack.dev/ai/agent-sessions).
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bot.connectors.slack.blocks import COMMAND, TEACH
from bot.connectors.words import SUGGESTED_PROMPTS

# Each scope with what it is for; a test compares them with the methods that are called and the events that are heard.
SCOPES: Final[Mapping[str, str]] = {
    "app_mentions:read": "hear mentions",
    "assistant:write": "show the status line, suggest prompts, be stopped",
    "channels:history": "hear follow-ups in threads of public channels",
    "channels:read": "let `care doctor` see whether CARE is in its channels",
    "chat:write": "answer",
    "commands": "/care and the shortcut Teach CARE",
    "files:write": "send the nightly chart, and what `/care export` exports",
    "groups:history": "hear follow-ups in threads of private channels",
    "groups:read": "the same as channels:read for private channels",
    "im:history": "hear direct messages",
    "im:write": "tell people what they taught",
    "reactions:read": "count reactions as votes",
    "users:read": "know whose names to mask, and who is from another organisation",
}
EVENTS: Final = (
    "agent_session_stopped",
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "message.channels",
    "message.groups",
    "message.im",
    "reaction_added",
    "reaction_removed",
    "tokens_revoked",
)
APP_SCOPE: Final = "connections:write"  # of the app-level token, which no manifest can make
PATH: Final = "/slack/events"

_SHORT = "Support that learns every night from what you think of its answers"
_LONG = (
    "CARE answers support questions from a language model that runs on your own machine. Write to it directly, mention it in a channel, "
    "or go on in a thread that it is in. Rate its answers and say what they should have been: every night it learns from that, "
    "and what it learned is put to the test before it answers anybody. Ask for a person at any time. It is a machine and can be wrong."
)


class BadUrl(ValueError):
    """Slack can't send requests there."""


def manifest(http_url: str | None) -> dict[str, Any]:
    """The manifest as JSON values: Socket Mode, or requests to CARE's public address. Raises BadUrl."""
    request_url = None if http_url is None else _request_url(http_url)
    address = {"request_url": request_url} if request_url else {}
    command = {
        "command": COMMAND,
        "description": "Help, a new conversation, a person, your data",
        "usage_hint": "help | new | human | status | export | opt out | forget me",
        "should_escape": False,
        **({"url": request_url} if request_url else {}),
    }
    teach = {"name": "Teach CARE", "type": "message", "callback_id": TEACH, "description": "Make this reply the better answer"}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {"name": "CARE", "description": _SHORT, "long_description": _LONG, "background_color": "#1f5f5b"},
        "features": {
            "app_home": {"home_tab_enabled": False, "messages_tab_enabled": True, "messages_tab_read_only_enabled": False},
            "bot_user": {"display_name": "CARE", "always_online": True},
            "agent_view": {
                "agent_description": _SHORT,
                "suggested_prompts": [{"title": title, "message": message} for title, message in SUGGESTED_PROMPTS],
            },
            "shortcuts": [teach],
            "slash_commands": [command],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**address, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **address},
            "org_deploy_enabled": False,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }


def _request_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise BadUrl(f"{url!r} is no https address that Slack can reach; give for example https://care.example.com")
    return url if parts.path.rstrip("/").endswith(PATH) else f"{url.rstrip('/')}{PATH}"
