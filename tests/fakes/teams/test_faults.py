"""Every fault happens as it was arranged, as often as it was arranged."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from tests.fakes.teams import ADA, FakeTeams
from tests.fakes.teams.conftest import App
from tests.fakes.teams.refusals import OVER_TIME
from tests.fakes.teams.world import Json

KINDS = ("create", "update", "delete", "stream", "final", "conversation", "members")
NEEDS = ("update", "delete", "final")  # need a good call of another kind before


async def call(teams: FakeTeams, app: App, kind: str) -> int:
    """One good call of a kind."""
    chat = teams.personal(ADA)
    await teams.stop(chat)
    hi = {"type": "message", "text": "Hi"}
    if kind in ("update", "delete"):
        _, posted = await app.post(chat)
        method = "PUT" if kind == "update" else "DELETE"
        return (await app.call(method, f"/{chat.id}/activities/{posted['id']}", hi if kind == "update" else None))[0]
    if kind == "final":
        _, begun = await app.stream(chat, "Hi")
        return (await app.stream(chat, "Hi", None, begun["id"], "final"))[0]
    if kind == "conversation":
        return (await app.call("POST", "", {"members": [{"id": ADA.id}], "tenantId": ADA.tenant}))[0]
    if kind == "members":
        return (await app.call("GET", f"/{chat.id}/members/{ADA.id}"))[0]
    return (await app.stream(chat, "Hi") if kind == "stream" else await app.post(chat))[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_is_hit_alone(teams: FakeTeams, app: App, kind: str) -> None:
    teams.faults.outage(kind, status=503)
    for other in set(KINDS) - {kind, *NEEDS}:
        assert await call(teams, app, other) < 300
    assert await call(teams, app, kind) == 503
    assert await call(teams, app, kind) < 300


async def test_the_nth_calls_are_hit(teams: FakeTeams, app: App) -> None:
    teams.faults.limit("create", times=2, skip=1)
    assert [(await app.post(teams.personal(ADA)))[0] for _ in range(5)] == [201, 429, 429, 201, 201]


async def test_all_calls_are_hit_and_then_none(teams: FakeTeams, app: App) -> None:
    teams.faults.outage(times=5)
    assert await call(teams, app, "create") == 502
    assert await call(teams, app, "members") == 502
    teams.faults.clear()
    assert await call(teams, app, "create") == 201


async def test_refusals_have_codes_and_words(teams: FakeTeams, app: App) -> None:
    chat = teams.personal(ADA)
    teams.faults.end_stream(OVER_TIME)
    assert await app.stream(chat, "Hi") == (403, {"error": {"code": "ContentStreamNotAllowed", "message": OVER_TIME}})
    teams.faults.too_big("create")
    assert (await app.post(chat))[0] == 413
    teams.faults.refuse("create", 412, "PreconditionFailed", "Try again")
    assert await app.post(chat) == (412, {"error": {"code": "PreconditionFailed", "message": "Try again"}})
    assert [call.code for call in teams.calls] == ["ContentStreamNotAllowed", "MessageSizeTooBig", "PreconditionFailed"]
    assert teams.called("create") == []


async def test_a_call_may_be_carried_out_and_its_answer_lost(teams: FakeTeams, app: App) -> None:
    chat = teams.personal(ADA)
    teams.faults.outage("create", done=True)
    assert (await app.post(chat))[0] == 502
    teams.faults.break_off("create", done=True)
    with pytest.raises(aiohttp.ClientError):
        await app.post(chat)
    teams.faults.accept("create")
    assert await app.post(chat) == (202, {})
    assert len(teams.posts(chat)) == 3


async def test_a_connection_may_break_before_anything_is_done(teams: FakeTeams, app: App) -> None:
    teams.faults.break_off("create")
    with pytest.raises(aiohttp.ClientError):
        await app.post(teams.personal(ADA))
    assert teams.posts(teams.personal(ADA)) == []


async def test_calls_may_be_sent_elsewhere(teams: FakeTeams, app: App) -> None:
    teams.faults.redirect("create", f"{teams.url}/elsewhere")
    url = f"{teams.service_url}v3/conversations/{teams.personal(ADA).id}/activities"
    headers = {"Authorization": f"Bearer {app.token}"}
    async with app.session.post(url, json={"type": "message", "text": "Hi"}, headers=headers, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, f"{teams.url}/elsewhere")


async def test_calls_may_be_slow(teams: FakeTeams, app: App) -> None:
    teams.faults.slow("create", 0.2)
    began = time.monotonic()
    await app.post(teams.personal(ADA))
    assert time.monotonic() - began >= 0.2
    teams.faults.slow("create", 600)
    teams.faults.slow("create", 0)
    await app.post(teams.personal(ADA))


async def test_calls_may_be_held_for_as_long_as_it_takes(teams: FakeTeams, app: App) -> None:
    teams.faults.hold("create")
    posting = asyncio.create_task(app.post(teams.personal(ADA)))
    await teams.until(lambda: teams.faults.held["create"])
    assert await call(teams, app, "members") == 200
    assert not posting.done()
    teams.faults.release()
    assert (await posting)[0] == 201
    assert (await app.post(teams.personal(ADA)))[0] == 201


async def test_login_and_key_server_fail_on_demand_and_not_with_all_calls(teams: FakeTeams, app: App) -> None:
    teams.faults.outage()
    assert (await app.log_in())[0] == 200
    teams.faults.refuse("token", 503)
    assert (await app.log_in())[0] == 503
    for kind in ("openid", "keys"):
        teams.faults.outage(kind, status=500)
        url = teams.settings()["teams_openid_url"]
        statuses = []
        for _ in range(2):
            async with app.session.get(url if kind == "openid" else f"{teams.url}/v1/.well-known/keys") as response:
                statuses.append(response.status)
        assert statuses == [500, 200]


# Telling


async def test_what_is_answered_with_5xx_is_told_again_and_what_is_refused_is_not(teams: FakeTeams, app: App) -> None:
    teams.outbox.retry_pauses = (0.0, 0.0, 0.0)
    statuses = [503, 500, 201, 400]

    async def answer(activity: Json) -> web.Response:
        return web.Response(status=statuses.pop(0))

    app.answer = answer
    asked = await teams.say(ADA, "Hello")
    assert asked.delivery is not None
    assert (asked.status, asked.delivery.statuses, asked.delivery.acked) == (201, [503, 500, 201], True)
    refused = await teams.say(ADA, "Hello")
    assert refused.delivery is not None
    assert (refused.status, refused.delivery.attempts, refused.delivery.given_up) == (400, 1, True)


async def test_it_gives_up_at_last_or_at_once(teams: FakeTeams, app: App) -> None:
    async def away(activity: Json) -> web.Response:
        return web.Response(status=503)

    teams.outbox.retry_pauses, app.answer = (0.0, 0.0), away
    assert [(await teams.told(teams.activity(ADA, "Hello"))).attempts for _ in range(2)] == [3, 3]
    teams.outbox.resend = False
    told = await teams.told(teams.activity(ADA, "Hello"))
    assert (told.attempts, told.given_up, told.acked) == (1, True, False)


async def test_silence_and_lost_answers_are_told_again(teams: FakeTeams, app: App) -> None:
    teams.outbox.retry_pauses, teams.outbox.lose_answers = (0.0, 0.0), 1
    asked = await teams.say(ADA, "Hello")
    assert asked.delivery is not None
    assert asked.delivery.statuses == [None, 201]
    assert [told["id"] for told in app.told] == [asked.id] * 2


async def test_an_app_that_is_away_is_waited_for(teams: FakeTeams, app: App) -> None:
    url, teams.outbox.retry_pauses = teams.outbox.url, (0.0, *(0.05,) * 1000)
    assert url is not None
    teams.deliver_to("http://127.0.0.1:9/")
    asked = teams.saying(ADA, "Hello")
    assert asked.delivery is not None
    await teams.until(lambda: asked.delivery.attempts > 1)
    teams.deliver_to(url)
    await teams.settled()
    assert asked.status == 201


async def test_invokes_are_told_once(teams: FakeTeams, app: App) -> None:
    async def away(activity: Json) -> web.Response:
        return web.Response(status=503)

    app.answer = away
    assert (await teams.invoke(ADA, "task/fetch", {})).attempts == 1


async def test_duplicates_have_the_same_id_or_another(teams: FakeTeams, app: App) -> None:
    asked = await teams.say(ADA, "Hello")
    await teams.redeliver(asked)
    again = await teams.redeliver(asked, new_id=True)
    first, second, third = app.told
    assert first == second
    assert third == {**first, "id": again.activity["id"]}
    assert third["id"] != first["id"]
    assert len(teams.messages(asked.chat)) == 1


async def test_every_token_but_one_can_be_bad(teams: FakeTeams, app: App) -> None:
    good = await teams.say(ADA, "Hello")
    await teams.told(teams.activity(ADA, "Hello"), token=None)
    await teams.told(teams.activity(ADA, "Hello"), token="garbage")
    await teams.post_raw({"type": "message"}, teams.bearer())
    assert good.status == 201
    assert app.authorizations[1:3] == ["", "Bearer garbage"]
    assert app.authorizations[3] == app.authorizations[0]
