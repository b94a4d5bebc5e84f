"""What is not Slack's, or broken: the right status, nothing lost, and nothing of it in the log."""

import copy
import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bot.connectors.slack.bolt import NotTaken
from bot.connectors.slack.webhook import Forged, Signatures
from bot.settings import BadSettings
from bot.settings import load as load_settings
from tests.bot.slack.conftest import Care, Start
from tests.fakes.slack import ADA, GRACE, SUPPORT, FakeSlack
from tests.fakes.slack.http_events import signed
from tests.fakes.slack.outbox import Delivery
from tests.fakes.slack.workspace import Message

JSON = {"Content-Type": "application/json"}


def event_body(slack: FakeSlack, **changes: object) -> dict:
    """A mention as Slack sends it."""
    event = {"type": "app_mention", "user": ADA, "text": f"<@{slack.app_user}> Why is my bill so high?", "ts": "1.5", "channel": SUPPORT}
    return {"type": "event_callback", "event_id": "Ev1", "team_id": "T0CAREHQ01", "event": {**event, **changes}}


async def post(care: Care, body: str, headers: dict[str, str]) -> int:
    assert care.slack.http is not None
    status, _ = await care.slack.http.post(body, {**JSON, **headers})
    return status


async def test_signed_events_over_http_are_answered(start: Start) -> None:
    async with start(http=True) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        assert "You asked: Why is my bill so high? Bye." in (await care.answer(asked)).reading
        assert len(care.slack.replies(asked)) == 1
        told = await care.slack.command("/care", "help", ADA, SUPPORT)
        assert "CARE answers" in told.response["text"]


async def test_slacks_question_for_the_address_is_answered(start: Start) -> None:
    async with start(http=True) as care:
        body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aB", "token": "x"})
        assert await care.slack.http.post(body, {**JSON, **signed(care.slack.signing_secret, body)}) == (200, "3eZbrw1aB")
        assert await post(care, body, signed("another secret", body)) == 401


@pytest.mark.parametrize(
    ("secret", "timestamp"),
    [
        ("another secret", None),
        (None, "0"),
        (None, -400),
        (None, 600),
        (None, "now"),
        (None, "1e9"),
        (None, ""),
        (None, "٣"),
        (None, "-1"),
        (None, "9" * 40),
    ],
)
async def test_a_forged_request_or_one_of_another_time_is_refused(start: Start, secret: str | None, timestamp: str | int | None) -> None:
    async with start(http=True) as care:
        body = json.dumps(event_body(care.slack))
        if isinstance(timestamp, int):  # seconds from now
            timestamp = str(int(time.time()) + timestamp)
        headers = signed(
            secret or care.slack.signing_secret, body, None if timestamp is None else timestamp.encode("ascii", "replace").decode()
        )
        assert await post(care, body, headers) == 401
        assert await post(care, body, {}) == 401
        assert care.turns() == []


async def test_a_changed_body_is_refused(start: Start) -> None:
    async with start(http=True) as care:
        body = json.dumps(event_body(care.slack))
        assert await post(care, body.replace("high", "low"), signed(care.slack.signing_secret, body)) == 401


async def test_an_identical_replay_is_refused_and_slacks_own_retry_is_not(start: Start) -> None:
    async with start(http=True) as care:
        body = json.dumps(event_body(care.slack))
        headers = signed(care.slack.signing_secret, body)
        assert await post(care, body, headers) == 200
        assert await post(care, body, headers) == 401
        retried = signed(care.slack.signing_secret, body, str(int(time.time()) + 1))
        assert await post(care, body, {**retried, "X-Slack-Retry-Num": "1"}) == 200
        await care.idle()
        assert len(care.turns()) == 1


def test_a_replay_is_remembered_for_as_long_as_its_signature_is_good_and_not_for_ever() -> None:
    moment = [1000.0]
    signatures = Signatures("secret", lambda: moment[0])
    headers = signed("secret", "x", "1000")
    stamp, signature = headers["X-Slack-Request-Timestamp"], headers["X-Slack-Signature"]
    signatures.check(stamp, signature, b"x")
    with pytest.raises(Forged):
        signatures.check(stamp, signature, b"x")  # two at a time
    signatures.refused(signature)
    signatures.check(stamp, signature, b"x")
    signatures.answered(signature)
    for later in (1.0, 299.0):
        moment[0] = 1000.0 + later
        with pytest.raises(Forged, match="came before"):
            signatures.check(stamp, signature, b"x")
    moment[0] = 2000.0
    with pytest.raises(Forged, match="five minutes"):
        signatures.check(stamp, signature, b"x")
    fresh = signed("secret", "y", "2000")
    signatures.check("2000", fresh["X-Slack-Signature"], b"y")
    assert not signatures._seen


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"", b"{", b"[]", b"null", b"payload=%7B", b'{"type": "event_callback"}', b'{"type": 5, "event": 7}']
)
async def test_signed_nonsense_breaks_nothing(start: Start, body: bytes) -> None:
    async with start(http=True) as care:
        assert care.slack.http is not None
        stamp = str(int(time.time()))
        headers = _signed_bytes(care.slack.signing_secret, stamp, body)
        async with care.slack.http._session.post(care.slack.http._url, data=body, headers={**JSON, **headers}) as response:
            assert response.status in (200, 400)
        asked = care.slack.mention(ADA, SUPPORT, "Still there?")
        assert "You asked" in (await care.answer(asked)).reading


def _signed_bytes(secret: str, stamp: str, body: bytes) -> dict[str, str]:
    import hashlib
    import hmac

    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def test_http_without_a_signing_secret_refuses_to_start() -> None:
    with pytest.raises(BadSettings, match="SLACK_SIGNING_SECRET"):
        load_settings({"SLACK_BOT_TOKEN": "xoxb-1"})


def _without(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """A payload with each of its fields missing in turn, at every depth."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        shorter = copy.copy(value)
        del shorter[key]  # type: ignore[attr-defined]
        yield (*path, key), shorter
        for where, changed in _without(inner, (*path, key)):
            whole = copy.copy(value)
            whole[key] = changed  # type: ignore[index]
            yield where, whole


def _kind(delivery: Delivery) -> tuple[object, ...]:
    """What a listener tells apart."""
    event = delivery.payload.get("event", delivery.payload)
    inner = event.get("message") or event.get("previous_message") or event
    place = event.get("channel_type"), "thread_ts" in inner, "bot_id" in inner, "edited" in inner
    return delivery.kind, delivery.event_type, event.get("subtype"), inner.get("subtype"), *place


async def _all_kinds(care: Care, place: str) -> Message:
    """One of everything that Slack tells of a place; its first answer."""
    asked = care.slack.mention(ADA, place, "Why is my bill so high?")
    answer = await care.answer(asked)
    care.slack.react(ADA, answer)
    care.slack.unreact(ADA, answer)
    await care.slack.click(answer, "care_feedback", ADA, value=f"down:{care.turns()[-1]['id']}")
    view = await care.slack.until(lambda: care.slack.open_view(ADA))
    await care.slack.submit(view, {"correction": "roaming"})
    follow_up = care.slack.say(ADA, place, "And next month?", thread_ts=answer.root)
    await care.answers(asked, 2)
    care.slack.edit(follow_up, "And last month?")
    await care.slack.until(lambda: any("last month? Bye." in each.reading for each in care.slack.answers(asked)))
    care.slack.delete(care.slack.say(ADA, place, "Gone", thread_ts=answer.root))
    care.slack.delete(care.slack.mention(ADA, place, "Gone, too"))
    care.slack.mention(ADA, place, "What does this say?", files=["bill.pdf"])
    care.slack.unfurl(asked)
    care.slack.stop(place, answer.root, ADA)
    await care.slack.command("/care", "new", ADA, place)
    await care.idle()
    return answer


async def test_every_field_missing_in_turn_breaks_nothing_and_neither_loses_nor_invents_a_turn_or_a_vote(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as care:
        await _all_kinds(care, care.slack.dm(ADA))
        answer = await _all_kinds(care, SUPPORT)
        care.slack.react(GRACE, answer)
        await care.slack.shortcut("teach_care", care.slack.say(GRACE, SUPPORT, "Lunch?"), ADA)
        care.slack.open_home(ADA)
        care.slack.join(GRACE, SUPPORT)
        await care.idle()
        before = care.turns(), care.ratings()
        assert len(before[0]) == 8
        assert sorted((rating["user_id"], rating["verdict"], rating["correction"]) for rating in before[1]) == [
            (ADA, -1, "roaming"),
            (ADA, -1, "roaming"),
            (GRACE, 1, None),
        ]
        seen = {_kind(delivery): delivery for delivery in care.slack.outbox.sent}
        assert len([kind for kind in seen if kind[1] == "message"]) >= 12
        bolt = care.connector._bolt
        for kind, delivery in seen.items():
            for path, broken in _without(delivery.payload):
                with suppress(NotTaken):  # then Slack would send it again
                    await bolt.socket(broken)
                assert len(care.turns()) == 8, (kind, path)
                assert len(care.ratings()) == 3, (kind, path)
        await care.idle()
        assert [turn["status"] for turn in care.turns()] == [turn["status"] for turn in before[0]]
        kept = ("turn_id", "user_id", "verdict", "correction")
        assert [[rating[name] for name in kept] for rating in care.ratings()] == [[rating[name] for name in kept] for rating in before[1]]
        asked = care.slack.mention(ADA, SUPPORT, "Still there?")
        assert "You asked: Still there?" in (await care.answer(asked)).reading
    assert "a listener broke" not in caplog.text
    assert "a task broke" not in caplog.text


async def test_a_revoked_token_is_told_once_and_nothing_is_lost(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with start() as care:
        asked = care.slack.mention(ADA, SUPPORT, "First")
        await care.answer(asked)
        care.slack.revoked_tokens.add(care.slack.bot_token)
        second = care.slack.mention(ADA, SUPPORT, "Second")
        await care.slack.until(lambda: sum(call.error == "token_revoked" for call in care.slack.calls) >= 3)
        assert len([record for record in caplog.records if "refuses the token" in record.message]) == 1
        care.slack.revoked_tokens.clear()
        assert "You asked: Second" in (await care.answer(second)).reading
        assert "accepts the token again" in caplog.text


async def test_a_token_that_is_refused_at_the_start_stops_nothing(start: Start, slack: FakeSlack) -> None:
    async with start(http=True) as care:
        slack.revoked_tokens.add(slack.bot_token)
        care.connector._workspace._identity = None
        body = json.dumps(event_body(slack))
        assert await post(care, body, signed(slack.signing_secret, body)) == 503, "Slack keeps it and sends it again"
        slack.revoked_tokens.clear()


async def test_the_log_holds_no_token_no_text_and_no_ticket(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret_words = "my card number is 4111111111111111"
    async with start() as care:
        asked = care.slack.mention(ADA, SUPPORT, secret_words)
        answer = await care.answer(asked)
        care.slack.faults.outage("chat.postMessage", times=2)
        care.slack.faults.refuse("chat.startStream", "fatal_error", times=3)
        care.slack.edit(asked, f"<@{care.slack.app_user}> {secret_words} again")
        care.slack.react(ADA, answer)
        care.slack.sockets.drop()
        await care.slack.connected()
        await care.slack.command("/care", secret_words, ADA, SUPPORT)
        await care.idle()
    async with start(http=True) as care:
        body = json.dumps(event_body(care.slack, text=secret_words))
        await post(care, body, signed("another secret", body))
        await post(care, body, signed(care.slack.signing_secret, body, "now"))
        await post(care, body, signed(care.slack.signing_secret, body))
        await care.slack.until(lambda: not care.service._tasks)
    told = [f"{record.getMessage()} {vars(record)}" for record in caplog.records if not record.name.startswith(("asyncio", "tests"))]
    for secret in ("4111111111111111", care.slack.bot_token, care.slack.app_token, care.slack.signing_secret, "ticket"):
        assert [line for line in told if secret in line] == []
