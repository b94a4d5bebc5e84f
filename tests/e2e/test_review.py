"""Reviewing as people do it: in a terminal's commands and on the page, by keyboard."""

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from bot.store import Store
from bot.turns import Question, Rating, Reply, Status
from tests.browser import chromium, needs_chromium
from tests.e2e.serving import Server
from tests.here import care_here
from tests.train.people import Day
from train import recipe as recipes

RECIPES = Path(recipes.__file__).with_name("recipes")
CORRECTIONS = ("Bring the letter to the desk.", "Take it twice a day.", "Ask the nurse first.")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    store = Store(folder / "care.db")
    day = Day(store)
    for number, correction in enumerate(CORRECTIONS):
        question = ("Where is my medical letter?", "How often a tablet?", "May I eat before surgery?")[number]
        day.rate(day.ask(question, user=f"u{number}", domain="medical"), -1, user=f"u{number}", correction=correction)
    store.close()
    return folder


def test_in_a_terminal_what_waits_is_listed_approved_edited_and_rejected(home: Path) -> None:
    listed = json.loads(care_here(home, "review", "--json").stdout)
    assert [(each["response"], each["corrects"]) for each in listed] == [(each, "Switch it off and on.") for each in CORRECTIONS]
    assert care_here(home, "review", "--list").stdout.count("instead of  Switch it off and on.") == 3
    done = care_here(home, "review", "--approve", "t1", "--reject", "t2", "--edit", "t3", "Ask the doctor.", "--as", "cli:rev")
    assert done.stdout.split() == ["approved", "t1", "rejected", "t2", "edited", "t3"]
    assert "nothing waits" in care_here(home, "review", "--list").stdout
    again = care_here(home, "review", "--approve", "t1")
    assert (again.returncode, "does not wait" in again.stderr) == (2, True)


def test_nobody_reviews_their_own(home: Path) -> None:
    refused = care_here(home, "review", "--approve", "t1", "--as", "web:u0")
    assert (refused.returncode, "somebody else has to review it" in refused.stderr) == (2, True)
    assert care_here(home, "review", "--approve", "all", "--as", "web:u0").stdout.count("approved") == 2


def with_a_bad_answer(home: Path) -> Path:
    """Somebody votes an answer down; a recipe that learns from that."""
    with contextlib.closing(Store(home / "care.db")) as store:
        asked_at = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
        store.receive(Question("web", "bad", "c-kept", "u9", "May I share my tablets?", asked_at), "t4", "medical")
        store.finish("t4", Reply("Of course you may.", None, Status.ANSWERED, asked_at))
        store.rate(Rating("t4", "u9", -1, asked_at))
    recipe = home / "kto.toml"
    recipe.write_text((RECIPES / "embedded.toml").read_text().replace('method = "sft"', 'method = "kto"'))
    return recipe


def test_in_a_terminal_a_bad_answer_waits_for_recipes_that_learn_from_it_and_is_shown_as_one(home: Path) -> None:
    recipe = with_a_bad_answer(home)
    assert "t4" not in care_here(home, "review", "--list").stdout
    listed = care_here(home, "review", "--list", "--recipe", str(recipe)).stdout
    assert "BAD? Of course you may." in listed
    assert "whoever approves it says that the answer is bad" in listed


@needs_chromium
async def test_on_the_page_by_keyboard(home: Path) -> None:
    care_here(home, "review", "--list", "--recipe", str(with_a_bad_answer(home)))
    with Server.scripted(home) as server:
        async with chromium() as browser:
            page = await browser.new_page(viewport={"width": 1000, "height": 800})
            await page.goto(f"{server.url}/ops/review")
            await expect(page.get_by_test_id("count")).to_have_text("4 to review")
            await page.get_by_text("Instead of this answer").click()
            await expect(page.get_by_test_id("instead")).to_contain_text("Switch it off and on.")
            if folder := os.environ.get("CARE_SCREENSHOTS"):
                await page.screenshot(path=f"{folder}/review.png")
            await page.keyboard.press("a")
            await expect(page.get_by_test_id("count")).to_have_text("3 to review")
            await page.keyboard.press("e")
            await page.get_by_test_id("response").fill("Twice a day, after a meal.")
            await page.keyboard.press("Control+Enter")
            await expect(page.get_by_test_id("count")).to_have_text("2 to review")
            await page.keyboard.press("r")
            await expect(page.get_by_test_id("what")).to_have_text("What CARE would learn not to answer")
            await expect(page.get_by_test_id("edit")).to_be_hidden()
            await page.keyboard.press("e")
            await page.keyboard.press("a")
            await expect(page.get_by_test_id("empty")).to_be_visible()
        decided = [(row["decision"], row["edited"]) for row in server.rows("SELECT * FROM reviews ORDER BY turn_id")]
        assert decided == [("approved", None), ("edited", "Twice a day, after a meal."), ("rejected", None), ("approved", None)]


async def test_over_http_a_stale_or_foreign_decision_is_refused(home: Path) -> None:
    care_here(home, "review", "--list")
    with Server.scripted(home) as server:
        async with aiohttp.ClientSession(server.url, cookies={"care_user": "u0"}) as session:
            async with session.get("/api/reviews") as response:
                waiting = (await response.json())["waiting"]
            assert [(each["own"], each["bad"]) for each in waiting] == [(True, False), (False, False), (False, False)]
            cases = [
                ("t1", {"sha256": waiting[0]["sha256"], "decision": "approved"}, 409),
                ("t2", {"sha256": "0" * 64, "decision": "approved"}, 409),
                ("t2", {"sha256": waiting[1]["sha256"], "decision": "edited"}, 409),
                ("t2", {"sha256": waiting[1]["sha256"], "decision": "maybe"}, 422),
                ("t9", {"sha256": "0" * 64, "decision": "approved"}, 409),
                ("t2", {"sha256": waiting[1]["sha256"], "decision": "approved"}, 200),
                ("t2", {"sha256": waiting[1]["sha256"], "decision": "approved"}, 200),
                ("t2", {"sha256": waiting[1]["sha256"], "decision": "rejected"}, 409),
            ]
            for turn_id, body, status in cases:
                async with session.post(f"/api/reviews/{turn_id}", json=body) as response:
                    assert response.status == status, (turn_id, body, await response.text())
