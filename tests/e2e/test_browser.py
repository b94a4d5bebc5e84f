"""The local page as people use it, in a real browser against a real server."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from bot.notices import Notice
from bot.store import Store
from bot.turns import now
from tests.browser import chromium, needs_chromium
from tests.e2e.serving import Server

pytestmark = needs_chromium
_PHONE = {"width": 360, "height": 740}

OpenPage = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
async def open_page() -> AsyncIterator[OpenPage]:
    """Opens a server's page in a fresh browser profile."""
    async with chromium() as browser:

        @asynccontextmanager
        async def open_(server: Server, viewport: dict[str, int] | None = None) -> AsyncIterator[Page]:
            context = await browser.new_context(viewport=viewport or {"width": 1280, "height": 800})
            page = await context.new_page()
            page.set_default_timeout(60_000)
            await page.goto(server.url)
            yield page
            await context.close()

        yield open_


async def _ask(page: Page, text: str) -> None:
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("composer").press("Enter")


async def test_ask_see_tokens_arrive_rate_and_find_it_all_after_a_reload(tmp_path: Path, open_page: OpenPage) -> None:
    go_on = tmp_path / "go on"
    with Server.scripted(tmp_path / "home", "--hold", str(go_on)) as server:
        async with open_page(server) as page:
            await _ask(page, "one two three four five six")
            answer = page.get_by_test_id("answer").last
            await expect(answer).to_contain_text("You asked: one two")
            await expect(answer).not_to_contain_text("Bye.")
            go_on.touch()
            await expect(answer).to_contain_text("Bye.")
            await page.get_by_test_id("thumb-down").click()
            await page.get_by_test_id("reason").select_option(index=1)
            await page.get_by_test_id("correction").fill("It should have said seven.")
            await page.get_by_test_id("save-rating").click()
            await expect(page.get_by_text("Thanks, saved.")).to_be_visible()
            await page.reload()
            await expect(page.get_by_test_id("answer")).to_contain_text("one two three four five six Bye.")
            await expect(page.get_by_test_id("thumb-down")).to_have_attribute("aria-pressed", "true")
            (rating,) = server.rows("SELECT verdict, reason, correction FROM ratings")
            assert (rating["verdict"], rating["correction"]) == (-1, "It should have said seven.")
            assert rating["reason"]
            await page.get_by_test_id("thumb-down").click()
            await expect(page.get_by_test_id("thumb-down")).to_have_attribute("aria-pressed", "false")
            await expect(page.get_by_text("Rating withdrawn.")).to_be_visible()
            assert server.rows("SELECT verdict FROM ratings")[0]["verdict"] == 0


async def test_stop_keeps_what_was_written_and_retry_replaces_it(tmp_path: Path, open_page: OpenPage) -> None:
    go_on = tmp_path / "go on"
    with Server.scripted(tmp_path / "home", "--hold", str(go_on)) as server:
        async with open_page(server) as page:
            await _ask(page, "a b c d e f")
            await expect(page.get_by_test_id("answer")).to_contain_text("You asked: a b")
            await page.get_by_test_id("stop").click()
            await expect(page.get_by_test_id("turn")).to_have_attribute("data-status", "cancelled")
            await expect(page.get_by_test_id("answer")).to_contain_text("You asked: a b")
            await expect(page.get_by_test_id("answer")).not_to_contain_text("Bye.")
            go_on.touch()
            await page.get_by_test_id("retry").click()
            await expect(page.get_by_test_id("answer").last).to_contain_text("Bye.")
            await expect(page.get_by_test_id("turn")).to_have_count(1)


async def test_everything_works_with_the_keyboard_alone(tmp_path: Path, open_page: OpenPage) -> None:
    with Server.scripted(tmp_path / "home") as server:
        async with open_page(server) as page:
            await page.get_by_test_id("composer").focus()
            await page.keyboard.type("first line")
            await page.keyboard.press("Shift+Enter")
            await page.keyboard.type("second line")
            await page.keyboard.press("Enter")
            await expect(page.get_by_test_id("answer")).to_contain_text("Bye.")
            assert server.rows("SELECT question FROM turns")[0]["question"] == "first line\nsecond line"
            await expect(page.get_by_test_id("thumb-up")).to_be_visible()
            for _ in range(30):
                await page.keyboard.press("Shift+Tab")
                if await page.evaluate("document.activeElement.dataset.testid") == "thumb-up":
                    break
            await page.keyboard.press("Enter")
            await expect(page.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")
            await expect(page.get_by_text("Thanks, saved.")).to_be_visible()
            assert server.rows("SELECT verdict FROM ratings")[0]["verdict"] == 1


async def test_conversations_are_listed_reopened_and_deleted(tmp_path: Path, open_page: OpenPage) -> None:
    with Server.scripted(tmp_path / "home") as server:
        async with open_page(server) as page:
            await _ask(page, "about my router")
            await expect(page.get_by_test_id("answer")).to_contain_text("Bye.")
            await page.get_by_test_id("new-conversation").click()
            await expect(page.get_by_test_id("turn")).to_have_count(0)
            await _ask(page, "about my card")
            await expect(page.get_by_test_id("conversation")).to_have_count(2)
            await page.get_by_test_id("conversation").filter(has_text="about my router").click()
            await expect(page.get_by_test_id("answer")).to_contain_text("about my router")
            item = page.locator("li", has=page.get_by_test_id("conversation").filter(has_text="about my router"))
            await item.get_by_test_id("delete-conversation").click()
            await page.get_by_test_id("confirm-delete").click()
            await expect(page.get_by_test_id("conversation")).to_have_count(1)
            assert [row["question"] for row in server.rows("SELECT question FROM turns")] == ["about my card"]


async def test_an_answer_survives_a_crash_of_the_server(tmp_path: Path, open_page: OpenPage) -> None:
    home = tmp_path / "home"
    with Server.scripted(home, "--kill-at", "answering:4", pause=0.1) as server:
        port = server.url.rsplit(":", 1)[1]
        async with open_page(server) as page:
            await _ask(page, "will this survive")
            await expect(page.get_by_test_id("answer")).to_contain_text("You asked")
            await asyncio.to_thread(server.wait)
            with Server.scripted(home, settings={"CARE_PORT": port}):
                await expect(page.get_by_test_id("answer")).to_contain_text("will this survive Bye.")
                await expect(page.get_by_test_id("turn")).to_have_count(1)


async def test_what_the_model_writes_cannot_act(tmp_path: Path, open_page: OpenPage) -> None:
    attack = "<img src=x onerror=window.hit=1> <script>window.hit=1</script> [go](javascript:window.hit=1) **bold**"
    with Server.scripted(tmp_path / "home") as server:
        async with open_page(server) as page:
            await _ask(page, attack)
            await expect(page.get_by_test_id("answer").locator("strong")).to_have_text("bold")
            assert await page.get_by_test_id("answer").locator("img, script, a[href^='javascript']").count() == 0
            assert await page.evaluate("window.hit") is None


async def test_the_page_fits_a_phone_and_always_shows_the_notice(tmp_path: Path, open_page: OpenPage) -> None:
    with Server.scripted(tmp_path / "home") as server:
        async with open_page(server, _PHONE) as page:
            await _ask(page, "x" * 300 + " مرحبا")
            await expect(page.get_by_test_id("answer")).to_contain_text("Bye.")
            assert await page.evaluate("document.documentElement.scrollWidth") <= _PHONE["width"]
            await expect(page.get_by_test_id("notice")).to_be_in_viewport()
            await expect(page.get_by_test_id("notice")).to_contain_text("machine")


async def test_with_a_token_people_log_in_first(tmp_path: Path, open_page: OpenPage) -> None:
    with Server.scripted(tmp_path / "home", settings={"CARE_TOKEN": "open-sesame-42"}) as server:
        async with open_page(server) as page:
            await page.get_by_label("token").fill("wrong")
            await page.keyboard.press("Enter")
            await expect(page.get_by_text("That token is not right.")).to_be_visible()
            await page.get_by_label("token").fill("open-sesame-42")
            await page.keyboard.press("Enter")
            await _ask(page, "hello")
            await expect(page.get_by_test_id("answer")).to_contain_text("You asked: hello Bye.")


async def test_what_somebody_taught_is_told_once_and_they_may_opt_out(tmp_path: Path, open_page: OpenPage) -> None:
    with Server.scripted(tmp_path / "home") as server:
        async with open_page(server) as page:
            await _ask(page, "what is puffin")
            await expect(page.get_by_test_id("answer").last).to_contain_text("Bye.")
            (turn,) = server.rows("SELECT id, user_id FROM turns")
            store = Store(server.home / "care.db")
            store.notify([Notice("n", "taught", "web", turn["user_id"], "puffin", "You taught me this: puffin.", now(), turn["id"])])
            store.close()
            await page.reload()
            await expect(page.get_by_test_id("taught")).to_contain_text("You taught me this: puffin.")
            if folder := os.environ.get("CARE_SCREENSHOTS"):
                await page.screenshot(path=f"{folder}/taught.png")
            await page.get_by_test_id("taught-seen").click()
            await expect(page.get_by_test_id("taught")).to_have_count(0)
            await page.get_by_test_id("learning").click()
            await expect(page.get_by_test_id("learning")).to_contain_text("does not learn from you")
            await page.reload()
            await expect(page.get_by_test_id("learning")).to_contain_text("does not learn from you")
            await expect(page.get_by_test_id("taught")).to_have_count(0)
            assert [row["user_id"] for row in server.rows("SELECT user_id FROM opt_outs")] == [turn["user_id"]]
