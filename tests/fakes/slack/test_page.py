"""The page: what it tells a browser, and one conversation in a real one."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Page, expect
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.browser import chromium, needs_chromium
from tests.fakes.slack import ADA, ADMINS, GRACE, LINUS, SUPPORT, TEAM, FakeSlack
from tests.fakes.slack.test_fake import FEEDBACK, MODAL
from tests.fakes.slack.workspace import Json


@pytest.fixture
async def session(slack: FakeSlack) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(slack.url) as session:
        yield session


async def told(session: aiohttp.ClientSession, user: str) -> Json:
    """The first thing that the feed tells somebody."""
    async with session.get("/page/feed", params={"user": user}) as feed:
        line = await feed.content.readline()
        return dict(json.loads(line.removeprefix(b"data: ")))


async def test_everybody_sees_their_own_channels_and_secrets(slack: FakeSlack, session: aiohttp.ClientSession) -> None:
    slack.say(LINUS, ADMINS, "a secret")
    client = AsyncWebClient(slack.bot_token, slack.api_url, session=session)
    await client.chat_postEphemeral(channel=SUPPORT, user=GRACE, text="only you")
    ada, grace, linus = await told(session, ADA), await told(session, GRACE), await told(session, LINUS)
    assert ADMINS not in [channel["id"] for channel in ada["channels"]]
    assert [message["text"] for message in linus["messages"]] == ["a secret"]
    assert ada["messages"] == ada["ephemerals"] == []
    assert [message["text"] for message in grace["ephemerals"]] == ["only you"]


async def test_what_is_typed_becomes_what_slack_would_send(slack: FakeSlack, app: AsyncApp, session: aiohttp.ClientSession) -> None:
    asked = {"do": "say", "user": ADA, "channel": SUPPORT, "text": "@CARE is 1 < 2 & true?"}
    async with session.post("/page/do", json=asked) as response:
        assert (await response.json())["ok"]
    assert slack.messages(SUPPORT)[0].text == "<@U0CAREBOT1> is 1 &lt; 2 &amp; true?"
    async with session.post("/page/do", json={"do": "delete", "channel": SUPPORT, "ts": "1.2"}) as response:
        assert response.status == 400
        assert "no message 1.2" in (await response.json())["error"]


@pytest.fixture
async def browser_page(slack: FakeSlack) -> AsyncIterator[Page]:
    """The page in a fresh browser."""
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(slack.url)
        yield page


@needs_chromium
async def test_ask_watch_and_correct_with_the_keyboard(slack: FakeSlack, app: AsyncApp, browser_page: Page) -> None:
    page, corrections = browser_page, []

    @app.event("message")
    async def asked(event: Json, client: AsyncWebClient) -> None:
        if event.get("subtype") or "bot_id" in event:
            return
        where = {"channel": event["channel"], "thread_ts": event["ts"]}
        stream = await client.chat_stream(**where, recipient_team_id=TEAM, recipient_user_id=event["user"], buffer_size=1)
        await stream.append(markdown_text="It is **the roaming**.\n\n- <script>alert(1)</script>")
        await stream.stop(blocks=[FEEDBACK])

    @app.action("care_feedback")
    async def pressed(ack: object, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view("care_correction")
    async def corrected(ack: object, view: Json) -> None:
        text = view["state"]["values"]["correction"]["text"]["value"]
        if text is None:
            await ack(response_action="errors", errors={"correction": "Please say something"})
        else:
            await ack()
            corrections.append(text)

    await page.get_by_test_id("composer").fill("Why is my bill so high?")
    await page.get_by_test_id("composer").press("Enter")
    answer = page.locator("#thread-log [data-testid=message]").nth(1)
    await expect(answer.locator("strong", has_text="the roaming")).to_be_visible()
    await expect(answer).to_contain_text("<script>alert(1)</script>")
    await answer.get_by_label("Bad").press("Enter")
    await expect(page.locator("#modal textarea")).to_be_focused()
    await page.locator("#modal").get_by_role("button", name="Send").press("Enter")
    await expect(page.locator("#modal .error")).to_have_text("Please say something")
    await page.locator("#modal textarea").fill("Your plan has changed")
    await page.locator("#modal").get_by_role("button", name="Send").press("Enter")
    await expect(page.locator("#modal")).to_be_hidden()
    await slack.until(lambda: corrections == ["Your plan has changed"])
