"""What Teams was told is answered exactly once, in one message, wherever the server is killed; and a server tells who may come in."""

import asyncio
from pathlib import Path

import aiohttp

from tests.e2e.serving import Server, running
from tests.fakes.server import TEAMS_POINTS
from tests.fakes.teams import ADA, GRACE, LINUS, SUPPORT, FakeTeams, Message

_POINTS = ("committed", "answered", *TEAMS_POINTS)


def settings(teams: FakeTeams) -> dict[str, str]:
    fields = {name: value for name, value in teams.settings().items() if "channel" not in name}
    return {name.upper(): ",".join(value) if isinstance(value, tuple) else str(value) for name, value in fields.items()}


def door(server: Server) -> str:
    return f"{server.url}/api/messages"


async def test_a_killed_server_finishes_the_same_message(tmp_path: Path) -> None:
    """One server a point, side by side, each killed when it comes there for the second time."""
    await asyncio.gather(*(_killed(tmp_path / point.replace(" ", "-"), point) for point in _POINTS))


async def _killed(home: Path, point: str) -> None:
    async with FakeTeams() as teams:
        teams.outbox.answer_seconds, teams.outbox.retry_pauses = 2.0, (0.2,) * 200
        async with running(Server.scripted(home, "--kill-at", f"{point}:2", pause=0.1, settings=settings(teams))) as server:
            teams.deliver_to(door(server))
            asked = [
                teams.saying(ADA, "Why is my bill so high and what can I do about all of it now?"),
                teams.saying(GRACE, "Why is my router so slow, and where would it be faster at last?"),
                teams.saying(ADA, "Why is my phone so slow?", in_=SUPPORT),
                teams.saying(GRACE, "Why is it so loud?", in_=teams.group(GRACE, LINUS)),
            ]
            assert await asyncio.to_thread(server.wait) == -9, f"{point} was never reached"
        async with running(Server.scripted(home, settings=settings(teams))) as server:
            teams.deliver_to(door(server))
            await teams.until(lambda: all(_labelled(teams, each) for each in asked))
            await teams.settled()
            await teams.until(lambda: not server.rows("SELECT 1 FROM turns WHERE status <> 'delivered'"))
            await asyncio.to_thread(server.stop)
        for each in asked:
            replies = teams.replies(each)
            assert len(replies) == (2 if _may_double(point, replies) else 1), (point, [reply.text for reply in replies])
            assert sum(reply.text.count("You asked:") for reply in replies) == 1, (point, [reply.text for reply in replies])
        assert len(server.rows("SELECT 1 FROM turns")) == 4


def _labelled(teams: FakeTeams, asked: Message) -> list[Message]:
    return [reply for reply in teams.answers(asked) if reply.ai_label]


def _may_double(point: str, replies: list[Message]) -> bool:
    """What was posted a moment before the end, and not noted yet, is nobody's: its line stays, and the answer stands below it."""
    return point in ("informative", "at once") and len(replies) == 2 and sum(reply.ai_label for reply in replies) == 1


async def test_without_authentication_the_server_says_so_and_serves_this_machine_alone(tmp_path: Path) -> None:
    nobody = {"TEAMS_NO_AUTH": "1", "CARE_TOKEN": "t" * 24, "CARE_DRAIN_SECONDS": "1"}
    async with FakeTeams() as teams, running(Server.scripted(tmp_path, settings=nobody)) as server:
        assert "TEAMS_NO_AUTH=1" in server.log()
        hello = teams.activity(ADA, "Hello", serviceUrl="http://127.0.0.1:9/")
        refused: list[dict[str, str]] = [
            {"X-Forwarded-For": "10.0.0.1"},
            {"Host": "care.example"},
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ]
        async with aiohttp.ClientSession() as http:
            for headers in refused:
                async with http.post(door(server), json=hello, headers=headers) as response:
                    assert response.status == 403, headers
            async with http.post(door(server), json=hello) as response:
                assert response.status == 201
            async with http.post(door(server), json={**hello, "serviceUrl": "https://evil.example/"}) as response:
                assert response.status == 403


async def test_teams_passes_the_token_that_guards_everything_else(tmp_path: Path) -> None:
    async with FakeTeams() as teams, running(Server.scripted(tmp_path, settings={**settings(teams), "CARE_TOKEN": "t" * 24})) as server:
        teams.deliver_to(door(server))
        asked = await teams.say(ADA, "my card number is 4111111111111111")
        assert asked.status == 201
        await teams.until(lambda: _labelled(teams, asked))
        assert (await teams.post_raw({}, {}))[0] == 401
        assert (await teams.post_raw({}, {"Authorization": f"Bearer {'t' * 24}"}))[0] == 401
        await asyncio.to_thread(server.stop)
        for secret in ("4111111111111111", teams.password, "fake.", teams.bearer()["Authorization"].removeprefix("Bearer ")):
            assert secret not in server.log()


async def test_sigterm_finishes_what_runs_and_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    async with FakeTeams() as teams:
        teams.outbox.retry_pauses = (0.2,) * 100
        async with running(Server.scripted(tmp_path, pause=0.1, settings=settings(teams))) as server:
            teams.deliver_to(door(server))
            asked = await teams.say(ADA, "one two three four five")
            assert await asyncio.to_thread(server.stop) == 0
        assert [answer.text.startswith("You asked: one two three four five Bye.") for answer in _labelled(teams, asked)] == [True]
        late = teams.saying(ADA, "Anybody there?")
        async with running(Server.scripted(tmp_path, settings=settings(teams))) as server:
            teams.deliver_to(door(server))
            await teams.until(lambda: _labelled(teams, late))
