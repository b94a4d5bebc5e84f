"""What the service knows of a platform's messages: asked once, edited, deleted, carried, gone on with; and how long one waits."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from bot.migrations import migrations
from bot.store import Forgotten, NotYours, Store
from bot.turns import Question, Rating, Status, Turn, now
from tests.bot.conftest import Care, StartCare
from tests.bot.test_service import Platform
from tests.fakes.engine import ScriptedEngine

QUESTION = Question("slack", "Ev1", "T1/C1/1.0", "U1", "Why is my router slow?", now(), private=False, message="T1/C1/1.0")


@pytest.fixture
def platform(care: Care) -> Platform:
    platform = Platform()
    care.service.connect(platform)
    return platform


async def asked(care: Care, question: Question = QUESTION) -> Turn:
    turn, _ = await care.service.ask(question)
    return await care.service.wait(turn.id)


async def test_a_message_that_comes_as_two_events_is_answered_once(care: Care, platform: Platform) -> None:
    first, _ = await care.service.ask(QUESTION)
    again, fresh = await care.service.ask(replace(QUESTION, event_id="Ev2"))
    assert (again.id, fresh) == (first.id, False)
    await care.service.wait(first.id)
    assert len(care.engine.requests) == 1


async def test_an_edited_question_is_answered_again_where_its_first_answer_was(care: Care, platform: Platform) -> None:
    first = await asked(care)
    edited = await care.service.edit(replace(QUESTION, event_id="Ev2", edition="2.0", text="Why is my phone slow?"))
    assert edited is not None
    again = await care.service.wait(edited[0].id)
    assert again.reply.text == "You asked: Why is my phone slow? Bye."
    assert platform.opened[-1] == (again.id, first.reply_ref)
    assert (await care.service.answered_by("slack", first.reply_ref)).id == again.id
    assert (await care.service.asked_in("slack", "T1/C1/1.0")).id == again.id
    assert "router" not in str(care.engine.requests[-1].messages)


async def test_an_edit_while_the_answer_is_written_stops_that_answer(start_care: StartCare) -> None:
    going_on = asyncio.Event()
    async with start_care(ScriptedEngine(step=going_on.wait)) as care:
        care.service.connect(Platform())
        first, _ = await care.service.ask(QUESTION)
        stopped = care.service._answering[first.id]._left
        editing = asyncio.create_task(care.service.edit(replace(QUESTION, event_id="Ev2", edition="2.0", text="Something else?")))
        await stopped.wait()
        going_on.set()
        again, fresh = await editing
        assert fresh
        assert (await care.service.turn(first.id)).status is Status.CANCELLED
        assert (await care.service.wait(again.id)).reply.text == "You asked: Something else? Bye."


async def test_an_edit_that_changes_nothing_is_old_or_unheard_of_asks_nothing(care: Care, platform: Platform) -> None:
    await asked(care)
    assert await care.service.edit(replace(QUESTION, event_id="Ev2", edition="2.0")) is None
    assert await care.service.edit(replace(QUESTION, event_id="Ev3", edition="2.0", message="T1/C1/9.0")) is None
    assert await care.service.edit(replace(QUESTION, event_id="Ev4", edition="3.0", text="Third?")) is not None
    assert await care.service.edit(replace(QUESTION, event_id="Ev5", edition="2.0", text="Second?")) is None
    with pytest.raises(NotYours):
        await care.service.edit(replace(QUESTION, event_id="Ev6", edition="4.0", user_id="U2", text="Mine now?"))


async def test_two_editions_at_once_end_with_the_later_one(care: Care, platform: Platform) -> None:
    await asked(care)
    second, third = (replace(QUESTION, event_id=f"Ev{n}", edition=f"{n}.0", text=f"Edition {n}?") for n in (2, 3))
    await asyncio.gather(care.service.edit(second), care.service.edit(third))
    assert (await care.service.asked_in("slack", "T1/C1/1.0")).question.text == "Edition 3?"


async def test_an_earlier_edition_that_comes_late_is_the_turn_of_the_later_one(care: Care, platform: Platform) -> None:
    edited = await asked(care, replace(QUESTION, edition="2.0", text="Second?"))
    late, fresh = await care.service.ask(replace(QUESTION, event_id="Ev2"))
    assert (late.id, fresh, len(care.engine.requests)) == (edited.id, False, 1)


async def test_a_deleted_message_is_forgotten_and_not_recorded_again(care: Care, platform: Platform) -> None:
    turn = await asked(care)
    await care.service.carries("slack", "T1/C1/5.0", turn.id)
    await care.service.rate(Rating(turn.id, "U2", 1, now()))
    assert await care.service.forget_message("slack", "T1/C1/1.0") == sorted([turn.reply_ref, "T1/C1/5.0"])
    assert care.store.counts() == {}
    assert care.store.verdicts() == {}
    with pytest.raises(Forgotten):
        await care.service.ask(replace(QUESTION, event_id="Ev9"))
    assert await care.service.forget_message("slack", "T1/C1/1.0") == []


async def test_a_message_deleted_before_its_event_comes_is_not_recorded(care: Care, platform: Platform) -> None:
    await care.service.forget_message("slack", "T1/C1/1.0")
    with pytest.raises(Forgotten):
        await care.service.ask(QUESTION)


async def test_a_deleted_message_that_asked_nothing_waits_for_no_reader(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[Store] = []
    monkeypatch.setattr(Store, "empty_log", lambda store: emptied.append(store) or True)
    await care.service.forget_message("slack", "T1/D1/9.0")
    assert emptied == []


async def test_a_message_deleted_while_it_is_answered_leaves_nothing(start_care: StartCare) -> None:
    going_on = asyncio.Event()
    async with start_care(ScriptedEngine(step=going_on.wait)) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.ask(QUESTION)
        stopped = care.service._answering[turn.id]._left
        forgetting = asyncio.create_task(care.service.forget_message("slack", "T1/C1/1.0"))
        await stopped.wait()
        going_on.set()
        await forgetting
        assert care.store.counts() == {}


async def test_of_two_turns_in_one_message_the_newest_counts(care: Care, platform: Platform) -> None:
    first = await asked(care)
    second = await asked(care, replace(QUESTION, event_id="Ev2", message="T1/C1/2.0", conversation_id="T1/C1/2.0"))
    await care.service.carries("slack", "T1/C1/7.0", second.id)
    await care.service.carries("slack", "T1/C1/7.0", first.id)
    assert (await care.service.answered_by("slack", "T1/C1/7.0")).id == second.id
    await care.service.carries("slack", "T1/C1/8.0", "no such turn")
    assert await care.service.answered_by("slack", "T1/C1/8.0") is None


async def test_a_message_that_carries_the_answer_of_a_turn_that_is_gone_is_to_be_taken_away(care: Care, platform: Platform) -> None:
    await care.service.carries("slack", "T1/C1/8.0", "no such turn")
    assert await care.service.to_take_away("slack") == ["T1/C1/8.0"]
    await care.service.carries_no_more("slack", "T1/C1/8.0")
    assert await care.service.to_take_away("slack") == []


async def test_the_messages_of_an_answer_stand_in_the_order_in_which_they_were_written(care: Care, platform: Platform) -> None:
    first = await asked(care)
    written = ["T1/C1/a-0000l", "T1/C1/1764116315000", "T1/C1/0f2c", "T1/C1/1764116315001"]
    for message in [*written, written[0]]:
        await care.service.carries("slack", message, first.id)
    before = await care.service.carried(first.id)
    assert [message for message in before if message in written] == written
    edited = await care.service.edit(replace(QUESTION, event_id="Ev2", edition="2.0", text="Why is my phone slow?"))
    assert edited is not None
    again = await care.service.wait(edited[0].id)
    assert await care.service.carried(again.id) == before


def test_answers_from_before_messages_were_numbered_keep_their_order(tmp_path: Path) -> None:
    db = Database(tmp_path / "care.db")
    migrations.apply(db, stop_before="order_of_replies")
    db["turns"].insert(
        {
            **dict.fromkeys(("id", "event_id", "conversation_id", "user_id", "question", "domain", "asked_at"), "t1"),
            "platform": "slack",
            "private": 0,
            "status": "delivered",
        }
    )
    for ts in ("3.0", "1.0", "2.0"):
        db["replies"].insert({"platform": "slack", "message": f"T1/C1/{ts}", "turn_id": "t1"})
    db.close()
    store = Store(tmp_path / "care.db")
    store.carries("slack", "T1/C1/0.5", "t1")
    assert store.carried("t1") == ["T1/C1/1.0", "T1/C1/2.0", "T1/C1/3.0", "T1/C1/0.5"]
    store.close()


async def test_a_conversation_is_known_once_something_was_asked_in_it(care: Care, platform: Platform) -> None:
    assert not await care.service.known("slack", "T1/C1/1.0")
    await asked(care)
    assert await care.service.known("slack", "T1/C1/1.0")


async def test_a_place_goes_on_with_the_conversation_begun_last(care: Care) -> None:
    assert await care.service.newest("slack", "T1/D1") is None
    await care.service.begin_new("slack", "T1/D1", "T1/D1/1.0")
    await care.service.begin_new("slack", "T1/D1", "T1/D1/2.0")
    assert await care.service.newest("slack", "T1/D1") == "T1/D1/2.0"


async def test_people_are_told_once_what_care_is(care: Care) -> None:
    assert "machine" in (await care.service.introduction("slack", "U1") or "")
    await care.service.introduced("slack", "U1")
    assert await care.service.introduction("slack", "U1") is None
    assert await care.service.introduction("slack", "U2") is not None


async def test_a_vote_can_be_looked_up_and_taken_back(care: Care, platform: Platform) -> None:
    turn = await asked(care)
    assert await care.service.current_vote(turn.id, "U2") is None
    await care.service.rate(Rating(turn.id, "U2", -1, now(), "wrong"))
    assert (await care.service.current_vote(turn.id, "U2")).verdict == -1
    await care.service.rate(Rating(turn.id, "U2", 0, now()))
    assert await care.service.current_vote(turn.id, "U2") is None


async def test_too_many_questions_are_recorded_and_told_so(start_care: StartCare) -> None:
    going_on = asyncio.Event()
    async with start_care(ScriptedEngine(step=going_on.wait, slots=1, queue=1)) as care:
        platform = Platform()
        care.service.connect(platform)
        turns = [
            (await care.service.ask(replace(QUESTION, event_id=f"Ev{n}", message=f"m{n}", conversation_id=f"m{n}")))[0] for n in range(4)
        ]
        refused = await care.service.wait(turns[-1].id)
        assert (refused.status, refused.reply.text) == (Status.FAILED, "")
        assert "ask me again in a minute" in refused.reply.error
        assert platform.finished[-1].id == refused.id
        going_on.set()
        assert (await care.service.wait(turns[0].id)).status is Status.DELIVERED


async def test_what_the_model_can_not_read_is_told_so(start_care: StartCare) -> None:
    async with start_care(ScriptedEngine(context_words=5)) as care:
        care.service.connect(Platform())
        ended = await asked(care, replace(QUESTION, text="I have chest pain and " * 5))
        assert ended.status is Status.FAILED
        assert "emergency" in ended.reply.error
        assert "fewer words" in ended.reply.error


async def test_a_question_waits_for_a_model_that_is_loading_and_is_told_of_one_that_broke(start_care: StartCare) -> None:
    async with start_care(ready=False) as care:
        platform = Platform()
        care.service.connect(platform)
        turn, _ = await care.service.ask(QUESTION)
        while (await care.service.turn(turn.id)).reply_ref is None:  # its reader sees that something is coming
            await asyncio.sleep(0.01)
        await care.engine.start()
        care.service.engine_ready()
        assert (await care.service.wait(turn.id)).status is Status.DELIVERED
        care.engine.state = "failed"
        broken = await asked(care, replace(QUESTION, event_id="Ev2", message="m2", conversation_id="m2"))
        assert "language model is not running" in broken.reply.error


async def test_who_waits_is_told_the_place_until_the_answer_begins(start_care: StartCare) -> None:
    steps = asyncio.Semaphore(0)
    async with start_care(ScriptedEngine(lambda _: ["one"], step=steps.acquire, slots=1, queue=5)) as care:
        platform = Platform()
        care.service.connect(platform)
        turns = [
            (await care.service.ask(replace(QUESTION, event_id=f"Ev{n}", message=f"m{n}", conversation_id=f"m{n}")))[0] for n in range(3)
        ]

        def told() -> list[list[int]]:
            return [[place for turn_id, place in platform.places if turn_id == turn.id] for turn in turns]

        for turn, places in zip(turns, ([[], [1], [2]], [[], [1], [2, 1]], [[], [1], [2, 1]]), strict=True):
            while told() != places:
                await asyncio.sleep(0.01)
            steps.release()
            await care.service.wait(turn.id)
        assert told() == [[], [1], [2, 1]]


async def test_who_leaves_while_waiting_is_gone_at_once(start_care: StartCare) -> None:
    going_on = asyncio.Event()
    async with start_care(ScriptedEngine(step=going_on.wait, slots=1, queue=5), ready=False) as care:
        care.service.connect(Platform())
        turn, _ = await care.service.ask(QUESTION)
        while not care.service._answering[turn.id]._waiting:
            await asyncio.sleep(0.01)
        assert care.service.cancel(turn.id)
        assert (await care.service.wait(turn.id)).status is Status.CANCELLED
