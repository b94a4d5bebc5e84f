"""What `/api/messages` takes, and what it answers to all else: 4xx with words, 501 or 503, never 500."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.connectors.teams.errors import Gone
from bot.connectors.teams.sdk import InvokeRefused
from bot.store import StorageFull
from model.errors import NotReady
from tests.bot.teams.door import Door, opened
from tests.fakes.teams import ADA, SUPPORT, FakeTeams


async def test_what_teams_sends_is_acknowledged_at_once_and_heard_as_it_came(teams: FakeTeams, door: Door) -> None:
    said = await teams.say(ADA, "Why is my bill so high?")
    assert said.status == 201
    assert door.heard == [("message", said.activity)]


async def test_every_kind_of_activity_has_its_listener(teams: FakeTeams, door: Door) -> None:
    said = await teams.say(ADA, "A question", in_=SUPPORT)
    await teams.edit(said, "Another question")
    await teams.delete(said)
    await teams.react(ADA, said)
    await teams.install(ADA)
    await teams.uninstall(ADA)
    heard = [name for name, _ in door.heard]
    assert heard == ["message", "edited", "deleted", "reacted", "installed", "joined", "left"]


@pytest.mark.parametrize("channel", ["emulator", "webchat", "directline", "slack", "MSTEAMS", "msteams "])
async def test_other_channels_are_refused(teams: FakeTeams, door: Door, channel: str) -> None:
    assert await door.knock(teams.activity(ADA, "Hello", channelId=channel)) == 400
    assert door.heard == []


WRONG = (None, 5, 1.5, True, "", "text", [], [None], ["x"], {}, {"id": 5}, {"id": ""}, {"id": "a/b"}, {"tenant": 5}, {"tenant": {"id": 5}})
TEXTS = (
    "type",
    "id",
    "timestamp",
    "localTimestamp",
    "localTimezone",
    "serviceUrl",
    "channelId",
    "text",
    "textFormat",
    "locale",
    "replyToId",
)
LISTS = ("attachments", "entities", "membersAdded", "membersRemoved", "reactionsAdded", "reactionsRemoved")
FIELDS = (*TEXTS, *LISTS, "from", "conversation", "recipient", "channelData", "name", "action", "value", "localTimezone")
KINDS = ("message", "messageUpdate", "messageDelete", "messageReaction", "conversationUpdate", "installationUpdate", "invoke", "event")


@pytest.mark.parametrize("kind", KINDS)
async def test_any_field_may_be_missing_or_of_the_wrong_type(teams: FakeTeams, door: Door, kind: str) -> None:
    whole = {
        **teams.activity(ADA, "Hello", in_=SUPPORT),
        "type": kind,
        "name": "message/submitAction",
        "replyToId": "17",
        "value": {},
        "action": "add",
    }
    for field in FIELDS:
        missing = {name: value for name, value in whole.items() if name != field}
        for activity in (missing, *({**whole, field: wrong} for wrong in WRONG)):
            assert await door.knock(activity) in (200, 201, 400, 401, 403, 501), (field, activity.get(field))
    for name, payload in door.heard:
        assert isinstance(payload["from"]["id"], str)
        assert isinstance(payload["conversation"]["id"], str)
        assert all(isinstance(payload.get(field), str | None) for field in TEXTS), name
        assert all(all(isinstance(each, dict) for each in payload.get(field) or ()) for field in LISTS), name
        assert isinstance(payload.get("channelData"), dict | None)
    assert len(door.heard) > len(FIELDS) or kind == "event"


@pytest.mark.parametrize("field", ["type", "channelId", "serviceUrl", "from", "conversation", "recipient", "id"])
async def test_what_is_needed_must_be_there(teams: FakeTeams, door: Door, field: str) -> None:
    activity = {name: value for name, value in teams.activity(ADA, "Hello").items() if name != field}
    status, body = await teams.post_raw(activity, teams.bearer())
    assert status == 400
    assert json.loads(body)["error"]["message"].startswith(field), "it says which"
    assert door.heard == []


BODIES = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": b'{"type": "mess',
    "no UTF-8": b'{"type": "\xff\xfe"}',
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "no number": b'{"type": NaN}',
    "an endless number": b'{"type": ' + b"9" * 5000 + b"}",
    "depth": b"[" * 100_000,
    "deep objects": b'{"a":' * 40_000,
    "deep and whole": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_no_activity_is_refused(door: Door, body: bytes) -> None:
    assert await door.knock(body) == 400
    assert door.heard == []


async def test_a_body_that_is_not_packed_as_it_says_is_refused(teams: FakeTeams, door: Door) -> None:
    assert await door.knock(teams.activity(ADA, "Hello"), **{"Content-Encoding": "gzip"}) == 400
    assert door.heard == []


async def test_a_body_of_300_kilobytes_is_refused_and_one_of_200_is_taken(teams: FakeTeams, door: Door) -> None:
    assert await door.knock(teams.activity(ADA, "x" * 300_000)) == 413
    assert door.heard == []
    assert await door.knock(teams.activity(ADA, "x" * 100_000)) == 201, "in text and HTML"


async def test_a_long_body_without_a_length_is_refused_too(teams: FakeTeams, door: Door) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1000

    async with aiohttp.ClientSession() as http, http.post(door.url, data=chunks(), headers=teams.bearer()) as response:
        assert response.status == 413


async def test_a_body_that_does_not_come_is_not_waited_for(teams: FakeTeams, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.connectors.teams.webhook._BODY_SECONDS", 0.1)
    going_on = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"type":'
        await going_on.wait()

    async with aiohttp.ClientSession() as http, http.post(door.url, data=chunks(), headers=teams.bearer()) as response:
        assert response.status == 408
        going_on.set()


async def test_half_a_character_becomes_the_sign_for_what_is_missing(teams: FakeTeams, door: Door) -> None:
    body = json.dumps(teams.activity(ADA, "half: HALF")).replace("HALF", "\\ud83d")
    assert await door.knock(body) == 201
    assert "half: \N{REPLACEMENT CHARACTER}" in door.heard[0][1]["text"]


async def test_kinds_that_nobody_hears_are_acknowledged(teams: FakeTeams, door: Door) -> None:
    for kind in ("typing", "event", "endOfConversation", "trace", "handoff", "somethingNew", "command"):
        assert await door.knock({**teams.activity(ADA, "Hello"), "type": kind}) == 201, kind
    assert door.heard == []


async def test_an_invoke_is_answered_with_what_its_listener_gives(teams: FakeTeams, door: Door) -> None:
    invoke = {**teams.activity(ADA, ""), "type": "invoke", "name": "message/submitAction"}
    assert await teams.post_raw(invoke, teams.bearer()) == (200, "{}")
    status, body = await teams.post_raw({**invoke, "name": "adaptiveCard/action"}, teams.bearer())
    assert (status, json.loads(body)) == (200, {"statusCode": 200, "value": {"x": None}})


UNKNOWN = ["signin/verifyState", "task/fetch", "composeExtension/query", "adaptiveCard/action ", "x" * 5000, "message", "__class__"]


@pytest.mark.parametrize("name", UNKNOWN)
async def test_an_invoke_that_nobody_knows_is_not_implemented(teams: FakeTeams, door: Door, name: str) -> None:
    assert await door.knock({**teams.activity(ADA, ""), "type": "invoke", "name": name}) == 501
    assert door.heard == []


async def test_what_a_listener_refuses_is_told(teams: FakeTeams, door: Door) -> None:
    door.error = InvokeRefused(403, "only the asker may rate this")
    status, body = await teams.post_raw({**teams.activity(ADA, ""), "type": "invoke", "name": "message/submitAction"}, teams.bearer())
    assert (status, json.loads(body)["error"]["message"]) == (403, "only the asker may rate this")


ERRORS = [StorageFull("the disk is full"), NotReady("shutting down"), Gone("not there")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_what_can_not_be_kept_now_comes_again(teams: FakeTeams, door: Door, error: Exception) -> None:
    teams.outbox.retry_pauses = (0.01,) * 1000
    door.error = error
    saying = asyncio.create_task(teams.say(ADA, "Hello"))
    await teams.until(lambda: door.heard)
    door.error = None
    said = await saying
    assert said.delivery is not None
    assert (said.delivery.statuses[0], said.delivery.statuses[-1]) == (503, 201)


async def test_a_fault_of_ours_is_told_as_one_and_leaves_nothing_of_what_was_said_in_the_log(
    teams: FakeTeams, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.error = RuntimeError("a bug")
    assert await door.knock(teams.activity(ADA, "my card number is 4111111111111111")) == 500
    assert "a listener broke" in caplog.text
    assert "4111111111111111" not in caplog.text


async def test_who_forges_can_send_many_and_hides_no_other_refusal_in_the_log(
    teams: FakeTeams, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert await door.knock({}, None) == 401
        assert await door.knock({}) == 400
        assert await door.knock(b" " * 300_000) == 413
    refused = [record.__dict__["status"] for record in caplog.records if record.message.startswith("refused a request")]
    assert refused == [401, 400, 413]


async def test_who_is_shutting_down_says_when_to_come_again(teams: FakeTeams, door: Door) -> None:
    door.webhook.stop()
    async with aiohttp.ClientSession() as http, http.post(door.url, json={}, headers=teams.bearer()) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_other_methods_find_no_door(teams: FakeTeams, door: Door) -> None:
    async with aiohttp.ClientSession() as http:
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            async with http.request(method, door.url, headers=teams.bearer()) as response:
                assert response.status == 405


async def test_without_authentication_answers_stay_on_this_machine(teams: FakeTeams) -> None:
    """Whoever is not verified could have the answers sent anywhere."""
    nobody = {"teams_app_id": None, "teams_app_password": None, "teams_tenant_id": None, "teams_no_auth": True}
    async with opened(teams, **nobody, teams_service_hosts=("evil.example",)) as door:
        assert await door.knock(teams.activity(ADA, "Hello"), None) == 201
        assert await door.knock(teams.activity(ADA, "Hello", channelId="emulator"), None) == 201
        assert await door.knock(teams.activity(ADA, "Hello", serviceUrl="http://localhost:56150/_connector"), None) == 201
        assert await door.knock(teams.activity(ADA, "Hello", serviceUrl="https://evil.example/"), None) == 403
        assert await door.knock(teams.activity(ADA, "Hello", channelId="webchat"), None) == 400
        assert len(door.heard) == 3
