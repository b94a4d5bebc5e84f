"""Activities on their way in: acknowledged after the commit, answered once whatever comes twice, and never lost."""

import asyncio
import re
from collections import Counter

import pytest

from bot.connectors.teams.post import Pace
from bot.store import StorageFull, Store
from bot.turns import Status
from tests.bot.teams.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, GRACE, SUPPORT, Chat, FakeTeams, Message
from tests.seconds import within

PLACES = ("personal", "group", "channel")


def place(teams: FakeTeams, kind: str) -> Chat:
    return {"personal": teams.personal(ADA), "group": teams.group(ADA, GRACE), "channel": SUPPORT}[kind]


@pytest.mark.alone
@pytest.mark.parametrize("kind", PLACES)
async def test_an_activity_is_acknowledged_after_the_commit_and_long_before_the_answer(start: Start, kind: str) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1, queue=20)) as care:
        for number in range(3):
            asked = await care.teams.say(ADA, f"Question {number}", in_=place(care.teams, kind))
            assert (asked.status, len(care.turns())) == (201, number + 1)
        within(1.0, care.teams.outbox.latencies())
        going.set()
        await care.idle()
        assert {turn["status"] for turn in care.turns()} == {Status.DELIVERED}


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("new_id", [False, True])
async def test_what_comes_again_is_answered_once(care: Care, kind: str, new_id: bool) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=place(care.teams, kind))
    at_once = await care.teams.redeliver(asked, new_id)
    await care.answer(asked)
    late = await care.teams.redeliver(asked, new_id)
    await care.idle()
    assert (at_once.status, late.status) == (201, 201)
    assert len(care.teams.posts(asked.chat)) == 1
    assert len(care.turns()) == 1


async def test_the_same_words_said_again_are_another_question(care: Care) -> None:
    first = await care.teams.say(ADA, "And now?")
    await care.answer(first)
    second = await care.teams.say(ADA, "And now?")
    await care.answer(second)
    assert len(care.turns()) == 2


async def test_the_same_words_at_the_same_time_of_two_people_or_in_two_places_are_two_questions(care: Care) -> None:
    stamp = "2026-11-25T21:10:07.437+01:00"
    group = care.teams.group(ADA, GRACE)
    for person, chat in ((ADA, group), (GRACE, group), (ADA, SUPPORT)):
        await care.teams.say(person, "And now?", in_=chat, localTimestamp=stamp)
    await care.idle()
    assert len(care.turns()) == 3


@pytest.mark.parametrize("new_id", [False, True])
async def test_what_comes_again_a_day_and_a_restart_later_is_answered_once(start: Start, teams: FakeTeams, new_id: bool) -> None:
    async with start() as care:
        asked = await teams.say(ADA, "Why is my bill so high?")
        await care.answer(asked)
        with care.store._write() as db:
            db.execute("UPDATE turns SET asked_at = '2020-01-01T00:00:00.000000+00:00'")
    async with start() as care:
        assert (await teams.redeliver(asked, new_id)).status == 201
        await care.answer(await teams.say(ADA, "And now?"))
        assert len(care.turns()) == 2
        assert len(teams.posts(asked.chat)) == 2


async def test_lost_acknowledgements_make_no_second_answer(care: Care) -> None:
    care.teams.outbox.lose_answers = 2
    asked = await care.teams.say(ADA, "Why is my bill so high?")
    await care.answer(asked)
    assert asked.delivery is not None
    assert asked.delivery.statuses == [None, None, 201]
    assert len(care.teams.posts(asked.chat)) == 1


async def test_what_could_not_be_recorded_is_not_acknowledged_and_comes_again(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = Store.receive, [True]

    def receive(self: Store, *args: object) -> object:
        if full[0]:
            raise StorageFull("the disk is full")
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "receive", receive)
    asked = care.teams.saying(ADA, "Why is my bill so high?")
    delivery = asked.delivery
    assert delivery is not None
    await care.teams.until(lambda: len(delivery.statuses) >= 2)
    assert delivery.statuses == [503] * len(delivery.statuses)
    full[0] = False
    assert "You asked" in (await care.answer(asked)).text
    assert (delivery.status, len(care.turns())) == (201, 1)


async def test_questions_wait_while_the_model_loads(start: Start) -> None:
    async with start(ready=False) as care:
        asked = await care.teams.say(ADA, "Why is my bill so high?")
        assert asked.status == 201
        await care.teams.until(lambda: care.teams.replies(asked))
        assert care.teams.answers(asked) == []
        await care.engine.start()
        care.service.engine_ready()
        assert "You asked" in (await care.answer(asked)).text


async def test_a_stop_takes_nothing_new_lets_what_runs_finish_and_teams_comes_again(start: Start, teams: FakeTeams) -> None:
    steps = asyncio.Semaphore(2)
    async with start(ScriptedEngine(step=steps.acquire), drain=60.0) as care:
        asked = await teams.say(ADA, "one two three")
        await teams.until(lambda: teams.replies(asked))
        await care.connector.stop_intake()
        late = teams.saying(GRACE, "Too late")
        delivery = late.delivery
        assert delivery is not None
        await teams.until(lambda: delivery.statuses)
        for _ in range(20):
            steps.release()
    assert delivery.statuses[0] == 503
    assert [answer.text.partition(" Bye.")[0] for answer in teams.answers(asked)] == ["You asked: one two three"]
    assert teams.replies(late) == []
    async with start() as care:
        assert "You asked: Too late" in (await care.answer(late)).text


@pytest.mark.alone
@pytest.mark.slow
async def test_a_thousand_activities_at_fifty_a_second_get_exactly_one_final_message_each(start: Start) -> None:
    """In 120 personal chats, 30 groups and a channel; 5 % come twice, half of those under another id; an engine far too small."""

    async def step() -> None:
        await asyncio.sleep(0.05)

    async with start(ScriptedEngine(step=step, slots=4, queue=16)) as care:
        care.teams.streams.gap, care.connector._workspace.pace = 1.0, Pace()  # Teams' own
        flood = await care.teams.flood(1000, per_second=50, duplicates=0.05)
        await care.idle(30)
        assert (len(flood.asked), len(flood.repeated), len(care.turns())) == (950, 50, 950)
        assert {turn["status"] for turn in care.turns()} <= {Status.DELIVERED, Status.FAILED}
        chats = {said.chat.id: said.chat for said in flood.asked}.values()
        messages = [message for chat in chats for message in care.teams.posts(chat)]
        assert all(message.final for message in messages)
        assert Counter(message.place for message in messages) == Counter(said.place for said in flood.asked)
        assert answered(messages) == {int(str(turn["question"]).split()[-1]) for turn in care.turns() if turn["status"] == Status.DELIVERED}
        assert all("ask me again" in message.text for message in messages if "You asked" not in message.text)
        assert 0 < len(answered(messages)) < 900, "some are answered and some are not"
        latencies, words = flood.latencies(), flood.first_words(care.teams)
        assert len(latencies) == 1000
        assert care.teams.streams.dropped == []
        assert care.teams.login.issued == 1
        within(1.0, [latencies[int(len(latencies) * 0.99)], words[int(len(words) * 0.99)]])


def answered(messages: list[Message]) -> set[int]:
    """The numbers of the questions that were answered, none of them twice."""
    numbers = [int(number) for message in messages for number in re.findall(r"You asked: Question (\d+) Bye\.", message.text)]
    assert len(numbers) == len(set(numbers))
    return set(numbers)
