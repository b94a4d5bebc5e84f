"""Answers on their way: long ones, limits, refusals, outages, restarts, duplicates."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import pytest

from bot.connectors import delivery
from bot.connectors.teams.post import Pace
from bot.connectors.teams.writer import LIMIT
from bot.store import StorageFull, Store
from model.engine import Request
from tests.bot.teams.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, GRACE, LINUS, SUPPORT, FakeTeams
from tests.fakes.teams.world import Chat, Message
from tests.seconds import within

LINE = "Restart the router, wait for two minutes, and look at the second lamp from the left.\n\n"
PLACES = ["personal", "group", "channel"]


def long_answer(request: Request) -> Sequence[str]:
    return [f"{number}. {LINE}" for number in range(1, 500)]


def chat(teams: FakeTeams, where: str) -> Chat:
    return {"personal": teams.personal(ADA), "group": teams.group(ADA, GRACE), "channel": SUPPORT}[where]


def numbers(answers: Sequence[Message]) -> list[str]:
    return [line.partition(".")[0] for answer in answers for line in answer.text.splitlines() if line.endswith("left.")]


def delivered(care: Care) -> Callable[[], bool]:
    return lambda: [turn["status"] for turn in care.turns()] == ["delivered"] * max(1, len(care.turns()))


@pytest.mark.parametrize("where", PLACES)
async def test_a_long_answer_goes_on_in_further_messages(start: Start, where: str) -> None:
    async with start(ScriptedEngine(long_answer)) as care:
        asked = await care.teams.say(ADA, "How do I restart it?", in_=chat(care.teams, where))
        answers = await care.answers(asked, 3)
        assert len(answers) == 3
        assert all(len(answer.text.encode()) <= LIMIT for answer in answers)
        assert numbers(answers) == [str(number) for number in range(1, 500)]
        assert [answer.feedback for answer in answers] == [None, None, "custom"]
        assert all(answer.ai_label for answer in answers)
        carried = await care.service.carried(str(care.turns()[0]["id"]))
        assert carried == [f"{answer.place}/{answer.id}" for answer in answers]
        assert not [call for call in care.teams.calls if call.status == 413]


@pytest.mark.parametrize("where", PLACES)
async def test_a_proxys_page_that_nothing_is_there_loses_no_answer(start: Start, where: str) -> None:
    async with start() as care:
        for kind in ("final", "update"):
            care.teams.faults.outage(kind, status=404, times=2)
        asked = await care.teams.say(ADA, "How do I restart it?", in_=chat(care.teams, where))
        answer = await care.answer(asked)
        assert answer.ai_label
        await care.teams.until(delivered(care))


async def test_a_message_that_teams_finds_too_long_is_split_smaller(start: Start, teams: FakeTeams) -> None:
    teams.connector.max_bytes = 8000
    teams.connector.rates = ()
    async with start(ScriptedEngine(lambda request: long_answer(request)[:200])) as care:
        for where in PLACES:
            asked = await teams.say(ADA, "How do I restart it?", in_=chat(teams, where))
            await teams.until(lambda asked=asked: "200." in "".join(answer.text for answer in teams.answers(asked)))
            await care.idle()
            assert numbers(teams.answers(asked)) == [str(number) for number in range(1, 201)]
            assert len([call for call in teams.calls if call.code == "MessageSizeTooBig"]) <= 9


async def test_an_answer_that_is_too_long_however_small_its_messages_says_so(start: Start, teams: FakeTeams) -> None:
    async with start(ScriptedEngine(long_answer)) as care:
        asked = await teams.say(ADA, "How do I restart it?", in_=SUPPORT)
        await care.answers(asked, 3)
        teams.connector.max_bytes = 1200
        asked = await teams.say(ADA, "And this?", in_=SUPPORT)
        await teams.until(lambda: any("Teams does not take this answer" in each.text for each in teams.replies(asked)))
        await care.idle()
        assert len(teams.replies(asked)) == 1


async def test_a_teams_that_finds_everything_too_long_is_not_asked_for_ever(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start() as care:
        for kind in ("create", "update"):
            care.teams.faults.too_big(kind, times=1000)
        await care.teams.say(ADA, "Why?", in_=SUPPORT)
        await care.teams.until(lambda: "an answer is too long for Teams" in caplog.text)
        await care.idle()
        assert len([call for call in care.teams.calls if call.status == 413]) < 20


@pytest.mark.parametrize("kind", ["create", "update"])
async def test_retry_after_is_honoured(start: Start, kind: str) -> None:
    async with start() as care:
        care.teams.faults.limit(kind, retry_after=0.6)
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        answer = await care.answer(asked)
        assert "You asked: Why? Bye." in answer.text
        assert len(care.teams.replies(asked)) == 1
        refused = next(call for call in care.teams.calls if call.status == 429)
        after = [call.at for call in care.teams.calls if call.at > refused.at and call.kind in ("create", "update")]
        assert min(after) - refused.at >= 0.55


async def test_a_limit_that_lasts_longer_than_a_call_waits_delays_the_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.connectors.teams.writer._PATIENCE_SECONDS", 0.1)
    async with start() as care:
        care.teams.faults.limit("create", times=2, retry_after=0.5)
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        assert "You asked: Why? Bye." in (await care.answer(asked)).text
        calls = [call.at for call in care.teams.calls if call.kind == "create"]
        assert all(after - before >= 0.45 for before, after in itertools.pairwise(calls[:3]))


async def test_many_questions_in_one_chat_keep_within_teams_rate(start: Start) -> None:
    async with start() as care:
        care.connector._workspace.pace = Pace(retry=0.05)
        group = care.teams.group(ADA, GRACE, LINUS)
        asked = await asyncio.gather(*[care.teams.say(ADA, f"Question {number}", in_=group) for number in range(12)])
        await care.teams.until(lambda: delivered(care)() and len(care.turns()) == 12)
        texts = [message.text for message in care.teams.posts(group)]
        assert [sum(f"You asked: Question {number} Bye." in text for text in texts) for number in range(12)] == [1] * 12
        assert len(texts) == 12
        assert {each.status for each in asked} == {201}


@pytest.mark.parametrize("where", PLACES)
async def test_an_outage_delays_an_answer_and_loses_none(start: Start, where: str) -> None:
    async with start() as care:
        care.teams.faults.outage("*", times=4)
        asked = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
        await care.teams.until(lambda: any("You asked: Why? Bye." in each.text for each in care.teams.answers(asked)))
        await care.teams.until(delivered(care))
        assert len(care.teams.replies(asked)) == 1


@pytest.mark.parametrize("where", PLACES)
async def test_a_broken_connection_loses_no_answer(start: Start, where: str) -> None:
    async with start() as care:
        care.teams.faults.break_off("*", times=3)
        asked = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
        await care.teams.until(lambda: any("You asked: Why? Bye." in each.text for each in care.teams.answers(asked)))
        await care.teams.until(delivered(care))


@pytest.mark.parametrize("where", PLACES)
async def test_a_first_line_whose_receipt_got_lost_is_not_made_twice(start: Start, where: str) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        care.teams.faults.break_off("stream" if where == "personal" else "create", done=True)
        asked = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
        await care.teams.until(lambda: len(care.teams.replies(asked)) == 1)
        await asyncio.sleep(0.3)
        assert len(care.teams.replies(asked)) == 1
        going.set()
        await care.teams.until(delivered(care))
        texts = [each.text for each in care.teams.replies(asked)]
        assert sum("You asked: Why? Bye." in text for text in texts) == 1, "a lost answer is worse than a second line"


@pytest.mark.parametrize("where", PLACES)
async def test_a_message_that_teams_takes_without_saying_its_id_is_not_written_for_ever(start: Start, where: str) -> None:
    async with start() as care:
        care.teams.faults.accept("stream" if where == "personal" else "create", times=1)
        care.teams.faults.accept("create", times=1)
        asked = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
        await care.teams.until(delivered(care))
        await care.idle()
        texts = [each.text for each in care.teams.replies(asked)]
        assert sum("You asked: Why? Bye." in text for text in texts) == 1
        assert len(texts) <= 2


async def test_a_token_that_teams_refuses_loses_no_answer(start: Start) -> None:
    async with start() as care:
        care.teams.faults.refuse("*", 401, "Unauthorized", times=2)
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        assert "You asked: Why? Bye." in (await care.answer(asked)).text


async def test_slow_sends_hold_nobody_else_up(start: Start) -> None:
    async with start() as care:
        care.teams.faults.hold()
        people = [await care.teams.say(person, "Why?") for person in (ADA, GRACE, LINUS)]
        assert [each.delivery.statuses for each in people if each.delivery] == [[201]] * 3, "acknowledged before anything is sent"
        await care.teams.until(lambda: sum(care.teams.faults.held.values()) >= 3)
        care.teams.faults.release()
        for asked in people:
            assert "You asked: Why? Bye." in (await care.answer(asked)).text


async def test_an_answer_whose_thumbs_teams_refuses_comes_without_them(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        await care.teams.until(lambda: care.teams.replies(asked))
        care.teams.faults.refuse("update", 400)
        going.set()
        answer = await care.answer(asked)
        assert "You asked: Why? Bye." in answer.text
        assert (answer.feedback, answer.ai_label) == (None, True)
        assert care.turns()[0]["status"] == "delivered"


@pytest.mark.parametrize(
    ("setting", "seen"),
    [("dialog", [("custom", 0, True)]), ("comment", [("default", 0, True)]), ("card", [(None, 0, True), (None, 1, False)])],
)
async def test_below_an_answer_are_the_thumbs_that_the_operator_chose(
    start: Start, setting: str, seen: list[tuple[str, int, bool]]
) -> None:
    async with start(teams_feedback=setting) as care:
        for where in PLACES:
            asked = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
            shown = await care.answers(asked, len(seen))
            assert [(message.feedback, len(message.cards), message.ai_label) for message in shown] == seen


async def test_what_a_chat_that_is_gone_was_to_hear_is_given_up(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        await care.teams.until(lambda: care.teams.replies(asked))
        care.teams.world.gone[SUPPORT.id] = "BotNotInConversationRoster"
        going.set()
        await care.teams.until(lambda: not care.service._tasks)
        assert care.turns()[0]["status"] in ("cancelled", "delivered"), "no later start tries again"


async def test_an_answer_that_teams_takes_late_counts_as_delivered_then(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        care.teams.faults.limit("create", times=1000, retry_after=0.2)
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        await care.teams.until(lambda: care.turns()[0]["status"] == "answered" and not care.service._tasks)
        assert care.teams.replies(asked) == [], "others are answered meanwhile"
        care.teams.faults.clear()
        await care.teams.until(delivered(care))
        assert len(care.teams.replies(asked)) == 1


# Restarts.


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("update_allowed", [True, False])
async def test_after_a_restart_the_same_message_is_finished(start: Start, teams: FakeTeams, where: str, *, update_allowed: bool) -> None:
    teams.streams.update_allowed = update_allowed
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)):
        asked = await teams.say(ADA, "one two three four", in_=chat(teams, where))
        [begun] = await teams.until(lambda: teams.replies(asked))
        if where == "personal":
            await teams.until(lambda: begun.text == "You asked: one")
    assert begun.streaming == (where == "personal")
    async with start() as care:
        await teams.until(lambda: "one two three four Bye." in begun.text)
        await care.idle()
        assert teams.replies(asked) == [begun]
        assert (begun.ai_label, begun.feedback, begun.streaming) == (True, "custom", False)
        assert care.turns()[0]["status"] == "delivered"


async def test_a_stream_that_ended_during_the_restart_is_updated(start: Start, teams: FakeTeams) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)):
        asked = await teams.say(ADA, "one two three four")
        [begun] = await teams.until(lambda: teams.replies(asked))
    teams.streams.seconds = 0.0
    async with start() as care:
        await teams.until(lambda: "one two three four Bye." in begun.text)
        await care.idle()
        assert teams.replies(asked) == [begun]


async def test_an_answer_that_was_written_and_not_yet_shown_comes_after_the_restart(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        teams.faults.outage("*", times=1000)
        asked = await teams.say(ADA, "Why?", in_=SUPPORT)
        await teams.until(lambda: care.turns() and care.turns()[0]["status"] == "answered")
    teams.faults.clear()
    async with start() as care:
        assert "You asked: Why? Bye." in (await care.answer(asked)).text
        await teams.until(delivered(care))
        assert care.engine.requests == [], "it was not written twice"


async def test_a_message_that_is_gone_at_the_restart_is_made_anew(start: Start, teams: FakeTeams) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)):
        asked = await teams.say(ADA, "Why?", in_=SUPPORT)
        [begun] = await teams.until(lambda: teams.replies(asked))
    begun.deleted = True
    async with start() as care:
        answer = await care.answer(asked)
        assert answer is not begun
        assert "You asked: Why? Bye." in answer.text
        assert [row["message"] for row in care.rows("SELECT message FROM replies")] == [f"{answer.place}/{answer.id}"]


# The same thing twice.


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("where", PLACES)
async def test_what_teams_tells_twice_is_answered_once(start: Start, where: str, *, new_id: bool) -> None:
    async with start() as care:
        asked = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
        first, second = await asyncio.gather(*[care.teams.redeliver(asked, new_id=new_id) for _ in range(2)])
        answer = await care.answer(asked)
        late = await care.teams.redeliver(asked, new_id=new_id)
        await care.idle()
        assert [each.status for each in (first, second, late)] == [201] * 3
        assert care.teams.posts(asked.chat) == [answer]
        assert len(care.turns()) == 1


async def test_what_teams_tells_again_after_a_restart_is_answered_once(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        asked = await teams.say(ADA, "Why?")
        answer = await care.answer(asked)
    async with start() as care:
        for new_id in (False, True):
            await teams.redeliver(asked, new_id=new_id)
        await care.idle()
        assert teams.posts(asked.chat) == [answer]
        assert len(care.turns()) == 1


async def test_who_asks_the_same_again_is_answered_again(care: Care) -> None:
    for _ in range(2):
        await care.answer(await care.teams.say(ADA, "Why?", in_=SUPPORT))
    assert len(care.turns()) == 2


async def test_what_could_not_be_recorded_is_not_acknowledged_and_comes_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    receive, full = Store.receive, iter([True, True])

    def receiving(store: Store, *rest: object) -> object:
        if next(full, False):
            raise StorageFull("the disk is full")
        return receive(store, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "receive", receiving)
    async with start() as care:
        asked = await care.teams.say(ADA, "Why?")
        assert asked.delivery is not None
        assert asked.delivery.statuses == [503, 503, 201]
        assert "You asked: Why? Bye." in (await care.answer(asked)).text
        assert len(care.turns()) == 1


@pytest.mark.alone
async def test_an_acknowledgement_does_not_wait_for_the_engine_and_the_first_line_comes_within_a_second(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1, queue=100)) as care:
        asked = [care.teams.saying(ADA, f"Question {number}", in_=SUPPORT) for number in range(40)]
        await care.teams.settled()
        await care.teams.until(lambda: all(care.teams.replies(each) for each in asked))
        within(1.0, care.teams.outbox.latencies())
        within(1.0, [care.teams.replies(each)[0].at - each.at for each in asked])
        await care.teams.until(lambda: care.teams.replies(asked[9])[0].text.endswith("before yours…"))
