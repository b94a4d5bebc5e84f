"""Answers on their way: long ones, dying streams, used-up budgets, refusals, restarts."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from bot.connectors import delivery
from bot.connectors.slack.errors import TooLong
from bot.turns import Status
from model.engine import Request
from tests.bot.slack.conftest import Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.slack import ADA, SUPPORT, FakeSlack, chat

LINE = "Restart the router, wait for two minutes, and look at the second lamp from the left.\n\n"


def long_answer(request: Request) -> Sequence[str]:
    return [f"{number}. {LINE}" for number in range(1, 280)]


async def test_a_long_answer_goes_on_in_the_next_message(start: Start) -> None:
    async with start(ScriptedEngine(long_answer)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "How do I restart it?")
        answers = await care.answers(asked, 3)
        assert len(answers) == 3
        assert all(len(answer.text.encode()) <= 9000 for answer in answers)
        numbers = [line.partition(".")[0] for answer in answers for line in answer.reading.splitlines() if line.endswith("left.")]
        assert numbers == [str(number) for number in range(1, 280)]
        assert [bool(list(_feedback(answer))) for answer in answers] == [False, False, True]
        turn = care.turns()[0]["id"]
        assert await care.service.carried(str(turn)) == [f"T0CAREHQ01/{SUPPORT}/{answer.ts}" for answer in answers]


def _feedback(answer: object) -> list[dict]:
    return [block for block in answer.blocks if block["type"] == "context_actions"]  # type: ignore[attr-defined]


async def test_it_grows_while_it_is_written(start: Start) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "one two three four five six")
        [growing] = await care.slack.until(lambda: care.slack.replies(asked))
        assert growing.streaming
        await care.slack.until(lambda: "asked:" in growing.text)
        for _ in range(4):
            steps.release()
        await care.slack.until(lambda: "three" in growing.text)
        assert care.slack.called("chat.appendStream")
        for _ in range(20):
            steps.release()
        assert (await care.answer(asked)).text == "You asked: one two three four five six Bye."


async def test_a_stream_that_dies_is_put_right_in_the_same_message(start: Start) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "one two three four")
        [growing] = await care.slack.until(lambda: care.slack.replies(asked))
        care.slack.expire_streams()
        for _ in range(20):
            steps.release()
        await care.slack.until(lambda: "one two three four Bye." in growing.reading)
        await care.idle()
        assert len(care.slack.replies(asked)) == 1
        assert list(_feedback(growing))


async def test_a_piece_whose_answer_got_lost_stands_there_once(start: Start) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "one two three four")
        [growing] = await care.slack.until(lambda: care.slack.replies(asked))
        care.slack.faults.lose_replies("chat.appendStream")
        steps.release()
        steps.release()
        await care.slack.until(lambda: care.slack.called("chat.appendStream"))
        for _ in range(20):
            steps.release()
        await care.answer(asked)
        assert growing.reading.startswith("You asked: one two three four Bye.")
        assert len(care.slack.replies(asked)) == 1
        assert list(_feedback(growing))


async def test_without_streaming_budget_an_answer_is_one_message(start: Start) -> None:
    async with start() as care:
        while care.connector._workspace.budget.starts.take():
            pass
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        answers = await care.answers(asked, 1)
        assert ["You asked: Why is my bill so high? Bye." in answer.reading for answer in answers] == [True]
        assert not care.slack.called("chat.startStream")
        assert list(_feedback(answers[0]))


@pytest.mark.parametrize("streams", [True, False])
async def test_markdown_goes_where_slack_shows_it(start: Start, *, streams: bool) -> None:
    said = "**Two steps**\n\n1. Restart it\n2. Wait\n\n```\nping router\n```"
    async with start(ScriptedEngine(lambda request: [said])) as care:
        if not streams:
            care.slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type")
        answer = await care.answer(care.slack.mention(ADA, SUPPORT, "How?"))
        if streams:
            assert (answer.markdown, answer.text) == (True, said)
        else:
            assert (answer.blocks[0]["type"], answer.blocks[0]["text"]) == ("markdown", said)


async def test_slacks_own_no_to_a_stream_is_taken(start: Start) -> None:
    async with start() as care:
        care.slack.faults.rate_limit("chat.startStream", times=1, retry_after=60)
        asked = [care.slack.mention(ADA, SUPPORT, f"Question {number}") for number in range(3)]
        for each in asked:
            assert "You asked: Question" in (await care.answer(each)).reading
        assert len([call for call in care.slack.calls if call.method == "chat.startStream"]) <= 3


async def test_thirty_questions_at_once_keep_within_slacks_rates(start: Start) -> None:
    async with start() as care:
        care.slack.faults.limited = True
        asked = [care.slack.say(ADA, care.slack.dm(ADA), f"Question {number}") for number in range(30)]
        for each in asked:
            assert len(await care.answers(each, 1)) == 1
        await care.idle()
        assert not [call for call in care.slack.calls if call.error is not None]
        assert 10 <= len(care.slack.called("chat.startStream")) <= 20


@pytest.mark.parametrize("method", ["chat.stopStream", "chat.postMessage", "chat.update"])
async def test_retry_after_is_honoured(start: Start, method: str) -> None:
    async with start() as care:
        if method != "chat.stopStream":
            care.slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type", times=100)
        first = care.slack.mention(ADA, SUPPORT, "First")
        if method == "chat.update":
            await care.answer(first)
        care.slack.faults.rate_limit(method, times=1, retry_after=1)
        if method == "chat.update":
            care.slack.edit(first, f"<@{care.slack.app_user}> Second")
            await care.slack.until(lambda: "Second" in care.slack.answers(first)[0].reading)
        else:
            assert "You asked" in (await care.answer(first)).reading
        calls = [call for call in care.slack.calls if call.method == method]
        [refused] = [number for number, call in enumerate(calls) if call.error == "ratelimited"]
        assert calls[refused + 1].at - calls[refused].at >= 1.0
        await care.idle()
        assert len(care.slack.replies(first)) == 1


async def test_an_answer_whose_buttons_slack_refuses_comes_without_them(start: Start) -> None:
    async with start() as care:
        care.slack.faults.refuse("chat.stopStream", "invalid_blocks")
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        answer = await care.answer(asked)
        assert answer.text == "You asked: Why is my bill so high? Bye."
        assert not list(_feedback(answer))
        assert care.turns()[0]["status"] == Status.DELIVERED


async def test_a_session_in_the_persons_list_is_called_by_the_question(start: Start) -> None:
    async with start() as care:
        asked = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?")
        await care.answer(asked)
        await care.slack.until(lambda: care.slack.workspace.sessions.get((asked.channel, asked.ts), {}).get("status") == "active")
        assert care.slack.workspace.sessions[asked.channel, asked.ts]["title"] == "Why is my bill so high?"


async def test_a_message_that_slack_finds_too_long_is_split_smaller(start: Start) -> None:
    async with start() as care:
        for method in ("chat.startStream", "chat.postMessage"):
            care.slack.faults.refuse(method, "msg_too_long")
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        assert "You asked: Why is my bill so high? Bye." in (await care.answer(asked)).reading


async def test_a_long_answer_is_split_smaller_where_slack_takes_less(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MARKDOWN_BYTES", 3000)
    async with start(ScriptedEngine(lambda request: long_answer(request)[:100])) as care:
        asked = care.slack.mention(ADA, SUPPORT, "How do I restart it?")
        answers = await care.answers(asked, 4)
        assert all(len(answer.text.encode()) <= 3000 for answer in answers)
        numbers = [line.partition(".")[0] for answer in answers for line in answer.reading.splitlines() if line.endswith("left.")]
        assert numbers == [str(number) for number in range(1, 101)]
        assert len([call for call in care.slack.calls if call.error == "msg_too_long"]) <= 3


async def test_an_answer_that_is_too_long_however_small_its_messages_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start(ScriptedEngine(long_answer)) as care:
        real = care.connector._workspace.api._once

        async def narrow(method, token, arguments):
            if method in ("chat.startStream", "chat.postMessage") and len(str(arguments)) > 800:
                raise TooLong(f"{method}: msg_too_long")
            return await real(method, token, arguments)

        monkeypatch.setattr(care.connector._workspace.api, "_once", narrow)
        answer = await care.answer(care.slack.mention(ADA, SUPPORT, "How do I restart it?"))
        assert "Slack does not take this answer" in answer.reading
        assert care.turns()[0]["status"] == Status.DELIVERED


async def test_a_slack_that_finds_everything_too_long_is_not_asked_for_ever(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async with start() as care:
        for method in ("chat.startStream", "chat.postMessage"):
            care.slack.faults.refuse(method, "msg_too_long", times=1000)
        care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.until(lambda: "an answer is too long for Slack" in caplog.text)
        await care.idle()
        assert len([call for call in care.slack.calls if call.error == "msg_too_long"]) < 15


async def test_a_post_whose_answer_got_lost_is_not_made_twice(start: Start) -> None:
    async with start() as care:
        care.slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type", times=100)
        workspace = care.connector._workspace
        real, lost = workspace.api._once, itertools.chain([True], itertools.repeat(False))

        async def lossy(method, token, arguments):  # the post gets there, its answer does not come back
            result = await real(method, token, arguments)
            if method == "chat.postMessage" and next(lost):
                from bot.connectors.slack.errors import Unreachable

                raise Unreachable("lost", sent=True)
            return result

        workspace.api._once = lossy
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.until(lambda: care.turns() and care.turns()[0]["status"] == Status.DELIVERED)
        await care.idle()
        assert len(care.slack.replies(asked)) == 1


async def test_what_a_channel_that_is_gone_was_to_hear_is_given_up(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.until(lambda: care.engine.requests)
        care.slack.workspace.channels[SUPPORT].members.discard(care.slack.app_user)
        going.set()
        await care.slack.until(lambda: not care.service._tasks)
        assert care.turns()[0]["status"] in (Status.CANCELLED, Status.DELIVERED), "no later start tries again"


async def test_an_outage_of_slack_delays_an_answer_and_loses_none(start: Start) -> None:
    async with start() as care:
        care.slack.faults.outage("*", times=3)
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        assert "You asked: Why is my bill so high? Bye." in (await care.answer(asked)).reading
        await care.slack.until(lambda: care.turns()[0]["status"] == Status.DELIVERED)


async def test_an_answer_that_slack_takes_late_counts_as_delivered_then(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        care.slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type")
        care.slack.faults.rate_limit("chat.postMessage", times=1000, retry_after=1)
        asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
        await care.slack.until(lambda: care.turns() and care.turns()[0]["status"] == Status.ANSWERED)
        await care.slack.until(lambda: not care.service._tasks)
        assert care.slack.replies(asked) == [], "others are answered meanwhile"
        care.slack.faults.clear()
        await care.slack.until(lambda: care.turns()[0]["status"] == Status.DELIVERED)
        assert len(care.slack.replies(asked)) == 1


async def test_after_a_restart_the_same_message_is_finished(start: Start, slack: FakeSlack) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = slack.mention(ADA, SUPPORT, "one two three four")
        [growing] = await slack.until(lambda: slack.replies(asked))
    assert growing.streaming
    async with start() as care:
        await slack.until(lambda: "one two three four Bye." in growing.reading)
        await care.idle()
        assert slack.answers(asked) == [growing]
        assert list(_feedback(growing))
        assert care.turns()[0]["status"] == Status.DELIVERED


async def test_an_answer_that_a_crash_left_unclaimed_is_found_and_finished(start: Start, slack: FakeSlack) -> None:
    steps = asyncio.Semaphore(3)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = slack.mention(ADA, SUPPORT, "one two three four")
        [growing] = await slack.until(lambda: slack.replies(asked))
        await slack.until(lambda: care.store._rows("SELECT * FROM replies"))
        with care.store._write() as db:
            db.execute("DELETE FROM replies")  # killed between the post and our note of it
    async with start() as care:
        await slack.until(lambda: "one two three four Bye." in growing.reading)
        await care.idle()
        assert slack.answers(asked) == [growing]


async def test_of_two_answers_on_their_way_in_a_thread_neither_takes_the_others_message(
    start: Start, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first looks for its message, whose receipt got lost, while the second's is posted and not noted yet."""
    async with start() as care:
        slack.faults.refuse("chat.startStream", "method_not_supported_for_channel_type", times=100)
        root = slack.mention(ADA, SUPPORT, "Hello")
        await care.answer(root)
        slack.faults.lose_replies("chat.postMessage")
        slack.mention(ADA, SUPPORT, "first", thread_ts=root.ts)
        await slack.until(lambda: any("You asked: first" in reply.reading for reply in slack.replies(root)))
        real = care.service.carries

        async def late(*note: str) -> None:
            await asyncio.sleep(1.5)  # the first looks after a second
            await real(*note)

        monkeypatch.setattr(care.service, "carries", late)
        slack.mention(ADA, SUPPORT, "second", thread_ts=root.ts)
        await slack.until(lambda: [turn["status"] for turn in care.turns()] == [Status.DELIVERED] * 3)
        await care.idle()
        shown = [reply.reading for reply in slack.answers(root)]
        assert [sum(f"You asked: {words} Bye." in each for each in shown) for words in ("Hello", "first", "second")] == [1, 1, 1]
        assert len(shown) == 3


async def test_a_question_from_before_a_restart_in_a_thread_is_answered_in_that_thread(start: Start, slack: FakeSlack) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        root = slack.say(ADA, slack.dm(ADA), "Hello")
        await slack.until(care.turns)
        care.service.cancel(str(care.turns()[0]["id"]))
        inside = slack.say(ADA, slack.dm(ADA), "Why is my bill so high?", thread_ts=root.ts)
        await slack.until(lambda: len(care.turns()) == 2)
        await slack.settled()
    async with start() as care:
        await slack.until(lambda: any("Why is my bill so high?" in each.reading for each in slack.answers(inside)))
        await care.idle()
        assert {each.thread_ts for each in slack.replies(inside)} == {root.ts}


async def test_a_failure_is_told_in_words(start: Start) -> None:
    async with start(ScriptedEngine(context_words=5)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "word " * 8000)
        answer = await care.answer(asked)
        assert "too long for me" in answer.reading
        assert not list(_feedback(answer))
        assert care.turns()[0]["status"] == Status.FAILED


async def test_a_full_queue_is_told_in_words(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1, queue=1)) as care:
        asked = [care.slack.mention(ADA, SUPPORT, f"Question {number}") for number in range(4)]
        busy = await care.slack.until(lambda: [answer for each in asked for answer in care.slack.answers(each)])
        assert "ask me again in a minute" in busy[0].reading
        going.set()
        for each in asked:
            await care.answer(each)


async def test_what_the_model_writes_pings_nobody(start: Start) -> None:
    nasty = ["<!chan", "nel> <@U0GRACE001> [click", "](http://evil.example/login) ", "@here", " <!here|x>"]
    async with start(ScriptedEngine(lambda request: nasty)) as care:
        asked = care.slack.mention(ADA, SUPPORT, "Hi")
        answer = await care.answer(asked)
        shown = [str(call.arguments) for call in care.slack.calls if call.method.startswith("chat.")]
        assert shown
        assert not any(bad in text for text in [answer.reading, *shown] for bad in ("<!", "<@", "](http://evil", "@here"))


async def test_what_is_posted_unfurls_nothing_not_even_a_link_that_may_stand_there(start: Start) -> None:
    said = ["See [the help](https://help.example/router) ", "or [this](https://evil.example/login)."]
    async with start(ScriptedEngine(lambda request: said), links=("help.example",)) as care:
        while care.connector._workspace.budget.starts.take():  # no stream: those have no previews
            pass
        answer = await care.answer(care.slack.mention(ADA, SUPPORT, "Hi"))
        assert "](https://help.example/router)" in answer.reading
        assert "](https://evil.example" not in answer.reading
        posted = care.slack.called("chat.postMessage")
        assert posted
        assert all(call.arguments.get("unfurl_links") is False for call in posted)
        assert all(call.arguments.get("unfurl_media") is False for call in posted)
