"""A running fake, and a bolt app on it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import FakeSlack


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as running:
        running.outbox.interaction_seconds = running.trigger_seconds = 30.0  # a busy machine needs more than Slack's three
        yield running


@pytest.fixture
async def app(slack: FakeSlack) -> AsyncIterator[AsyncApp]:
    """A bolt app on one socket that acknowledges everything and does nothing."""
    async with aiohttp.ClientSession() as session:
        app = quiet(
            AsyncApp(client=AsyncWebClient(slack.bot_token, slack.api_url, session=session), raise_error_for_unhandled_request=True)
        )
        handler = AsyncSocketModeHandler(app, slack.app_token)
        await handler.connect_async()
        await slack.connected()
        yield app
        await handler.close_async()
        await asyncio.sleep(0)  # bolt lets go of its cancelled tasks


def quiet(app: AsyncApp) -> AsyncApp:
    """What no listener takes is acknowledged all the same."""

    @app.error
    async def unhandled(error: Exception) -> BoltResponse:
        return BoltResponse(status=200)

    return app
