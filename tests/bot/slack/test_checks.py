from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.checks import Check
from bot.connectors.slack.checks import checks
from bot.connectors.slack.manifest import SCOPES, manifest
from bot.settings import Settings
from tests.fakes.slack import ADMINS, SUPPORT, FakeSlack
from tests.fakes.slack.workspace import BOT_USER


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack.installed(manifest(None)) as fake:
        yield fake


@pytest.fixture
def settings(slack: FakeSlack) -> Settings:
    return Settings(
        slack_bot_token=slack.bot_token,
        slack_app_token=slack.app_token,
        slack_api_url=slack.api_url,
        slack_channels=(SUPPORT,),
        slack_admin_channel=ADMINS,
        slack_handover_channel=SUPPORT,
        operators=("slack:U1",),
    )


async def wrong(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in await checks(settings) if check.state != "ok"}


async def test_an_app_made_from_our_manifest_has_nothing_to_mend(settings: Settings) -> None:
    made = await checks(settings)
    assert [check for check in made if check.state != "ok"] == []
    assert [check.name for check in made][:3] == ["bot token", "scopes", "app token"]
    assert f"exactly the {len(SCOPES)}" in made[1].detail


async def test_nothing_is_posted(slack: FakeSlack, settings: Settings) -> None:
    await checks(settings)
    assert {call.method for call in slack.calls} == {"auth.test", "apps.connections.open", "conversations.info"}


async def test_a_revoked_token_says_where_the_new_one_is(slack: FakeSlack, settings: Settings) -> None:
    slack.revoke()
    found = (await wrong(settings))["bot token"]
    assert found.state == "failed"
    assert "token_revoked" in found.detail
    assert "OAuth & Permissions" in (found.next_step or "")


async def test_a_missing_scope_is_named(slack: FakeSlack, settings: Settings) -> None:
    slack.scopes -= {"reactions:read", "files:write"}
    found = (await wrong(settings))["scopes"]
    assert found.state == "failed"
    assert found.detail == "missing: files:write, reactions:read"


async def test_a_scope_too_many_is_a_warning(slack: FakeSlack, settings: Settings) -> None:
    slack.scopes |= {"admin"}
    assert (await wrong(settings))["scopes"].state == "warning"


@pytest.mark.parametrize(("field", "name"), [("slack_bot_token", "bot token"), ("slack_app_token", "app token")])
async def test_a_token_of_the_wrong_kind_is_told_apart(settings: Settings, field: str, name: str) -> None:
    found = (await wrong(replace(settings, **{field: "xoxp-somebody"})))[name]  # type: ignore[arg-type]
    assert found.state == "failed"
    assert "another kind" in found.detail
    assert "xoxp" not in found.detail


async def test_an_unknown_app_token_is_found_out(settings: Settings) -> None:
    found = (await wrong(replace(settings, slack_app_token="xapp-1-other")))["app token"]
    assert "invalid_auth" in found.detail
    assert "App-Level Tokens" in (found.next_step or "")


async def test_a_channel_without_care_and_one_that_is_not_there(slack: FakeSlack, settings: Settings) -> None:
    slack.workspace.channels[ADMINS].members.discard(BOT_USER)
    slack.workspace.channels[ADMINS].private = False
    found = await wrong(replace(settings, slack_channels=("C0NOWHERE",)))
    assert "/invite @CARE" in (found[f"channel {ADMINS}"].next_step or "")
    assert "SLACK_CHANNELS" in found["channel C0NOWHERE"].detail


async def test_without_a_way_for_events_nothing_can_come_in(settings: Settings) -> None:
    found = await wrong(replace(settings, slack_app_token=None))
    assert found["events"].state == "failed"
    behind = await wrong(replace(settings, slack_app_token=None, slack_signing_secret="secret"))
    assert behind["events"].state == "warning"
    assert "reverse proxy" in (behind["events"].next_step or "")


async def test_a_slack_that_cant_be_reached_is_told_with_its_address(settings: Settings) -> None:
    found = await wrong(replace(settings, slack_api_url="http://127.0.0.1:9/api/"))
    assert "http://127.0.0.1:9/api/" in found["bot token"].detail


async def test_what_is_not_set_up_yet_is_a_warning(settings: Settings) -> None:
    bare = replace(settings, slack_admin_channel=None, slack_handover_channel=None)
    assert {name: check.state for name, check in (await wrong(bare)).items()} == {"hand-over": "warning", "reports": "warning"}
    assert "CARE_OPERATORS" in ((await wrong(replace(settings, operators=("cli:ada",))))["operators"].next_step or "")
