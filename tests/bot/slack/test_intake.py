"""Events on their way in: acknowledged after the commit, answered once whatever comes twice, and never lost."""

import asyncio
import json
import time

import pytest

from bot.connectors.slack import people
from bot.store import StorageFull, Store
from bot.turns import Status
from tests.bot.slack.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.slack import ADA, GRACE, LINUS, PARTNERS, SUPPORT, FakeSlack
from tests.fakes.slack.events import envelope
from tests.fakes.slack.http_events import signed
from tests.fakes.slack.workspace import Message
from tests.seconds import within


async def test_an_event_is_acknowledged_after_the_commit_and_while_the_engine_is_saturated(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1, queue=0)) as care:
        for number in range(20):
            care.slack.mention(ADA, SUPPORT, f"Question {number}")
        await care.slack.settled()
        assert len(care.turns()) == 20
        going.set()
        await care.slack.until(lambda: all(turn["status"] in (Status.DELIVERED, Status.FAILED) for turn in care.turns()))


@pytest.mark.parametrize("http", [False, True])
async def test_what_could_not_be_recorded_is_not_acknowledged_and_comes_again(
    start: Start, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, http: bool
) -> None:
    slack.outbox.ack_seconds, slack.outbox.retry_pauses = 0.2, (0.05,) * 50
    real, full = Store.receive, [True]

    def receive(self: Store, *args: object) -> object:
        if full[0]:
            raise StorageFull("the disk is full")
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "receive", receive)
    async with start(http=http) as care:
        asked = slack.say(ADA, slack.dm(ADA), "Why is my bill so high?")
        await slack.until(lambda: slack.outbox.sent[0].attempts >= 3)
        assert not slack.outbox.sent[0].acked
        full[0] = False
        assert "You asked" in (await care.answer(asked)).reading
        assert len(care.turns()) == 1


@pytest.mark.parametrize("trouble", ["slow", "limited"])
async def test_who_can_not_be_looked_up_now_is_no_stranger_but_asked_after_again(
    start: Start, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(people, "_LOOK_SECONDS", 0.1)
    slack.outbox.ack_seconds, slack.outbox.retry_pauses = 0.3, (0.2,) * 100
    async with start() as care:
        asked = slack.workspace.add(Message(PARTNERS, slack.workspace.new_ts(), ADA, f"<@{slack.app_user}> Why is my bill so high?"))
        event = {"type": "app_mention", "user": ADA, "text": asked.text, "ts": asked.ts, "channel": PARTNERS}  # no word of a team
        if trouble == "slow":
            slack.faults.slow("users.info", 0.5)
        else:
            slack.faults.rate_limit("users.info", times=1, retry_after=1)
        told = slack.outbox.put("events_api", envelope(slack.workspace, event, shared=True))
        assert "You asked: Why is my bill so high?" in (await care.answer(asked)).reading
        assert told.attempts > 1
        assert len(care.turns()) == 1


async def test_lost_acknowledgements_make_no_second_answer(care: Care) -> None:
    care.slack.outbox.ack_seconds, care.slack.outbox.retry_pauses, care.slack.outbox.lose_acks = 0.2, (0.05,) * 100, 2
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    await care.idle()
    assert max(delivery.attempts for delivery in care.slack.outbox.sent) >= 2
    assert len(care.slack.replies(asked)) == 1
    assert len(care.turns()) == 1


async def test_an_event_that_comes_again_a_day_and_a_restart_later_is_answered_once(start: Start, slack: FakeSlack) -> None:
    async with start() as care:
        asked = slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.answer(asked)
        with care.store._write() as db:
            db.execute("UPDATE turns SET asked_at = '2020-01-01T00:00:00.000000+00:00'")
    async with start() as care:
        for delivery in list(slack.outbox.sent):
            slack.outbox.redeliver(delivery)
        await slack.until(lambda: all(delivery.attempts >= 2 for delivery in slack.outbox.sent))
        await care.idle()
        other = slack.mention(ADA, SUPPORT, "And now?")
        await care.answer(other)
        assert len(slack.replies(asked)) == 1
        assert len(care.turns()) == 2


async def test_the_same_message_under_another_event_id_is_answered_once(start: Start) -> None:
    async with start(http=True) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.answer(asked)
        payload = {**care.slack.outbox.sent[0].payload, "event_id": "EvOTHER"}
        body = json.dumps(payload)
        assert care.slack.http is not None
        status, _ = await care.slack.http.post(body, {"Content-Type": "application/json", **signed(care.slack.signing_secret, body)})
        assert status == 200
        await care.idle()
        assert len(care.turns()) == 1


async def test_retries_are_never_dropped_unread(start: Start) -> None:
    """Slack's first try got lost on its way: the retry is the first that we see."""
    async with start(http=True) as care:
        said = care.slack.say(ADA, SUPPORT, "x")
        event = {"type": "app_mention", "user": ADA, "text": f"<@{care.slack.app_user}> Hi", "ts": said.ts, "channel": SUPPORT}
        body = json.dumps({"type": "event_callback", "event_id": "Ev9", "team_id": "T0CAREHQ01", "event": event})
        headers = {"X-Slack-Retry-Num": "2", "X-Slack-Retry-Reason": "http_timeout", **signed(care.slack.signing_secret, body)}
        assert care.slack.http is not None
        status, _ = await care.slack.http.post(body, {"Content-Type": "application/json", **headers})
        assert status == 200
        assert "You asked: Hi" in (await care.answer(said)).reading


async def test_several_sockets_share_the_events_and_survive_reconnects(start: Start) -> None:
    async with start(slack_sockets=3) as care:
        care.slack.outbox.ack_seconds, care.slack.outbox.retry_pauses = 0.5, (0.05,) * 50
        asked = []
        for number in range(12):
            asked.append(care.slack.mention(ADA, SUPPORT, f"Question {number}"))
            if number % 4 == 1:
                care.slack.disconnect()
            if number % 4 == 3:
                care.slack.sockets.drop()
            await care.slack.connected(1)
        for each in asked:
            assert len(await care.answers(each, 1)) == 1
        await care.slack.connected(3)
        assert care.slack.sockets.connections > 3
        assert len(care.turns()) == 12


async def test_what_slack_invents_tomorrow_is_acknowledged(care: Care) -> None:
    told = care.slack.outbox.put("events_api", {"type": "event_callback", "event_id": "E1", "event": {"type": "thing_happened"}})
    pressed = await care.slack.interact(
        {"type": "block_actions", "actions": [{"action_id": "nobodys", "type": "button"}], "user": {"id": ADA}}
    )
    other = await care.slack.interact({"type": "dance", "user": {"id": ADA}})
    await care.slack.until(lambda: told.acked)
    assert pressed.acked
    assert other.acked


async def test_a_stop_takes_nothing_new_and_lets_what_runs_finish(start: Start, slack: FakeSlack) -> None:
    steps = asyncio.Semaphore(2)
    async with start(ScriptedEngine(step=steps.acquire), drain=60.0) as care:
        asked = slack.mention(ADA, SUPPORT, "one two three")
        await slack.until(lambda: slack.replies(asked))
        await care.connector.stop_intake()
        late = slack.mention(ADA, SUPPORT, "Too late")
        for _ in range(20):
            steps.release()
    assert [answer.text for answer in slack.answers(asked)] == ["You asked: one two three Bye."]
    assert slack.replies(late) == []
    async with start() as care:
        assert "You asked: Too late" in (await care.answer(late)).reading, "Slack kept it for the next start"


async def test_http_that_stops_says_so_and_slack_comes_again(start: Start) -> None:
    async with start(http=True) as care:
        await care.connector.stop_intake()
        body = "{}"
        assert care.slack.http is not None
        status, _ = await care.slack.http.post(body, signed(care.slack.signing_secret, body))
        assert status == 503


async def test_a_slack_that_is_away_at_the_start_is_waited_for(start: Start, slack: FakeSlack) -> None:
    slack.faults.outage("auth.test")
    slack.faults.outage("apps.connections.open")
    async with start() as care:
        assert "You asked" in (await care.answer(slack.mention(ADA, SUPPORT, "Are you there?"))).reading


async def test_questions_wait_while_the_model_loads(start: Start) -> None:
    async with start(ready=False) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.settled()
        await care.slack.until(lambda: (SUPPORT, asked.ts) in care.slack.workspace.statuses)
        assert care.slack.replies(asked) == []
        await care.engine.start()
        care.service.engine_ready()
        assert "You asked" in (await care.answer(asked)).reading


@pytest.mark.alone
@pytest.mark.slow
async def test_a_thousand_events_in_twenty_seconds_get_exactly_one_final_message_each(start: Start) -> None:
    """50 a second, every twentieth twice, a reconnect every two seconds, an engine that has far too little room.

    Three people, in DMs and in a channel, where each question comes as a mention and as a message.
    """

    async def step() -> None:
        await asyncio.sleep(0.05)

    async with start(ScriptedEngine(step=step, slots=4, queue=16), slack_sockets=2) as care:
        care.slack.outbox.duplicates, care.slack.outbox.ack_seconds = 0.05, 3.0
        asked, told, reconnects = [], 0, 0
        begun = time.monotonic()
        while told < 1000:
            number, person = len(asked), (ADA, GRACE, LINUS)[len(asked) % 3]
            ask, place, events = (care.slack.say, care.slack.dm(person), 1) if number % 2 else (care.slack.mention, SUPPORT, 2)
            asked.append(ask(person, place, f"Question {number}"))
            told += events
            if told // 100 > reconnects:
                reconnects += 1
                care.slack.disconnect()
            await asyncio.sleep(max(0.0, begun + told / 50 - time.monotonic()))
        await care.slack.until(lambda: all(care.slack.answers(each) for each in asked), 60)
        await care.idle()
        replies = [care.slack.replies(each) for each in asked]
        assert {len(each) for each in replies} == {1}
        assert not any(reply.streaming for each in replies for reply in each)
        texts = [each[0].reading for each in replies]
        assert all(f"Question {number} Bye." in text or "ask me again" in text for number, text in enumerate(texts))
        assert [turn["user_id"] for turn in care.turns()].count(LINUS) == len(asked) // 3
        assert len(care.turns()) == len(asked)
        latencies = care.slack.outbox.latencies()
        assert len(latencies) >= 1000
        within(1.0, [latencies[int(len(latencies) * 0.99)]])
