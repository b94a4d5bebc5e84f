"""Questions that people edit or delete, and answers that they stop."""

import asyncio
import itertools

import pytest

from bot.connectors import delivery, tasks
from bot.store import StorageFull, Store
from bot.turns import Question, Status, Turn
from tests.bot.slack.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.slack import ADA, GRACE, SUPPORT, FakeSlack
from tests.fakes.slack.workspace import Message


async def test_an_edited_question_is_answered_again_in_the_same_message(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bil so hihg?")
    first = await care.answer(asked)
    care.slack.edit(asked, f"<@{care.slack.app_user}> Why is my bill so high?")
    await care.slack.until(lambda: "You asked: Why is my bill so high? Bye." in first.reading)
    await care.idle()
    assert care.slack.answers(asked) == [first]
    assert [turn["replaces"] for turn in care.turns()] == [None, care.turns()[0]["id"]]


async def test_the_status_line_goes_when_an_edited_question_is_answered(start: Start) -> None:
    steps = asyncio.Semaphore(100)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bil so hihg?")
        answer = await care.answer(asked)
        while not steps.locked():
            await steps.acquire()
        care.slack.edit(asked, f"<@{care.slack.app_user}> Why is my bill so high?")
        await care.slack.until(lambda: (SUPPORT, asked.ts) in care.slack.workspace.statuses)
        for _ in range(100):
            steps.release()
        await care.slack.until(lambda: "so high? Bye." in answer.reading)
        await care.slack.until(lambda: (SUPPORT, asked.ts) not in care.slack.workspace.statuses)


async def test_an_edit_while_it_is_being_answered_is_answered_once(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        asked = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bil so hihg?")
        await care.slack.until(lambda: care.engine.requests)
        care.slack.edit(asked, "Why is my bill so high?")
        await care.slack.until(lambda: len(care.engine.requests) == 2)
        going.set()
        await care.slack.until(lambda: any("Why is my bill so high?" in each.reading for each in care.slack.answers(asked)))
        await care.idle()
        assert len(care.slack.replies(asked)) == 1
        assert [turn["status"] for turn in care.turns()] == [Status.CANCELLED, Status.DELIVERED]


async def test_an_edit_and_a_delete_are_acknowledged_while_slack_is_slow_to_take_what_was_being_answered(start: Start) -> None:
    steps = asyncio.Semaphore(8)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        edited, deleted = (care.slack.mention(ADA, SUPPORT, "one two three four") for _ in range(2))
        [first] = await care.slack.until(lambda: care.slack.replies(edited))
        [second] = await care.slack.until(lambda: care.slack.replies(deleted))
        await care.slack.settled()
        care.slack.faults.hold()
        care.slack.edit(edited, f"<@{care.slack.app_user}> five six")
        care.slack.delete(deleted)
        await care.slack.until(lambda: [turn["question"] for turn in care.turns()] == ["one two three four", "five six"])
        told = [delivery for delivery in care.slack.outbox.sent if delivery.payload["event"].get("subtype")]
        await care.slack.until(lambda: all(delivery.acked for delivery in told))
        care.slack.faults.release()
        for _ in range(30):
            steps.release()
        await care.slack.until(lambda: "You asked: five six Bye." in first.reading and second.deleted)
        await care.idle()
        assert care.slack.replies(edited) == [first]
        assert care.slack.replies(deleted) == []
        assert await care.service.carried(str(care.turns()[1]["id"])) == [f"T0CAREHQ01/{SUPPORT}/{first.ts}"]


async def test_an_edit_while_the_first_message_is_being_posted_goes_on_in_that_message(start: Start) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        care.slack.faults.hold("chat.startStream")
        asked = care.slack.mention(ADA, SUPPORT, "one two three four")
        await care.slack.until(lambda: care.slack.faults.held["chat.startStream"])
        care.slack.edit(asked, f"<@{care.slack.app_user}> five six")
        await care.slack.until(lambda: len(care.turns()) == 2)
        care.slack.faults.release()
        for _ in range(30):
            steps.release()
        await care.slack.until(lambda: any("You asked: five six Bye." in each.reading for each in care.slack.answers(asked)))
        await care.idle()
        assert len(care.slack.replies(asked)) == 1


async def test_what_could_not_be_recorded_before_it_was_edited_is_answered_once(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    receive, full = Store.receive, itertools.chain([True], itertools.repeat(False))

    def receiving(store: Store, question: Question, turn_id: str, domain: str) -> Turn:
        if next(full):
            raise StorageFull("the disk is full")
        return receive(store, question, turn_id, domain)

    monkeypatch.setattr(Store, "receive", receiving)
    asked = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bil so hihg?")
    care.slack.edit(asked, "Why is my bill so high?")
    assert "You asked: Why is my bill so high?" in (await care.answer(asked)).reading
    await care.idle()  # the first event has come again
    assert [turn["question"] for turn in care.turns()] == ["Why is my bill so high?"]
    assert len(care.slack.replies(asked)) == 1


async def test_a_preview_that_slack_adds_is_no_edit(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    care.slack.unfurl(asked)
    await care.idle()
    assert len(care.turns()) == 1


async def test_an_edit_of_what_was_never_asked_changes_nothing(care: Care) -> None:
    said = care.slack.say(ADA, SUPPORT, "Lunch?")
    care.slack.edit(said, "Lunch at noon?")
    await care.idle()
    assert care.turns() == []


async def test_who_adds_the_mention_afterwards_is_answered(care: Care) -> None:
    asked = care.slack.say(ADA, SUPPORT, "Why is my bill so high?")
    await care.idle()
    care.slack.edit(asked, f"<@{care.slack.app_user}> Why is my bill so high?")
    assert "You asked: Why is my bill so high? Bye." in (await care.answer(asked)).text
    care.slack.edit(asked, f"<@{care.slack.app_user}> Why is it so low?")
    await care.slack.until(lambda: "so low? Bye." in care.slack.answers(asked)[0].reading)
    await care.idle()
    assert len(care.slack.replies(asked)) == 1


async def test_a_deleted_question_is_forgotten_and_its_answer_taken_away(care: Care) -> None:
    asked = care.slack.say(ADA, care.slack.dm(ADA), "My card number is 4111")
    answer = await care.answer(asked)
    care.slack.react(ADA, answer)
    await care.slack.until(care.ratings)
    care.slack.delete(asked)
    await care.slack.until(lambda: answer.deleted)
    await care.idle()
    assert care.turns() == []
    assert care.ratings() == []


async def test_what_slack_could_not_take_away_is_taken_away_after_the_next_start(
    start: Start, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_CLOSE_SECONDS", 0.1)
    async with start() as care:
        asked = care.slack.say(ADA, care.slack.dm(ADA), "My card number is 4111")
        answer = await care.answer(asked)
        slack.faults.outage("chat.delete", times=1000)
        slack.delete(asked)
        await slack.until(lambda: not care.turns())
    slack.faults.clear()
    assert not answer.deleted
    async with start() as care:
        await slack.until(lambda: answer.deleted)
        await slack.until(lambda: not care.store.to_take_away("slack"))


async def test_a_question_deleted_while_it_is_being_answered_leaves_nothing(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "My card number is 4111")
        await care.slack.until(lambda: care.engine.requests)
        care.slack.delete(asked)
        await care.slack.until(lambda: not care.turns())
        going.set()
        await care.idle()
        assert care.slack.replies(asked) == []


async def test_a_question_whose_event_comes_after_its_deletion_is_not_answered(care: Care) -> None:
    asked = care.slack.say(ADA, care.slack.dm(ADA), "My card number is 4111")
    await care.answer(asked)
    care.slack.delete(asked)
    await care.idle()
    care.slack.outbox.redeliver(care.slack.outbox.sent[0])
    await care.idle()
    assert care.turns() == []


async def late(care: Care) -> Message:
    """A question whose answer waits for Slack for longer than the service does, until Slack's faults are cleared."""
    care.slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type", times=1000)
    care.slack.faults.rate_limit("chat.postMessage", times=1000, retry_after=1)
    asked = care.slack.mention(ADA, SUPPORT, "My card number is 4111")
    await care.slack.until(lambda: care.turns() and care.turns()[0]["status"] == Status.ANSWERED)
    await care.slack.until(lambda: not care.service._tasks)
    assert care.slack.replies(asked) == []
    return asked


async def test_a_question_deleted_while_its_answer_waits_for_slack_leaves_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        asked = await late(care)
        care.slack.delete(asked)
        await care.slack.until(lambda: not care.turns())
        care.slack.faults.clear()
        await care.slack.until(lambda: not care.connector._deliveries._open)
        await care.idle()
        assert care.slack.replies(asked) == []


async def test_who_is_forgotten_while_an_answer_waits_for_slack_gets_none(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        asked = await late(care)
        await care.service.forget("slack", ADA)
        care.slack.faults.clear()
        await care.slack.until(lambda: not care.connector._deliveries._open)
        await care.idle()
        assert care.slack.replies(asked) == []


async def test_a_question_edited_while_its_answer_waits_for_slack_has_one_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        asked = await late(care)
        care.slack.edit(asked, f"<@{care.slack.app_user}> Why is my bill so high?")
        await care.slack.until(lambda: len(care.turns()) == 2)
        care.slack.faults.clear()
        await care.slack.until(lambda: [turn["status"] for turn in care.turns()] == [Status.DELIVERED, Status.DELIVERED])
        [answer] = care.slack.replies(asked)
        assert "You asked: Why is my bill so high?" in answer.reading


async def test_an_answer_that_somebody_deletes_is_given_up(start: Start) -> None:
    steps = asyncio.Semaphore(2)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        [growing] = await care.slack.until(lambda: care.slack.replies(asked))
        care.slack.erase(growing)
        await care.slack.until(lambda: care.turns()[0]["status"] == Status.CANCELLED)
        await care.idle()
        assert care.slack.replies(asked) == []


async def test_an_edit_after_the_answer_was_deleted_is_answered_in_a_new_message(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bil so hihg?")
    care.slack.erase(await care.answer(asked))
    await care.idle()
    care.slack.edit(asked, f"<@{care.slack.app_user}> Why is my bill so high?")
    again = await care.answer(asked)
    assert "You asked: Why is my bill so high?" in again.reading
    assert [row["message"].rpartition("/")[2] for row in care.store._rows("SELECT message FROM replies")] == [again.ts]


async def test_who_asks_for_a_person_by_an_edit_is_handed_over_and_not_answered_by_a_machine(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "I want to talk to a preson")
    await care.answer(asked)
    care.slack.edit(asked, f"<@{care.slack.app_user}> I want to talk to a person")
    await care.slack.until(lambda: len(care.store._rows("SELECT * FROM handovers")) == 1)
    await care.idle()
    assert len(care.engine.requests) == 1


async def test_slacks_stop_button_cancels_the_generation(start: Start) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.until(lambda: care.slack.workspace.sessions.get((SUPPORT, asked.ts), {}).get("status") == "processing")
        [growing] = await care.slack.until(lambda: care.slack.replies(asked))
        care.slack.stop(SUPPORT, asked.ts, ADA)
        await care.slack.until(lambda: "Stopped" in growing.reading)
        await care.idle()
        assert care.turns()[0]["status"] == Status.CANCELLED
        assert care.engine.status().running == 0
        await care.slack.until(lambda: care.slack.workspace.sessions[SUPPORT, asked.ts]["status"] == "active")
        assert care.slack.answers(asked) == [growing]


async def test_slacks_stop_button_stays_while_the_next_message_of_a_long_answer_is_written(start: Start) -> None:
    line = "Restart the router, wait for two minutes, and look at the second lamp from the left.\n\n"
    steps = asyncio.Semaphore(120)  # a little more than one message holds
    async with start(ScriptedEngine(lambda request: [line] * 240, step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "How do I restart it?")
        first, second = await care.slack.until(lambda: len(found := care.slack.replies(asked)) == 2 and found)
        steps.release()
        await care.slack.until(lambda: not first.streaming)
        assert second.streaming
        assert care.slack.workspace.sessions[SUPPORT, asked.ts]["status"] == "processing"
        care.slack.stop(SUPPORT, asked.ts, ADA)
        await care.slack.until(lambda: "Stopped" in second.reading)
        await care.idle()
        assert care.turns()[0]["status"] == Status.CANCELLED
        assert care.slack.answers(asked) == [first, second]
        await care.slack.until(lambda: care.slack.workspace.sessions[SUPPORT, asked.ts]["status"] == "active")


async def test_stop_before_the_first_word_says_so(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        asked = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?")
        await care.slack.until(lambda: (asked.channel, asked.ts) in care.slack.workspace.statuses)
        other = care.slack.mention(GRACE, SUPPORT, "And mine?")
        care.slack.stop(asked.channel, asked.ts, ADA)
        assert (await care.slack.until(lambda: care.slack.answers(asked)))[0].reading == "_Stopped._"
        going.set()
        assert "You asked: And mine?" in (await care.answer(other)).reading
