"""The fake under load, in the same process as the app: it must never be what a connector's test waits for."""

import asyncio
import time
from collections import Counter

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import ADA, SUPPORT, FakeSlack
from tests.fakes.slack.workspace import Json
from tests.seconds import within


@pytest.mark.alone
@pytest.mark.parametrize(("events", "rate"), [(100, 50)])
async def test_every_event_arrives_through_duplicates_and_disconnects(slack: FakeSlack, app: AsyncApp, events: int, rate: int) -> None:
    heard: Counter[str] = Counter()

    @app.event("app_mention")
    async def mentioned(event: Json, client: AsyncWebClient) -> None:
        heard[event["ts"]] += 1
        if heard[event["ts"]] == 1:
            stream = await client.chat_stream(
                channel=SUPPORT, thread_ts=event["ts"], recipient_team_id="T0CAREHQ01", recipient_user_id=ADA, buffer_size=1
            )
            for _ in range(4):
                await stream.append(markdown_text="word ")
            await stream.stop()

    others = [AsyncSocketModeHandler(app, slack.app_token) for _ in range(2)]
    for other in others:
        await other.connect_async()
    await slack.connected(3)
    slack.outbox.duplicates = 0.05
    began = time.monotonic()
    for number in range(events):
        slack.mention(ADA, SUPPORT, f"question {number}")
        if number % 50 == 49:
            slack.disconnect(1)
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
    asked = [said for said in slack.messages(SUPPORT) if said.user == ADA]
    await slack.until(lambda: all(slack.answers(said) for said in asked))
    await slack.settled()
    assert {len(slack.answers(said)) for said in asked} == {1}
    within(1.0, [slack.outbox.latencies()[-1]])
    for other in others:
        await other.close_async()
