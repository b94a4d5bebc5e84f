"""The fake Slack with a real bolt app: what a connector stands on."""

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import ADA, BOT_USER, GRACE, RANDOM, SUPPORT, FakeSlack
from tests.fakes.slack.workspace import Json

FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "care_feedback",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "1"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "-1"},
        }
    ],
}
MODAL = {
    "type": "modal",
    "callback_id": "care_correction",
    "title": {"type": "plain_text", "text": "What was wrong?"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "correction",
            "label": {"type": "plain_text", "text": "What should it have said?"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        }
    ],
}


def kinds(slack: FakeSlack) -> list[str]:
    """What the app was told, in order."""
    found = []
    for delivery in slack.outbox.sent:
        subtype = delivery.payload.get("event", {}).get("subtype")
        found.append(f"{delivery.event_type}/{subtype}" if subtype else delivery.event_type)
    return found


async def test_a_mention_is_streamed_an_answer(slack: FakeSlack, app: AsyncApp) -> None:
    @app.event("app_mention")
    async def mentioned(event: Json, client: AsyncWebClient) -> None:
        where = {"channel": event["channel"], "thread_ts": event["ts"]}
        stream = await client.chat_stream(**where, recipient_team_id=event["team"], recipient_user_id=event["user"], buffer_size=1)
        for word in ("You ", "asked ", "**me**"):
            await stream.append(markdown_text=word)
        await stream.stop(blocks=[FEEDBACK])

    asked = slack.mention(ADA, SUPPORT, "hello")
    (answer,) = await slack.until(lambda: slack.answers(asked))
    assert answer.text == "You asked **me**"
    assert answer.element("care_feedback")
    await slack.settled()
    assert kinds(slack)[:2] == ["app_mention", "message"]
    first, second = (delivery.payload["event_id"] for delivery in slack.outbox.sent[:2])
    assert first != second


async def test_what_people_do_reaches_the_app(slack: FakeSlack, app: AsyncApp) -> None:
    said = slack.say(ADA, slack.dm(ADA), "hello", files=["bill.pdf"])
    slack.edit(said, "hello again")
    slack.react(ADA, said, "+1")
    slack.unreact(ADA, said, "+1")
    slack.unfurl(said)
    slack.delete(said)
    slack.open_home(ADA)
    slack.join(GRACE, SUPPORT)
    slack.stop(said.channel, said.ts, ADA)
    slack.say(ADA, RANDOM, "the app is not in this channel")
    await slack.settled()
    assert kinds(slack) == [
        "message/file_share",
        "message/message_changed",
        "reaction_added",
        "reaction_removed",
        "message/message_changed",
        "message/message_deleted",
        "app_home_opened",
        "member_joined_channel",
        "message/channel_join",
        "agent_session_stopped",
    ]


async def test_a_deleted_message_with_a_thread_becomes_a_tombstone(slack: FakeSlack, app: AsyncApp) -> None:
    asked = slack.say(ADA, SUPPORT, "hello")
    slack.say(GRACE, SUPPORT, "hi", thread_ts=asked.ts)
    slack.delete(asked)
    event = slack.outbox.sent[-1].payload["event"]
    assert event["subtype"] == "message_changed"
    assert event["message"]["subtype"] == "tombstone"
    assert event["previous_message"]["text"] == "hello"


async def test_a_button_opens_a_modal_that_is_submitted(slack: FakeSlack, app: AsyncApp) -> None:
    heard: list[Json] = []

    @app.action("care_feedback")
    async def pressed(ack: object, body: Json, action: Json, client: AsyncWebClient) -> None:
        await ack()
        heard.append(action)
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view("care_correction")
    async def submitted(ack: object, view: Json) -> None:
        text = view["state"]["values"]["correction"]["text"]["value"]
        if text is None:
            await ack(response_action="errors", errors={"correction": "Please say something"})
        else:
            await ack()
            heard.append({"said": text})

    posted = await app.client.chat_postMessage(channel=SUPPORT, text="an answer", blocks=[FEEDBACK])
    message = slack.messages(SUPPORT)[-1]
    assert message.ts == posted["ts"]
    pressed_at = await slack.click(message, "care_feedback", ADA, value="-1")
    assert pressed_at.acked
    view = await slack.until(lambda: slack.open_view(ADA))
    await slack.submit(view, {})
    assert view.errors == {"correction": "Please say something"}
    await slack.submit(view, {"correction": "It is the roaming"})
    assert not view.open
    await slack.until(lambda: len(heard) == 2)
    assert heard[0]["value"] == "-1"
    assert heard[1] == {"said": "It is the roaming"}


async def test_a_command_answers_its_user_alone(slack: FakeSlack, app: AsyncApp) -> None:
    @app.command("/care")
    async def care(ack: object, command: Json, respond: object) -> None:
        await ack("at once")
        await respond(f"later: {command['text']}")

    await slack.command("/care", "help", ADA, SUPPORT)
    await slack.until(lambda: len(slack.ephemerals) == 2)
    assert {said.text for said in slack.ephemerals} == {"at once", "later: help"}
    assert {said.ephemeral_to for said in slack.ephemerals} == {ADA}


async def test_a_message_shortcut_carries_the_message(slack: FakeSlack, app: AsyncApp) -> None:
    heard: list[Json] = []

    @app.shortcut("teach_care")
    async def teach(ack: object, shortcut: Json) -> None:
        await ack()
        heard.append(shortcut)

    said = slack.say(GRACE, SUPPORT, "It is the roaming")
    assert (await slack.shortcut("teach_care", said, ADA)).acked
    assert heard[0]["message"]["text"] == "It is the roaming"
    assert heard[0]["user"]["id"] == ADA


async def test_the_web_api_keeps_what_it_is_told(slack: FakeSlack, app: AsyncApp) -> None:
    client = app.client
    root = slack.say(ADA, SUPPORT, "hello")
    await client.assistant_threads_setStatus(channel_id=SUPPORT, thread_ts=root.ts, status="looking…", loading_messages=["a", "b"])
    assert slack.workspace.statuses[SUPPORT, root.ts]["status"] == "looking…"
    await client.agents_sessions_setStatus(channel_id=SUPPORT, thread_ts=root.ts, status="processing")
    await client.agents_sessions_rename(channel_id=SUPPORT, thread_ts=root.ts, title="A bill")
    assert slack.workspace.sessions[SUPPORT, root.ts] == {"title": "A bill", "status": "processing"}
    posted = await client.chat_postMessage(channel=SUPPORT, thread_ts=root.ts, text="one")
    assert not slack.workspace.statuses
    await client.chat_update(channel=SUPPORT, ts=posted["ts"], text="two")
    await client.reactions_add(channel=SUPPORT, timestamp=root.ts, name="eyes")
    await client.chat_postEphemeral(channel=SUPPORT, user=ADA, text="only you")
    found = await client.conversations_replies(channel=SUPPORT, ts=root.ts)
    assert [message["text"] for message in found["messages"]] == ["hello", "two"]
    assert root.reactions == {"eyes": [BOT_USER]}
    assert (await client.conversations_open(users=ADA))["channel"]["id"] == slack.dm(ADA)
    assert (await client.users_info(user=ADA))["user"]["team_id"] == "T0CAREHQ01"
    prompts = [{"title": "Bills", "message": "Why is my bill so high?"}]
    await client.assistant_threads_setSuggestedPrompts(channel_id=slack.dm(ADA), prompts=prompts)
    assert slack.workspace.prompts[slack.dm(ADA), None]["prompts"] == prompts
    await client.chat_delete(channel=SUPPORT, ts=posted["ts"])
    assert slack.replies(root) == []


async def test_a_file_is_uploaded_into_a_channel(slack: FakeSlack, app: AsyncApp) -> None:
    await app.client.files_upload_v2(channel=SUPPORT, content=b"\x89PNG", filename="chart.png", title="Chart")
    assert slack.messages(SUPPORT)[-1].files[0]["title"] == "Chart"
