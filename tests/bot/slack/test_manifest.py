import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.commands.slack import slack
from bot.connectors.slack.manifest import EVENTS, SCOPES, BadUrl, manifest
from tests.fakes.slack.api import METHODS
from tests.fakes.slack.events import SCOPES as EVENT_SCOPES

CONNECTOR = Path(__file__).parents[3] / "bot" / "connectors" / "slack"
# What conversations.* want depends on the channel: of each kind that CARE is in.
BY_CHANNEL = {
    "conversations.info": {"channels:read", "groups:read"},
    "conversations.replies": {"channels:history", "groups:history", "im:history"},
}
UPLOAD = {"files.getUploadURLExternal", "files.completeUploadExternal"}  # files_upload_v2


def called() -> set[str]:
    """The Web API methods in the connector's source."""
    source = "\n".join(path.read_text() for path in CONNECTOR.glob("*.py"))
    named = {found for found in re.findall(r'"([a-z]+(?:\.[A-Za-z]+)+)"', source) if found in METHODS}
    return named | (UPLOAD if "files_upload_v2(" in source else set())


def test_the_scopes_are_exactly_those_of_what_is_called_and_heard() -> None:
    needed = {"commands"} | {scope for event in EVENTS if (scope := EVENT_SCOPES[event])}
    for name in called():
        method = METHODS[name]
        if method.token == "xoxb-":
            needed |= BY_CHANNEL.get(name) or set(method.scopes)
    assert set(SCOPES) == needed


def test_socket_mode_needs_no_address() -> None:
    made = manifest(None)
    assert made["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in json.dumps(made)


@pytest.mark.parametrize("url", ["https://care.example.com", "https://care.example.com/", "https://care.example.com/slack/events"])
def test_over_http_everything_goes_to_one_address(url: str) -> None:
    made = manifest(url)
    address = "https://care.example.com/slack/events"
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["event_subscriptions"]["request_url"] == address
    assert made["settings"]["interactivity"]["request_url"] == address
    assert made["features"]["slash_commands"][0]["url"] == address


@pytest.mark.parametrize("url", ["http://care.example.com", "care.example.com", "", "https://", "https://a@b.com", "https://b.com/?x=1"])
def test_an_address_that_slack_cant_reach_is_refused(url: str) -> None:
    with pytest.raises(BadUrl, match="https"):
        manifest(url)


def test_the_manifest_keeps_to_slacks_limits() -> None:
    """Those of slackapi/manifest-schema, manifest.schema.2.0.0.json."""
    made = manifest("https://care.example.com")
    shown, features = made["display_information"], made["features"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 175 <= len(shown["long_description"]) <= 4000
    assert re.fullmatch(r"#[0-9a-f]{6}", shown["background_color"])
    assert len(features["agent_view"]["agent_description"]) <= 300
    assert 1 <= len(features["agent_view"]["suggested_prompts"]) <= 4
    assert len(features["shortcuts"][0]["name"]) <= 24
    assert len(features["shortcuts"][0]["description"]) <= 150
    assert set(features) == {"app_home", "bot_user", "agent_view", "shortcuts", "slash_commands"}


def test_the_command_prints_json_and_nothing_else() -> None:
    run = CliRunner().invoke(slack, ["manifest", "--url", "https://care.example.com"])
    assert json.loads(run.stdout) == manifest("https://care.example.com")
    refused = CliRunner().invoke(slack, ["manifest", "--url", "http://x"])
    assert refused.exit_code == 2
    assert "https://care.example.com" in refused.output
