"""What Slack was told is answered exactly once, in one message, wherever the server is killed."""

import asyncio
from pathlib import Path

from tests.e2e.serving import Server, running
from tests.fakes.server import SLACK_POINTS
from tests.fakes.slack import ADA, GRACE, SUPPORT, FakeSlack

_POINTS = ("committed", "answered", *SLACK_POINTS)
_QUESTIONS = 4


def settings(slack: FakeSlack) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "SLACK_SOCKETS": "1",
    }


async def test_a_killed_server_finishes_the_same_message(tmp_path: Path) -> None:
    """One server a point, side by side, each killed when it comes there for the second time."""
    await asyncio.gather(*(_killed(tmp_path / point.replace(" ", "-"), point) for point in _POINTS))


async def _killed(home: Path, point: str) -> None:
    async with FakeSlack() as slack:
        slack.outbox.ack_seconds, slack.outbox.retry_pauses = 1.0, (0.2,) * 100
        if point == "posted":
            slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type", times=1000)
        more = " and" * (60 if point == "stream grown" else 0)
        texts = [f"Question {number}{more}" for number in range(_QUESTIONS)]
        async with running(Server.scripted(home, "--kill-at", f"{point}:2", pause=0.05, settings=settings(slack))) as server:
            await slack.connected()
            asked = [
                slack.mention(GRACE, SUPPORT, text) if number % 2 else slack.say(ADA, slack.dm(ADA), text)
                for number, text in enumerate(texts)
            ]
            assert await asyncio.to_thread(server.wait) == -9, f"{point} was never reached"
        async with running(Server.scripted(home, settings=settings(slack))) as server:
            await slack.until(lambda: all(slack.answers(each) for each in asked))
            await slack.settled()
            await server.settled()
            await slack.until(lambda: not any(reply.streaming for each in asked for reply in slack.replies(each)))
            await asyncio.to_thread(server.stop)
        for text, each in zip(texts, asked, strict=True):
            replies = slack.replies(each)
            assert len(replies) == 1, (point, [reply.reading for reply in replies])
            assert f"You asked: {text} Bye." in replies[0].reading
        rows = server.rows("SELECT question, status FROM turns ORDER BY question")
        assert [(row["question"], row["status"]) for row in rows] == [(text, "delivered") for text in texts]


async def test_the_log_of_a_whole_server_holds_no_token_and_no_text(tmp_path: Path) -> None:
    hurried = {"CARE_DRAIN_SECONDS": "1"}
    async with FakeSlack() as slack, running(Server.scripted(tmp_path, settings={**settings(slack), **hurried})) as server:
        await slack.connected()
        asked = slack.mention(ADA, SUPPORT, "my card number is 4111111111111111")
        await slack.until(lambda: slack.answers(asked))
        slack.sockets.drop()
        slack.revoke()
        slack.mention(ADA, SUPPORT, "and 4222222222222222")
        await slack.connected()
        await asyncio.to_thread(server.stop)
        log = server.log()
        for secret in ("4111111111111111", "4222222222222222", slack.bot_token, slack.app_token, "ticket"):
            assert secret not in log


async def test_sigterm_finishes_what_runs_and_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        async with running(Server.scripted(tmp_path, pause=0.1, settings=settings(slack))) as server:
            await slack.connected()
            asked = slack.mention(ADA, SUPPORT, "one two three four five")
            await slack.until(lambda: slack.replies(asked))
            assert await asyncio.to_thread(server.stop) == 0
        assert [answer.text for answer in slack.answers(asked)] == ["You asked: one two three four five Bye."]
        late = slack.mention(ADA, SUPPORT, "Anybody there?")
        async with running(Server.scripted(tmp_path, settings=settings(slack))) as server:
            await slack.until(lambda: slack.answers(late))


async def test_events_over_http_pass_the_token_that_guards_everything_else(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        over_http = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_API_URL": slack.api_url, "SLACK_SIGNING_SECRET": slack.signing_secret}
        async with running(Server.scripted(tmp_path, settings={**over_http, "CARE_TOKEN": "t" * 24})) as server:
            slack.deliver_to(f"{server.url}/slack/events")
            asked = slack.mention(ADA, SUPPORT, "Why is my bill so high?")
            await slack.until(lambda: slack.answers(asked))
            assert slack.http is not None
            assert (await slack.http.post("{}", {}))[0] == 401
