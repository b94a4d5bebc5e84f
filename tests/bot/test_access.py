"""Who may call."""

import aiohttp
import pytest

from tests.bot.conftest import StartCare

TOKEN = "correct-horse-battery"
GUARDED = ["/api/me", "/v1/models", "/metrics", "/api/conversations"]


@pytest.mark.parametrize("path", GUARDED)
async def test_with_a_token_set_only_who_has_it_may_call(start_care: StartCare, path: str) -> None:
    async with start_care(token=TOKEN) as care:
        refused = await care.client.get(path)
        assert refused.status == 401
        assert (await refused.json())["error"]["code"] == "unauthorized"
        assert (await care.client.get(path, headers={"Authorization": "Bearer wrong"})).status == 401
        assert (await care.client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})).status == 200


async def test_people_log_in_with_a_form_and_get_a_cookie(start_care: StartCare) -> None:
    async with start_care(token=TOKEN) as care:
        assert (await care.client.get("/")).url.path == "/login"
        wrong = await care.client.post("/login", data={"token": "guess"})
        assert str(wrong.url).endswith("/login?wrong=1")
        right = await care.client.post("/login", data={"token": TOKEN}, allow_redirects=False)
        cookie = right.headers["Set-Cookie"]
        assert (right.status, right.headers["Location"]) == (303, "/")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert (await care.client.get("/api/me")).status == 200


@pytest.mark.parametrize("session", ["", "1.abc", "99999999999.abc", "x.y", "99999999999", "9" * 5000, "99999999999.\u00e9"])
async def test_a_forged_session_is_refused(start_care: StartCare, session: str) -> None:
    async with start_care(token=TOKEN) as care:
        assert (await care.client.get("/api/me", cookies={"care_session": session})).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "care.example.com"},
        {"Host": "evil.example:8080"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Forwarded-Port": "443"},
    ],
)
async def test_without_a_token_only_this_machine_may_call(start_care: StartCare, headers: dict) -> None:
    async with start_care() as care:
        for path in GUARDED:
            assert (await care.client.get(path, headers=headers)).status == 403
        assert (await care.client.get("/livez", headers=headers)).status == 200


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
async def test_every_name_of_loopback_is_this_machine(start_care: StartCare, host: str) -> None:
    async with start_care() as care:
        assert (await care.client.get("/api/me", headers={"Host": host})).status == 200


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_write_here(start_care: StartCare, headers: dict) -> None:
    async with start_care() as care:
        response = await care.client.post("/api/ratings", json={}, headers=headers)
        assert response.status == 403


async def test_the_probes_are_open(start_care: StartCare) -> None:
    async with start_care(token=TOKEN) as care:
        assert (await care.client.get("/livez")).status == 200
        assert (await care.client.get("/readyz")).status == 200


async def test_the_own_page_may_write(start_care: StartCare) -> None:
    async with start_care() as care:
        origin = str(care.client.make_url("/").origin())
        async with aiohttp.ClientSession(cookies={"care_user": "ada"}) as session:
            body = {"id": "q1", "text": "Why?"}
            async with session.post(f"{origin}/api/conversations/c1/turns", json=body, headers={"Origin": origin}) as response:
                assert response.status == 200
