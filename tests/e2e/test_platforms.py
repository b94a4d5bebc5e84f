"""`care serve` with Slack: wired by its settings, in both modes, with Slack away, and killed while it posts."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from bot.notices import OPERATORS, Notice
from bot.store import Store
from bot.turns import Handover, Question, now
from tests.e2e.serving import Server, running
from tests.fakes.slack import ADA, ADMINS, EXPERTS, SUPPORT, TEAM, FakeSlack


def settings(slack: FakeSlack, **more: str) -> Mapping[str, str]:
    return {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_HANDOVER_CHANNEL": EXPERTS,
        "SLACK_ADMIN_CHANNEL": ADMINS,
        **more,
    }


async def test_a_bot_token_is_all_it_takes(tmp_path: Path) -> None:
    async with FakeSlack() as slack, running(Server.scripted(tmp_path / "home", settings=settings(slack))) as server:
        await slack.connected(2)
        asked = slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await slack.until(lambda: slack.answers(asked))
        assert "Why is my bill so high?" in slack.answers(asked)[0].reading
        assert await asyncio.to_thread(server.stop) == 0
        assert [row["platform"] for row in server.rows("SELECT platform FROM turns")] == ["slack"]


async def test_signed_events_pass_where_everybody_else_needs_the_token(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        given = settings(slack, SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=slack.signing_secret, CARE_TOKEN="t0ken")
        async with running(Server.scripted(tmp_path / "home", settings=given)) as server, aiohttp.ClientSession() as session:
            slack.deliver_to(f"{server.url}/slack/events")
            asked = slack.mention(ADA, SUPPORT, "Why is my bill so high?")
            await slack.until(lambda: slack.answers(asked))
            async with session.post(f"{server.url}/slack/events", json={"type": "event_callback"}) as response:
                assert response.status == 401
            async with session.get(f"{server.url}/api/me") as response:
                assert response.status == 401


async def test_a_slack_that_is_away_stops_nothing(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        given = settings(slack)
    async with running(Server.scripted(tmp_path / "home", settings=given)) as server, aiohttp.ClientSession() as session:
        await server.ready(session)
        assert await asyncio.to_thread(server.stop) == 0


def something_to_post(home: Path) -> None:
    """What a server that died left to be posted."""
    home.mkdir(parents=True)
    store = Store(home / "care.db")
    place = f"{TEAM}/{SUPPORT}/1.000001"
    question = Question("slack", "Ev1", place, ADA, "My line is dead", now(), message=place)
    store.receive(question, "t1", "telecom")
    store.hand_over(Handover("h1", "slack", place, ADA, None, now()))
    store.notify([Notice("n1", "rollback", OPERATORS, "", "s", "LoRA x was taken back", now())])
    store.close()


async def posts_after_a_kill(home: Path, point: str) -> tuple[int, int]:
    """How often a hand-over and a notice stand in their channels after a kill at this point and two more starts."""
    something_to_post(home)
    async with FakeSlack() as slack:
        given = settings(slack, SLACK_SOCKETS="1")
        dying = Server.scripted(home, "--kill-at", f"{point}:1", settings=given)
        await asyncio.to_thread(dying.__enter__)
        assert await asyncio.to_thread(dying.wait) == -9
        for _ in range(2):
            async with running(Server.scripted(home, settings=given)) as server:
                await slack.connected(1)
                await slack.until(lambda server=server: _all_posted(server))
        experts = sum("My line is dead" in message.reading for message in slack.messages(EXPERTS))
        return experts, sum("LoRA x was taken back" in message.reading for message in slack.messages(ADMINS))


def _all_posted(server: Server) -> bool:
    return not server.rows("SELECT 1 FROM handovers WHERE message IS NULL") and bool(server.rows("SELECT 1 FROM told"))


async def test_a_kill_after_the_note_of_a_post_makes_no_second_one(tmp_path: Path) -> None:
    assert await posts_after_a_kill(tmp_path / "first", "handover noted") == (1, 1)
    assert await posts_after_a_kill(tmp_path / "second", "notice noted") == (1, 1)


async def test_a_kill_between_a_post_and_its_note_loses_nothing(tmp_path: Path) -> None:
    experts, admins = await posts_after_a_kill(tmp_path / "home", "handed over")
    assert (1 <= experts <= 2, admins) == (True, 1)
