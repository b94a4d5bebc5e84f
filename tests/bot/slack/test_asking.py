"""People ask in Slack, and are answered where they asked."""

import asyncio

from tests.bot.slack.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.slack import ADA, GRACE, LINUS, OTHER_BOT, RANDOM, SUPPORT


async def test_a_direct_message_is_answered_in_its_thread_by_a_stream(care: Care) -> None:
    asked = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?")
    answer = await care.answer(asked)
    assert answer.thread_ts == asked.ts
    assert answer.text == "You asked: Why is my bill so high? Bye."
    assert len(care.slack.called("chat.startStream")) == 1
    assert len(care.slack.called("chat.stopStream")) == 1


async def test_a_mention_is_answered_once_although_slack_tells_of_it_twice(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.idle()
    assert {delivery.event_type for delivery in care.slack.outbox.sent} == {"app_mention", "message"}
    assert [answer.text for answer in care.slack.replies(asked)] == ["You asked: Why is my bill so high? Bye."]
    assert len(care.turns()) == 1


async def test_a_follow_up_in_a_thread_needs_no_mention_and_knows_what_was_said(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    care.slack.say(GRACE, SUPPORT, "And mine?", thread_ts=asked.ts)
    answers = await care.answers(asked, 2)
    assert answers[1].text == "You asked: And mine? Bye."
    assert "Why is my bill so high?" in [message.content for message in care.engine.requests[1].messages]


async def test_a_thread_that_care_is_not_in_is_left_alone(care: Care) -> None:
    asked = care.slack.say(ADA, SUPPORT, "Does anybody know Jane's number?")
    care.slack.say(GRACE, SUPPORT, "No", thread_ts=asked.ts)
    await care.idle()
    assert care.slack.replies(asked) == []
    assert care.turns() == []


async def test_who_speaks_to_somebody_else_in_a_thread_is_left_alone(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    care.slack.say(ADA, SUPPORT, f"<@{GRACE}> can you have a look?", thread_ts=asked.ts)
    await care.idle()
    assert len(care.slack.replies(asked)) == 1


async def test_a_direct_conversation_goes_on_from_message_to_message(care: Care) -> None:
    first = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?")
    await care.answer(first)
    second = care.slack.say(ADA, care.slack.dm(ADA), "And next month?")
    assert (await care.answer(second)).thread_ts == second.ts
    assert "Why is my bill so high?" in [message.content for message in care.engine.requests[1].messages]
    assert len({turn["conversation_id"] for turn in care.turns()}) == 1


async def test_bots_joins_and_care_itself_are_not_answered(care: Care) -> None:
    care.slack.say(OTHER_BOT, SUPPORT, f"<@{care.slack.app_user}> build failed")
    care.slack.join(ADA, SUPPORT)
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    await care.idle()
    assert [turn["question"] for turn in care.turns()] == ["Why is my bill so high?"]


async def test_a_question_with_a_file_is_answered_and_the_file_politely_declined(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "What does this say?", files=["bill.pdf"])
    answers = await care.answers(asked, 2)
    assert sorted(answer.reading for answer in answers)[0].startswith("I can't open files or pictures. I answer what you wrote.")
    assert any("You asked: What does this say?" in answer.text for answer in answers)


async def test_a_file_without_a_question_is_declined_once(care: Care) -> None:
    asked = care.slack.say(ADA, care.slack.dm(ADA), "", files=["bill.pdf"])
    answer = await care.answer(asked)
    assert "Please describe in words" in answer.reading
    assert care.turns() == []


async def test_a_mention_without_a_question_is_asked_for_one(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "")
    answers = await care.answers(asked, 1)
    assert ["What do you want to know?" in answer.reading for answer in answers] == [True]


async def test_a_newcomer_is_told_once_what_care_is(care: Care) -> None:
    first = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    assert "CARE is a machine and can be wrong" in (await care.answer(first)).reading
    second = care.slack.mention(ADA, SUPPORT, "Why?")
    assert "CARE is a machine" not in (await care.answer(second)).reading
    other = care.slack.mention(LINUS, SUPPORT, "Why?")
    assert "CARE is a machine" in (await care.answer(other)).reading


async def test_where_nobody_takes_over_nobody_is_told_to_write_human(start: Start) -> None:
    async with start(slack_handover_channel="") as care:
        answer = await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?"))
        assert "`/care opt out`" in answer.reading
        assert "human" not in answer.reading
        await care.slack.click(answer, "care_feedback", ADA, value=f"up:{care.turns()[0]['id']}")
        await care.slack.until(lambda: "👍 Noted" in answer.reading)
        assert "human" not in answer.reading


async def test_a_channel_that_is_not_on_the_list_gets_no_answer_but_its_person_hears_why(start: Start) -> None:
    async with start(slack_channels=(RANDOM,)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.until(lambda: care.slack.ephemerals)
        await care.idle()
        assert care.slack.replies(asked) == []
        assert [note.ephemeral_to for note in care.slack.ephemerals] == [ADA]
        direct = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?")
        assert "You asked" in (await care.answer(direct)).text


async def test_who_waits_sees_their_place_in_the_queue(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1)) as care:
        first = care.slack.mention(ADA, SUPPORT, "First")
        await care.slack.until(lambda: (SUPPORT, first.ts) in care.slack.workspace.statuses)
        second = care.slack.mention(ADA, SUPPORT, "Second")
        await care.slack.until(lambda: "is next in line…" in str(care.slack.workspace.statuses.get((SUPPORT, second.ts))))
        third = care.slack.mention(ADA, SUPPORT, "Third")
        await care.slack.until(lambda: "before yours" in str(care.slack.workspace.statuses.get((SUPPORT, third.ts))))
        assert care.slack.workspace.statuses[SUPPORT, first.ts]["status"] == "is looking into it…"
        assert care.slack.workspace.statuses[SUPPORT, second.ts]["status"] == "is next in line…"
        going.set()
        for asked in (first, second, third):
            await care.answer(asked)
        await care.slack.until(lambda: not care.slack.workspace.statuses)
