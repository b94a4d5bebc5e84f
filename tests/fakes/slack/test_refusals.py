"""What the fake refuses, with Slack's own words: a connector that passes here has asked for nothing that Slack does not give."""

import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import ADA, ADMINS, RANDOM, SUPPORT, FakeSlack
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.test_fake import FEEDBACK, MODAL
from tests.fakes.slack.workspace import Json


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(slack.bot_token, slack.api_url)


async def refusal(call: object) -> Json:
    """What Slack said instead of doing it."""
    with pytest.raises(SlackApiError) as caught:
        await call  # type: ignore[misc]
    return caught.value.response.data


async def test_a_missing_scope_is_named(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.scopes = {"im:history"}
    said = await refusal(client.chat_postMessage(channel=SUPPORT, text="hello"))
    assert said == {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "im:history"}
    assert (await client.auth_test()).headers["x-oauth-scopes"] == "im:history"


async def test_unknown_methods_and_arguments_are_refused(slack: FakeSlack, client: AsyncWebClient) -> None:
    assert (await refusal(client.api_call("chat.shout")))["error"] == "unknown_method"
    said = await refusal(client.chat_postMessage(channel=SUPPORT, text="hello", colour="red"))
    assert said["error"] == "invalid_arguments"
    assert said["response_metadata"]["messages"] == ["[ERROR] unexpected argument: colour"]
    assert (await refusal(client.api_call("chat.postMessage", json={"text": "hello"})))["error"] == "invalid_arguments"
    assert (await refusal(client.api_call("chat.postMessage", json={"channel": SUPPORT, "text": {"a": 1}})))["error"] == "invalid_arguments"


async def test_tokens_are_looked_at(slack: FakeSlack, client: AsyncWebClient) -> None:
    assert (await refusal(AsyncWebClient("", slack.api_url).auth_test()))["error"] == "not_authed"
    assert (await refusal(AsyncWebClient("xoxb-other", slack.api_url).auth_test()))["error"] == "invalid_auth"
    assert (await refusal(client.apps_connections_open(app_token=slack.bot_token)))["error"] == "not_allowed_token_type"
    slack.revoke()
    assert (await refusal(client.auth_test()))["error"] == "token_revoked"


async def test_places_are_looked_at(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.workspace.channels[ADMINS].members.clear()
    assert (await refusal(client.chat_postMessage(channel="C404", text="hello")))["error"] == "channel_not_found"
    assert (await refusal(client.chat_postMessage(channel=ADMINS, text="hello")))["error"] == "channel_not_found"
    assert (await refusal(client.chat_postMessage(channel=RANDOM, text="hello")))["error"] == "not_in_channel"
    assert (await refusal(client.chat_postMessage(channel=SUPPORT, thread_ts="1.2", text="hello")))["error"] == "invalid_thread_ts"
    theirs = slack.say(ADA, SUPPORT, "mine")
    assert (await refusal(client.chat_update(channel=SUPPORT, ts=theirs.ts, text="yours")))["error"] == "cant_update_message"
    assert (await refusal(client.chat_delete(channel=SUPPORT, ts=theirs.ts)))["error"] == "cant_delete_message"


async def test_long_messages_are_refused(slack: FakeSlack, client: AsyncWebClient) -> None:
    assert (await refusal(client.chat_postMessage(channel=SUPPORT, text="x" * 40_001)))["error"] == "msg_too_long"
    assert (await refusal(client.chat_postMessage(channel=SUPPORT, markdown_text="x" * 10_001)))["error"] == "msg_too_long"
    assert (await refusal(client.chat_postMessage(channel=SUPPORT, markdown_text="x", text="y")))["error"] == "markdown_text_conflict"
    assert (await refusal(client.api_call("chat.postMessage", json={"channel": SUPPORT})))["error"] == "no_text"
    root = slack.say(ADA, SUPPORT, "hello")
    stream = {"channel": SUPPORT, "ts": await started(client, root.ts)}
    await client.chat_appendStream(**stream, markdown_text="x" * 9_000)
    assert (await refusal(client.chat_appendStream(**stream, markdown_text="x" * 1_001)))["error"] == "msg_too_long"
    await client.chat_stopStream(**stream)
    assert len(slack.answers(root)[0].text) == 9_000


async def started(client: AsyncWebClient, root: str) -> str:
    """A new stream in #support."""
    found = await client.chat_startStream(channel=SUPPORT, thread_ts=root, recipient_team_id="T0CAREHQ01", recipient_user_id=ADA)
    return str(found["ts"])


async def test_streams_end(slack: FakeSlack, client: AsyncWebClient) -> None:
    root = slack.say(ADA, SUPPORT, "hello")
    assert (await refusal(client.chat_startStream(channel=SUPPORT, thread_ts=root.ts)))["error"] == "missing_recipient_user_id"
    stream = {"channel": SUPPORT, "ts": await started(client, root.ts)}
    assert (await refusal(client.chat_update(**stream, text="not yet")))["error"] == "streaming_state_conflict"
    slack.expire_streams()
    assert (await refusal(client.chat_appendStream(**stream, markdown_text="x")))["error"] == "message_not_in_streaming_state"
    assert (await refusal(client.chat_stopStream(**stream)))["error"] == "message_not_in_streaming_state"
    await client.chat_update(**stream, text="saved")
    assert slack.answers(root)[0].text == "saved"
    again = {"channel": SUPPORT, "ts": await started(client, root.ts)}
    slack.stop(SUPPORT, root.ts, ADA)
    assert (await refusal(client.chat_appendStream(**again, markdown_text="x")))["error"] == "message_not_in_streaming_state"


def section(**fields: object) -> Json:
    """A section block."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}, **fields}


def button(**fields: object) -> Json:
    """A button in an actions block."""
    return {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}, "action_id": "go", **fields}]}


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([{"text": "hello"}], "missing required field: type [json-pointer:/blocks/0]"),
        ([{"type": "sections"}], "unsupported type: sections [json-pointer:/blocks/0/type]"),
        ([section(text="hello")], "must be an object [json-pointer:/blocks/0/text]"),
        ([section(text={"type": "mrkdwn", "text": "x" * 3001})], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
        ([section(text={"type": "mrkdwn", "text": ""})], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ([section(color="red")], "additional property: color [json-pointer:/blocks/0]"),
        ([{"type": "section"}], "must have one of: text, fields [json-pointer:/blocks/0]"),
        ([section()] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
        ([section(block_id="a"), section(block_id="a")], "block_id a already exists [json-pointer:/blocks]"),
        ([button(text={"type": "mrkdwn", "text": "Go"})], "unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]"),
        ([button(value=7)], "must be a string [json-pointer:/blocks/0/elements/0/value]"),
        ([button(style="green")], "must be a valid enum value: primary, danger [json-pointer:/blocks/0/elements/0/style]"),
        ([button(url="javascript:1")], "must be a valid URL [json-pointer:/blocks/0/elements/0/url]"),
        (
            [{"type": "actions", "elements": FEEDBACK["elements"]}],
            "unsupported type: feedback_buttons [json-pointer:/blocks/0/elements/0/type]",
        ),
        (
            [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
    ],
)
async def test_blocks_of_the_wrong_shape_are_refused(client: AsyncWebClient, blocks: list[Json], message: str) -> None:
    said = await refusal(client.chat_postMessage(channel=SUPPORT, text="hello", blocks=blocks))
    assert said["error"] == "invalid_blocks"
    assert f"[ERROR] {message}" in said["response_metadata"]["messages"]


async def test_views_need_a_fresh_trigger_and_the_right_shape(slack: FakeSlack, app: AsyncApp) -> None:
    client, triggers = app.client, []

    @app.command("/care")
    async def care(ack: object, command: Json) -> None:
        await ack()
        triggers.append(command["trigger_id"])

    await slack.command("/care", "", ADA, SUPPORT)
    assert (await refusal(client.views_open(trigger_id="1.2", view=MODAL)))["error"] == "invalid_trigger_id"
    untitled = {name: value for name, value in MODAL.items() if name != "title"}
    said = await refusal(client.views_open(trigger_id=triggers[0], view=untitled))
    assert said["response_metadata"]["messages"] == ["[ERROR] missing required field: title [json-pointer:/view]"]
    await client.views_open(trigger_id=triggers[0], view=MODAL)
    assert (await refusal(client.views_open(trigger_id=triggers[0], view=MODAL)))["error"] == "exchanged_trigger_id"
    await slack.command("/care", "", ADA, SUPPORT)
    slack.trigger_seconds = 0.0
    assert (await refusal(client.views_open(trigger_id=triggers[1], view=MODAL)))["error"] == "expired_trigger_id"


async def test_an_update_with_text_alone_takes_the_blocks_away(slack: FakeSlack, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=SUPPORT, text="fallback", blocks=[section(), FEEDBACK])
    where = {"channel": SUPPORT, "ts": posted["ts"]}
    await client.chat_update(**where, text="fallback", blocks=[section()])
    said = slack.messages(SUPPORT)[-1]
    assert (len(said.blocks), said.edited) == (1, None)
    await client.chat_update(**where, text="text alone")
    assert (said.blocks, said.reading) == ([], "text alone")
    assert said.edited


async def test_a_status_line_is_forgotten_after_a_while(slack: FakeSlack, client: AsyncWebClient) -> None:
    root = slack.say(ADA, SUPPORT, "hello")
    await client.assistant_threads_setStatus(channel_id=SUPPORT, thread_ts=root.ts, status="is looking…")
    assert slack.workspace.statuses
    slack.status_seconds = 0.02
    await client.assistant_threads_setStatus(channel_id=SUPPORT, thread_ts=root.ts, status="is writing…")
    await slack.until(lambda: not slack.workspace.statuses)


async def test_rates_are_limited_when_that_is_switched_on(slack: FakeSlack, client: AsyncWebClient) -> None:
    root = slack.say(ADA, SUPPORT, "hello")
    slack.faults.limited = True
    for _ in range(20):
        await started(client, root.ts)
    with pytest.raises(SlackApiError) as caught:
        await started(client, root.ts)
    assert caught.value.response.status_code == 429
    assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 60


async def test_faults_come_as_often_as_was_asked_for(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.faults.refuse("auth.test", "fatal_error", times=2)
    slack.faults.rate_limit("auth.test", retry_after=7)
    said = [await refusal(client.auth_test()) for _ in range(3)]
    assert [answer["error"] for answer in said] == ["fatal_error", "fatal_error", "ratelimited"]
    slack.faults.outage(times=1)
    with pytest.raises(SlackApiError):
        await client.auth_test()
    assert (await client.auth_test())["ok"]


async def test_a_lost_reply_has_had_its_effect(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.faults.lose_replies("chat.postMessage")
    client.retry_handlers.clear()
    with pytest.raises(Exception, match="disconnected"):
        await client.chat_postMessage(channel=SUPPORT, text="said once")
    assert [said.text for said in slack.messages(SUPPORT)] == ["said once"]


async def test_an_app_has_what_its_manifest_asks_for() -> None:
    manifest = {
        "features": {"slash_commands": [{"command": "/care"}], "shortcuts": [{"callback_id": "teach_care", "name": "Teach CARE"}]},
        "oauth_config": {"scopes": {"bot": ["chat:write", "im:history"]}},
        "settings": {"event_subscriptions": {"bot_events": ["message.im", "app_mention"]}},
    }
    async with FakeSlack.installed(manifest) as slack:
        slack.mention(ADA, SUPPORT, "not heard: the scope app_mentions:read is missing")
        slack.say(ADA, slack.dm(ADA), "heard")
        assert [delivery.payload["event"]["text"] for delivery in slack.outbox.sent] == ["heard"]
        with pytest.raises(Refused, match="not in its manifest"):
            await slack.command("/care", "", ADA, SUPPORT)  # without the scope `commands`
