"""The token with which CARE calls Teams: one for all, fetched while nobody waits, and what happens while the login server is away."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.errors import Unreachable
from bot.settings import Settings
from tests.bot.teams.conftest import HELLO, personal
from tests.fakes.teams import ADA, GRACE, FakeTeams


@pytest.fixture
def passed(api: TeamsApi, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how many seconds have passed since the test began, for tokens."""
    moments = [1000.0]
    assert api._tokens is not None
    monkeypatch.setattr(api._tokens, "_clock", lambda: moments[-1])
    return lambda seconds: moments.append(1000.0 + seconds)


async def test_one_token_does_for_many_calls(teams: FakeTeams, api: TeamsApi) -> None:
    await asyncio.gather(*(api.post(personal(teams, person), HELLO) for person in (ADA, GRACE, ADA, GRACE, ADA)))
    await api.post(personal(teams), HELLO)
    assert teams.login.issued == 1


async def test_a_token_that_is_about_to_end_is_replaced(teams: FakeTeams, api: TeamsApi, passed: Callable[[float], None]) -> None:
    await api.post(personal(teams), HELLO)
    for later, issued in ((3200.0, 1), (3400.0, 2), (6500.0, 2), (6800.0, 3)):
        passed(later)
        await api.post(personal(teams), HELLO)
        await teams.until(lambda wanted=issued: teams.login.issued == wanted)


async def test_a_login_server_that_is_away_ends_no_token_before_its_time(
    teams: FakeTeams, api: TeamsApi, passed: Callable[[float], None]
) -> None:
    await api.post(personal(teams), HELLO)
    teams.faults.outage("token", times=100)
    for later in (3400.0, 3500.0):
        passed(later)
        await api.post(personal(teams), HELLO)
    passed(3700.0)
    with pytest.raises(Unreachable):
        await api.post(personal(teams), HELLO)
    teams.faults.clear()
    await api.post(personal(teams), HELLO)
    assert teams.login.issued == 2


async def test_while_a_token_is_good_nobody_waits_for_the_next(teams: FakeTeams, api: TeamsApi, passed: Callable[[float], None]) -> None:
    await api.post(personal(teams), HELLO)
    teams.faults.slow("token", 5.0)
    passed(3400.0)
    async with asyncio.timeout(3):
        await api.post(personal(teams), HELLO)


async def test_a_token_that_teams_accepts_no_more_is_replaced_once(
    teams: FakeTeams, api: TeamsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.connectors.teams.tokens._FRESH_SECONDS", 0.0)
    await api.post(personal(teams), HELLO)
    teams.login.revoke()
    await api.post(personal(teams), HELLO)
    assert [call.status for call in teams.calls] == [201, 401, 201]


async def test_a_wrong_secret_is_told_and_nothing_is_sent(teams: FakeTeams, caplog: pytest.LogCaptureFixture) -> None:
    api = TeamsApi(replace(Settings(), **{**teams.settings(), "teams_app_password": "guessed-secret"}))
    for _ in range(3):
        with pytest.raises(Unreachable, match="TEAMS_APP_PASSWORD") as raised:
            await api.post(personal(teams), HELLO)
        assert not raised.value.sent
    assert teams.calls == []
    assert "TEAMS_APP_PASSWORD" in caplog.text
    assert "guessed-secret" not in caplog.text
    await api.close()


@pytest.mark.parametrize("fault", ["outage", "break_off"])
async def test_a_login_server_in_trouble_was_not_the_end_of_a_message(teams: FakeTeams, api: TeamsApi, fault: str) -> None:
    getattr(teams.faults, fault)("token")
    with pytest.raises(Unreachable) as raised:
        await api.post(personal(teams), HELLO)
    assert not raised.value.sent
    await api.post(personal(teams), HELLO)
    assert len(teams.posts(teams.personal(ADA))) == 1


async def test_a_slow_login_server_holds_nobody_else_up(teams: FakeTeams, api: TeamsApi) -> None:
    teams.faults.hold("token")
    posting = asyncio.create_task(api.post(personal(teams), HELLO))
    await teams.until(lambda: teams.faults.held["token"])  # which comes to nothing where the loop stands still
    assert not posting.done()
    teams.faults.release()
    await posting
