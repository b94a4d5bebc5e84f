"""What leaves for Teams, where it may go, and what its answers mean: the SDK's client, mended, against a connector of our own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.connectors.teams.address import Address
from bot.connectors.teams.api import TeamsApi
from bot.connectors.teams.errors import (
    Gone,
    Limited,
    Refused,
    StreamEnded,
    StreamStopped,
    StreamTimedOut,
    TeamsError,
    TooLong,
    Unreachable,
)
from tests.bot.teams.conftest import HELLO, personal
from tests.fakes.teams import ADA, BOT_ID, GRACE, SUPPORT, TENANT, FakeTeams
from tests.fakes.teams import refusals as words


def elsewhere(url: str) -> Address:
    return Address(url, "a:1", "personal", BOT_ID, TENANT, ADA.id)


RICH = {
    "type": "message",
    "text": "Bill: **12 €**",
    "entities": [
        {
            "type": "https://schema.org/Message",
            "@type": "Message",
            "@context": "https://schema.org",
            "additionalType": ["AIGeneratedContent"],
            "citation": [
                {"@type": "Claim", "position": 1, "appearance": {"@type": "DigitalDocument", "name": "Tariffs", "abstract": "12"}}
            ],
        },
        {"type": "somethingNew", "streamSequence": 1, "Odd.Key": {"": None, "list": [1.5, True, None, "x"]}},
    ],
    "channelData": {"feedbackLoop": {"type": "custom"}, "none": None},
    "attachments": [
        {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "x", "wrap": True}]},
        }
    ],
    "suggestedActions": {"to": [], "actions": [{"type": "imBack", "title": "New", "value": "new"}]},
}


async def test_every_key_of_an_activity_reaches_the_wire_as_it_was_written(teams: FakeTeams, api: TeamsApi) -> None:
    to = personal(teams)
    alone = {name: value for name, value in RICH.items() if name != "attachments"}  # with a text Teams takes no update of it
    assert await api.post(to, RICH) == ""
    await api.update(to, teams.posts(teams.personal(ADA))[0].id, alone)
    posted, updated = teams.calls
    for call, sent in ((posted, RICH), (updated, alone)):
        assert {name: call.body[name] for name in sent} == sent
        assert (call.body["from"], call.body["conversation"]["id"], call.body["recipient"]) == ({"id": BOT_ID}, to.place, {"id": ADA.id})
    assert teams.posts(teams.personal(ADA))[0].ai_label


async def test_a_stream_begins_grows_and_ends_in_one_message(teams: FakeTeams, api: TeamsApi) -> None:
    to, info = personal(teams), {"type": "streaminfo", "streamType": "informative", "streamSequence": 1}
    teams.streams.gap = 0
    stream = await api.post(to, {"type": "typing", "text": "Looking…", "entities": [info]})
    growing = {**info, "streamType": "streaming", "streamId": stream, "streamSequence": 2}
    await api.post(to, {"type": "typing", "text": "Your bill", "entities": [growing]})
    await api.post(
        to,
        {"type": "message", "text": "Your bill is high.", "entities": [{"type": "streaminfo", "streamType": "final", "streamId": stream}]},
    )
    (message,) = teams.posts(teams.personal(ADA))
    assert (message.id, message.text, message.final) == (stream, "Your bill is high.", True)


async def test_a_message_can_be_deleted(teams: FakeTeams, api: TeamsApi) -> None:
    message_id = await api.post(personal(teams), HELLO)
    await api.delete(personal(teams), message_id)
    assert teams.posts(teams.personal(ADA)) == []


async def test_a_thread_is_begun_in_a_channel_and_answered_in(teams: FakeTeams, api: TeamsApi) -> None:
    post = {name: value for name, value in RICH.items() if name != "suggestedActions"}
    thread, post_id = await api.begin_thread(personal(teams).channel(SUPPORT.id), post)
    assert (thread.place, thread.kind, thread.user_id) == (f"{SUPPORT.id};messageid={post_id}", "channel", None)
    await api.post(thread, HELLO)
    first, second = teams.posts(SUPPORT)
    assert (first.text, second.text, second.place) == (RICH["text"], "Hello", first.place)


async def test_a_personal_chat_is_opened_for_a_notice(teams: FakeTeams, api: TeamsApi) -> None:
    chat = await api.open_direct(GRACE.id, like=personal(teams))
    assert chat == personal(teams, GRACE)
    await api.post(chat, HELLO)
    assert [message.text for message in teams.posts(teams.personal(GRACE))] == ["Hello"]


async def test_an_address_is_the_same_after_a_restart(teams: FakeTeams) -> None:
    for address in (personal(teams), personal(teams).channel(SUPPORT.id), Address.of(teams.activity(ADA, "Hello", in_=SUPPORT))):
        assert Address.parse(address.text()) == address
    for text in ("", "[]", "{}", '{"service_url": "x"}', personal(teams).text().replace('"personal"', '"secret"')):
        with pytest.raises(ValueError, match=r"address|kind|Expecting|list"):
            Address.parse(text)


# Where answers may go.


ELSEWHERE = ["https://evil.example/", "http://localhost:1/", "https://127.0.0.1.evil.example/", "https://127.0.0.1@evil.example/", "x", ""]


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_nothing_leaves_for_a_host_that_is_not_teams_not_even_a_token_is_fetched(teams: FakeTeams, api: TeamsApi, url: str) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: api.post(elsewhere(url), HELLO, patience=5),
        lambda: api.update(elsewhere(url), "1", HELLO, patience=5),
        lambda: api.delete(elsewhere(url), "1", patience=5),
        lambda: api.begin_thread(elsewhere(url), HELLO, patience=5),
        lambda: api.open_direct(GRACE.id, elsewhere(url)),
    ]
    for call in calls:
        with pytest.raises(Refused, match="TEAMS_SERVICE_HOSTS"):
            await call()
    assert teams.login.issued == 0


async def test_a_redirect_is_not_followed(teams: FakeTeams, api: TeamsApi) -> None:
    got = []

    async def evil(request: web.Request) -> web.Response:
        got.append(request.headers.get("Authorization"))
        return web.json_response({"id": "1"}, status=201)

    async with served(evil) as stolen:

        async def redirect(_: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": stolen})

        async with served(redirect) as url:
            with pytest.raises(Refused):
                await api.post(elsewhere(url), HELLO)
    assert got == []


@asynccontextmanager
async def served(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/"))
    finally:
        await server.close()


# What answers mean.


REFUSALS: list[tuple[int, str, str, type[TeamsError]]] = [
    (404, "ConversationNotFound", "", Gone),
    (404, "ActivityNotFoundInConversation", "", Gone),
    (404, "", "", Unreachable),
    (404, "NotFound", "", Unreachable),
    (403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.", Gone),
    (403, "ConversationBlockedByUser", "User blocked the conversation with the bot.", Gone),
    (403, "Forbidden", "", Refused),
    (400, "BadSyntax", "", Refused),
    (405, "MethodNotAllowed", "", Refused),
    (413, "MessageSizeTooBig", "", TooLong),
    (413, "", "", TooLong),
    (400, "MessageSizeTooBig", "", TooLong),
    (403, "ContentStreamNotAllowed", words.STOPPED, StreamStopped),
    (403, "ContentStreamNotAllowed", "Content stream was cancelled by the user", StreamStopped),
    (403, "ContentStreamNotAllowed", words.OVER_TIME, StreamTimedOut),
    (403, "ContentStreamNotAllowed", words.COMPLETED, StreamEnded),
    (403, "ContentStreamNotAllowed", words.TOO_LARGE, TooLong),
    (401, "Unauthorized", "", Unreachable),
    (408, "", "", Unreachable),
    (412, "PreconditionFailed", "", Unreachable),
    (500, "ServiceError", "", Unreachable),
    (503, "", "", Unreachable),
]


@pytest.mark.parametrize(("status", "code", "message", "error"), REFUSALS, ids=str)
async def test_each_refusal_is_what_a_caller_decides_on(
    teams: FakeTeams, api: TeamsApi, status: int, code: str, message: str, error: type[TeamsError]
) -> None:
    teams.faults.refuse("create", status, code, message, times=2)
    with pytest.raises(TeamsError) as raised:
        await api.post(personal(teams), {"type": "message", "text": "a secret"})
    assert type(raised.value) is error
    assert "a secret" not in str(raised.value)
    if isinstance(raised.value, Unreachable):
        assert raised.value.sent is (status not in (401, 404, 412))


STRANGE = {
    "a page": b"<html>",
    "nothing": b"",
    "a list": b"[]",
    "text": b'"x"',
    "an id that is no text": b'{"id": 5}',
    "a null": b'{"id": null}',
    "depth": b"[" * 100_000,
    "no text at all": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("status", [200, 201, 202, 400, 403, 502])
async def test_an_answer_that_can_not_be_read_breaks_nothing(api: TeamsApi, status: int, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    async with served(answer) as url:
        if status < 300:
            assert await api.post(elsewhere(url), HELLO) == ""
            with pytest.raises(Unreachable):
                await api.open_direct(GRACE.id, elsewhere(url))
        else:
            with pytest.raises(Unreachable if status == 502 else Refused):
                await api.post(elsewhere(url), HELLO)


async def test_teams_may_accept_a_message_without_naming_it(teams: FakeTeams, api: TeamsApi) -> None:
    teams.faults.accept("create")
    assert await api.post(personal(teams), HELLO) == ""


async def test_who_is_asked_to_wait_waits_as_long_as_teams_says_and_not_longer_than_there_is_patience(
    teams: FakeTeams, api: TeamsApi
) -> None:
    teams.faults.limit("create", retry_after=7)
    with pytest.raises(Limited) as raised:
        await api.post(personal(teams), HELLO, patience=5)
    assert raised.value.seconds == 7
    teams.faults.limit("create", times=2, retry_after=0.1)
    began = time.monotonic()
    await api.post(personal(teams), HELLO, patience=60)
    assert time.monotonic() - began >= 0.2
    teams.faults.limit("create", retry_after=None)
    with pytest.raises(Limited) as raised:
        await api.post(personal(teams), HELLO)
    assert raised.value.seconds == 1


async def test_a_new_message_is_not_sent_twice_when_it_may_have_arrived(teams: FakeTeams, api: TeamsApi) -> None:
    teams.faults.break_off("create", done=True)
    with pytest.raises(Unreachable) as raised:
        await api.post(personal(teams), HELLO, patience=5)
    assert raised.value.sent
    assert len(teams.posts(teams.personal(ADA))) == 1


async def test_an_update_is_sent_again_when_it_may_have_arrived(teams: FakeTeams, api: TeamsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.connectors.teams.api._RETRY_SECONDS", 0.01)
    message_id = await api.post(personal(teams), HELLO)
    teams.faults.outage("update", times=2, done=True)
    await api.update(personal(teams), message_id, {"type": "message", "text": "Hello again"}, patience=5)
    assert teams.posts(teams.personal(ADA))[0].text == "Hello again"


async def test_a_server_that_is_not_there_was_not_sent_anything(api: TeamsApi) -> None:
    with pytest.raises(Unreachable) as raised:
        await api.post(elsewhere("http://127.0.0.1:9/"), HELLO)
    assert not raised.value.sent


async def test_every_call_has_a_deadline(teams: FakeTeams, api: TeamsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.connectors.teams.calls.CALL_SECONDS", 0.1)
    teams.faults.hold("create")
    with pytest.raises(Unreachable) as raised:
        await api.post(personal(teams), HELLO)
    assert raised.value.sent


async def test_twenty_slow_sends_go_side_by_side_and_take_no_thread(
    teams: FakeTeams, api: TeamsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.post(personal(teams), HELLO)
    teams.connector.rates = ()
    teams.faults.hold("create")

    def no_thread(*_: object) -> None:
        raise AssertionError("a send takes a thread of those that others need")

    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", no_thread)
    posting = [asyncio.create_task(api.post(personal(teams), HELLO)) for _ in range(20)]
    await teams.until(lambda: teams.faults.held["create"] == 20)
    teams.faults.release()
    await asyncio.gather(*posting)


async def test_an_endless_answer_is_cut(api: TeamsApi) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with served(endless) as url:
        assert await api.post(elsewhere(url), HELLO) == ""
