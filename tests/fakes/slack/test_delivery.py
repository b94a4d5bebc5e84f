"""How the fake tells an app of events: over HTTP, again when it is not heard, and through disconnects."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import ADA, SUPPORT, FakeSlack
from tests.fakes.slack.conftest import quiet
from tests.fakes.slack.http_events import signed
from tests.fakes.slack.workspace import Json


@asynccontextmanager
async def listening(slack: FakeSlack) -> AsyncIterator[AsyncApp]:
    """A bolt app that takes events over HTTP."""
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(slack.bot_token, slack.api_url, session=session)
        app = quiet(AsyncApp(client=client, signing_secret=slack.signing_secret, raise_error_for_unhandled_request=True))
        runner = web.AppRunner(app.web_app("/slack/events"), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        slack.deliver_to(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
        yield app
        await runner.cleanup()


async def test_events_commands_and_buttons_arrive_over_http(slack: FakeSlack) -> None:
    async with listening(slack) as app:

        @app.event("app_mention")
        async def mentioned(event: Json, say: object) -> None:
            await say(text="yes?", thread_ts=event["ts"])

        @app.command("/care")
        async def care(ack: object) -> None:
            await ack("help")

        asked = slack.mention(ADA, SUPPORT, "hello")
        (answer,) = await slack.until(lambda: slack.answers(asked))
        assert answer.text == "yes?"
        await slack.command("/care", "", ADA, SUPPORT)
        assert [said.text for said in slack.ephemerals] == ["help"]
        await slack.settled()


async def test_an_address_is_verified_when_it_is_entered(slack: FakeSlack) -> None:
    async with listening(slack):
        assert slack.http is not None
        assert await slack.http.verify()


async def test_a_forged_request_is_refused_by_the_app(slack: FakeSlack) -> None:
    async with listening(slack):
        assert slack.http is not None
        body = json.dumps({"type": "event_callback", "event": {"type": "app_mention"}})
        status, _ = await slack.http.post(body, {"Content-Type": "application/json", **signed("wrong", body)})
        assert status == 401


async def test_what_is_not_acknowledged_is_told_again_under_another_envelope(slack: FakeSlack, app: AsyncApp) -> None:
    seen: list[tuple[str, int]] = []

    @app.event("message")
    async def said(body: Json, request: object) -> None:
        seen.append((body["event_id"], len(seen)))

    slack.outbox.ack_seconds, slack.outbox.retry_pauses, slack.outbox.lose_acks = 0.05, (0.0, *(0.05,) * 1000), 1
    slack.say(ADA, SUPPORT, "hello")
    await slack.until(lambda: len(seen) >= 2)
    await slack.settled()
    assert {event_id for event_id, _ in seen} == {slack.outbox.sent[0].payload["event_id"]}
    assert slack.outbox.sent[0].attempts >= 2
    assert slack.outbox.sent[0].acked


async def test_nothing_is_lost_over_a_disconnect(slack: FakeSlack, app: AsyncApp) -> None:
    seen: list[str] = []

    @app.event("message")
    async def said(event: Json) -> None:
        seen.append(event["text"])

    slack.disconnect()
    slack.say(ADA, SUPPORT, "said while nobody is connected")
    await slack.until(lambda: seen == ["said while nobody is connected"])
    assert slack.sockets.connections >= 2


async def test_every_event_can_be_told_twice(slack: FakeSlack, app: AsyncApp) -> None:
    seen: list[str] = []

    @app.event("message")
    async def said(body: Json) -> None:
        seen.append(body["event_id"])

    slack.outbox.duplicates = 1.0
    slack.say(ADA, SUPPORT, "hello")
    await slack.until(lambda: len(seen) == 2)
    assert len(set(seen)) == 1


async def test_events_are_shared_among_several_sockets(slack: FakeSlack, app: AsyncApp) -> None:
    async with asyncio.timeout(60):
        second = AsyncSocketModeHandler(app, slack.app_token)
        await second.connect_async()
        await slack.connected(2)
        for number in range(4):
            slack.say(ADA, SUPPORT, f"message {number}")
        await slack.settled()
        await second.close_async()
        await slack.until(lambda: len(slack.sockets) == 1)
