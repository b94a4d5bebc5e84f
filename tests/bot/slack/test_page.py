"""What `make demo-slack` shows: CARE in the fake workspace's page, in a real browser."""

from playwright.async_api import expect

from tests.bot.slack.conftest import Care
from tests.browser import chromium, needs_chromium


@needs_chromium
async def test_a_newcomer_asks_and_says_what_the_answer_should_have_been(care: Care) -> None:
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(care.slack.url)
        await page.get_by_test_id("composer").fill("Why is my bill so high?")
        await page.get_by_test_id("composer").press("Enter")
        answer = page.locator("#thread-log [data-testid=message]").nth(1)
        await expect(answer).to_contain_text("You asked: Why is my bill so high? Bye.")
        await answer.get_by_label("Bad answer").click()
        await page.locator("#modal textarea").last.fill("Your plan has changed")
        await page.locator("#modal").get_by_role("button", name="Send").click()
        await expect(answer).to_contain_text("Noted")
        await care.slack.until(lambda: [rating["correction"] for rating in care.ratings()] == ["Your plan has changed"])
