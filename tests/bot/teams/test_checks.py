from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from bot.checks import Check, passed, warned
from bot.commands import doctor
from bot.connectors.teams.checks import checks
from bot.settings import Settings
from tests.bot.teams.door import Door
from tests.fakes.teams import FakeTeams

OTHER = "99999999-90ab-cdef-1234-567890abcdef"
WHERE = {"host": "0.0.0.0", "port": 8080, "token": "t", "operators": ("teams:29:ada",)}  # noqa: S104  # behind a proxy elsewhere


@pytest.fixture
async def teams() -> AsyncIterator[FakeTeams]:
    async with FakeTeams() as fake:
        yield fake


@pytest.fixture
def settings(teams: FakeTeams, door: Door, tmp_path: Path) -> Settings:
    return Settings(**{**WHERE, **teams.settings(), "teams_public_url": door.url, "home": tmp_path})


async def wrong(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in await checks(settings) if check.state != "ok"}


async def test_an_app_that_is_set_up_has_nothing_to_mend(settings: Settings) -> None:
    made = await checks(settings)
    assert [check for check in made if check.state != "ok"] == []
    assert [check.name for check in made] == ["login", "keys", "events"]
    assert settings.teams_app_id in made[0].detail  # type: ignore[operator]


async def test_nothing_is_posted(teams: FakeTeams, settings: Settings) -> None:
    await checks(settings)
    assert teams.calls == []


async def test_a_wrong_secret_says_which_value_to_copy(settings: Settings) -> None:
    found = (await wrong(replace(settings, teams_app_password="not-the-secret")))["secret"]
    assert found.state == "failed"
    assert "AADSTS7000215" in found.detail
    assert "its Value (not its Secret ID)" in (found.next_step or "")
    assert "not-the-secret" not in f"{found}"


async def test_an_app_that_the_tenant_does_not_know(settings: Settings) -> None:
    found = (await wrong(replace(settings, teams_app_id=OTHER)))["app id"]
    assert "TEAMS_APP_ID" in found.detail
    assert "Application (client) ID" in (found.next_step or "")


async def test_a_tenant_that_is_not_there(settings: Settings) -> None:
    found = (await wrong(replace(settings, teams_tenant_id=OTHER)))["tenant"]
    assert "TEAMS_TENANT_ID" in found.detail
    assert "Directory (tenant) ID" in (found.next_step or "")


@pytest.mark.parametrize(
    ("said", "name", "then"),
    [
        (
            {"error_codes": [7000222], "error_description": "AADSTS7000222: The provided client secret keys are expired."},
            "secret",
            "new secret",
        ),
        ({"error_description": "AADSTS7000222: The provided client secret keys are expired."}, "secret", "new secret"),
        ({"error_codes": [7000229]}, "app id", "az ad sp create --id"),
        ({"error_codes": [53003]}, "login", "exclude this app"),
        ({"error_codes": [12345]}, "login", "https://login.microsoftonline.com/error?code=12345"),
        ({"error_codes": "7000222"}, "login", "TEAMS_LOGIN_URL"),
        ({}, "login", "TEAMS_LOGIN_URL"),
        ([], "login", "TEAMS_LOGIN_URL"),
    ],
)
async def test_what_entra_refuses_says_what_to_do(settings: Settings, said: object, name: str, then: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(said, status=401)

    app = web.Application()
    app.router.add_post("/{tenant}/oauth2/v2.0/token", refuse)
    async with TestServer(app) as entra:
        found = (await wrong(replace(settings, teams_login_url=str(entra.make_url("/")))))[name]
    assert found.state == "failed"
    assert then in (found.next_step or "")


async def test_a_login_server_with_trouble_is_no_fault_of_the_settings(teams: FakeTeams, settings: Settings) -> None:
    teams.faults.outage("token", status=503)
    found = (await wrong(settings))["login"]
    assert "503" in found.detail
    assert found.next_step == "try again later"


async def test_servers_that_cant_be_reached_are_told_with_their_setting(settings: Settings) -> None:
    found = await wrong(replace(settings, teams_login_url="http://127.0.0.1:9/", teams_openid_url="http://127.0.0.1:9/keys"))
    assert "TEAMS_LOGIN_URL" in (found["login"].next_step or "")
    assert "TEAMS_OPENID_URL" in (found["keys"].next_step or "")


async def test_a_server_that_says_nothing_is_given_up_after_the_deadline(
    teams: FakeTeams, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.connectors.teams.checks._SECONDS", 0.1)
    teams.faults.slow("token", 5.0)
    teams.faults.slow("openid", 5.0)
    found = await wrong(settings)
    assert {name: "TimeoutError" in check.detail for name, check in found.items()} == {"login": True, "keys": True}


async def test_keys_that_are_none_are_found_out(teams: FakeTeams, settings: Settings) -> None:
    found = (await wrong(replace(settings, teams_openid_url=f"{teams.url}/nowhere")))["keys"]
    assert found.state == "failed"
    no_metadata = replace(settings, teams_openid_url=f"{settings.teams_login_url}{teams.tenant}/discovery/v2.0/keys")
    assert (await wrong(no_metadata))["keys"].state == "failed"


async def test_a_host_of_answers_that_cant_be_reached_is_a_warning(settings: Settings) -> None:
    found = await wrong(replace(settings, teams_service_hosts=("0.0.0.0",)))  # noqa: S104  # nothing listens there on 443
    assert found["0.0.0.0"].state == "warning"  # noqa: S104
    assert "TEAMS_SERVICE_HOSTS" in (found["0.0.0.0"].next_step or "")  # noqa: S104


async def test_the_host_of_gcc_is_no_warning_where_the_others_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    gcc, public = "smba.infra.gcc.teams.microsoft.com", "smba.trafficmanager.net"
    away: set[str] = set()

    async def way_out(_: object, host: str) -> Check:
        return warned("teams", host, "can't be reached", "mend it") if host in away else passed("teams", host, "can be reached")

    monkeypatch.setattr("bot.connectors.teams.checks._way_out", way_out)
    for gone, hosts, told in (
        ({gcc}, (public, gcc), set()),
        ({gcc, public}, (public, gcc), {gcc, public}),
        ({public}, (public, gcc), {public}),
        ({gcc}, (gcc,), {gcc}),
    ):
        away = gone
        assert set(await wrong(replace(settings, teams_service_hosts=hosts))) == told


async def test_without_the_public_address_it_is_said_that_nobody_knows(settings: Settings) -> None:
    found = (await wrong(replace(settings, teams_public_url=None, host="127.0.0.1")))["events"]
    assert found.state == "warning"
    assert "reverse proxy bring https://…/api/messages there, and set TEAMS_PUBLIC_URL" in (found.next_step or "")


async def test_the_public_address_may_be_given_without_its_path(settings: Settings, door: Door) -> None:
    assert await wrong(replace(settings, teams_public_url=door.url.removesuffix("/api/messages"))) == {}
    assert door.heard == []


@pytest.mark.parametrize(
    ("status", "body", "state", "said", "then"),
    [
        (404, "", "failed", "answers 404: the path is wrong", "bring /api/messages to 0.0.0.0:8080"),
        (401, '{"error": {"message": "Log in"}}', "failed", "something before it", "without a login"),
        (401, '{"error": "login"}', "failed", "something before it", "without a login"),
        (401, "[]", "failed", "something before it", "without a login"),
        (403, "", "failed", "something before it", "without a login"),
        (301, "", "failed", "leads elsewhere", "messaging endpoint"),
        (200, "Welcome", "failed", "and CARE would answer 401", "bring /api/messages to 0.0.0.0:8080"),
        (502, "", "warning", "CARE is not running", "start it"),
    ],
)
async def test_who_else_answers_at_the_public_address_is_told(
    settings: Settings, status: int, body: str, state: str, said: str, then: str
) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers={"Location": "/"} if status == 301 else {})

    app = web.Application()
    app.router.add_post("/api/messages", other)
    async with TestServer(app) as proxy:
        found = (await wrong(replace(settings, teams_public_url=str(proxy.make_url("/api/messages")))))["events"]
    assert found.state == state
    assert said in found.detail
    assert then in (found.next_step or "")


async def test_a_proxy_that_does_not_find_a_care_that_runs_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.connectors.teams.checks.running", lambda _: object())

    async def lost(_: web.Request) -> web.Response:
        return web.Response(status=502)

    app = web.Application()
    app.router.add_post("/api/messages", lost)
    async with TestServer(app) as proxy:
        found = (await wrong(replace(settings, teams_public_url=str(proxy.make_url("/")))))["events"]
    assert (found.state, "the proxy does not find CARE" in found.detail) == ("failed", True)


async def test_bad_tls_and_a_dead_server_at_the_public_address_are_told(settings: Settings, door: Door) -> None:
    no_tls = (await wrong(replace(settings, teams_public_url=door.url.replace("http://", "https://"))))["events"]
    assert (no_tls.state, "TLS" in no_tls.detail, "certificate" in (no_tls.next_step or "")) == ("failed", True, True)
    dead = (await wrong(replace(settings, teams_public_url="http://127.0.0.1:9/api/messages")))["events"]
    assert (dead.state, "can't be reached" in dead.detail, "firewall" in (dead.next_step or "")) == ("failed", True, True)


async def test_without_authentication_nothing_is_asked_and_it_is_said(teams: FakeTeams) -> None:
    found = await wrong(Settings(teams_no_auth=True))
    assert "TEAMS_NO_AUTH=1" in found["events"].detail
    assert found["events"].state == "warning"
    assert teams.login.issued == 0


async def test_what_is_not_set_up_yet_is_a_warning(settings: Settings) -> None:
    bare = replace(settings, teams_admin_channel=None, teams_handover_channel=None)
    assert {name: check.state for name, check in (await wrong(bare)).items()} == {"hand-over": "warning", "reports": "warning"}
    assert "CARE_OPERATORS=teams:" in ((await wrong(replace(settings, operators=("slack:U1",))))["operators"].next_step or "")


def test_doctor_looks_at_teams_where_it_is_on_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.general, "general_checks", lambda _: iter(()))
    for settings, there in ((Settings(), False), (Settings(teams_no_auth=True), True)):
        monkeypatch.setattr(doctor, "load_settings", lambda chosen=settings: chosen)
        said = CliRunner().invoke(doctor.doctor, []).stdout
        assert ("Teams" in said) == there
        assert ("no question has come yet" in said) == there
