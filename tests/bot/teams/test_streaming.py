"""Answers that grow before their reader's eyes, in personal chats."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from bot.connectors.teams.post import Pace
from tests.bot.teams.conftest import PACE, Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, GRACE, FakeTeams
from tests.fakes.teams.refusals import COMPLETED, NOT_ALLOWED, OVER_TIME
from tests.fakes.teams.world import Message
from tests.seconds import within


class Steps:
    """An engine that writes as far as it is let."""

    def __init__(self, count: int = 0) -> None:
        self._left = asyncio.Semaphore(count)
        self.engine = ScriptedEngine(step=self._left.acquire)

    def go(self, count: int = 100) -> None:
        for _ in range(count):
            self._left.release()


@pytest.fixture(autouse=True)
def no_hurry(teams: FakeTeams) -> None:
    """The tests' clocks run faster than Teams'; how often it may be written to, the others look after."""
    teams.connector.rates = ()


async def growing(care: Care, asked: Message) -> Message:
    """The message that streams."""
    [found] = await care.teams.until(lambda: [each for each in care.teams.replies(asked) if each.streaming])
    return found


def kinds(teams: FakeTeams) -> list[str]:
    """Of the requests of streams, in their order."""
    return [call.body["channelData"]["streamType"] for call in teams.calls if call.kind in ("stream", "final")]


@pytest.mark.alone
async def test_it_begins_with_a_line_and_grows_and_ends_as_the_same_message(start: Start) -> None:
    steps = Steps()
    async with start(steps.engine) as care:
        care.connector._workspace.pace = replace(PACE, idle=60.0)
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        assert message.text == "Looking into it…"
        within(1.0, [message.at - asked.at])
        steps.go(2)
        await care.teams.until(lambda: message.text == "You asked:")
        steps.go(3)
        await care.teams.until(lambda: message.text == "You asked: one two three")
        steps.go()
        answer = await care.answer(asked)
        assert answer is message
        assert answer.text.startswith("You asked: one two three four Bye.")
        assert (answer.ai_label, answer.feedback, answer.streaming) == (True, "custom", False)
        assert len(care.teams.replies(asked)) == 1
        assert kinds(care.teams) == ["informative", "streaming", "streaming", "final"]
        assert answer.updates == 0


async def test_it_is_shown_at_most_once_a_second(start: Start, teams: FakeTeams) -> None:
    teams.streams.gap = 1.0
    async with start() as care:
        care.connector._workspace.pace = Pace()
        care.engine.step = lambda: asyncio.sleep(0.05)
        asked = await care.teams.say(ADA, " ".join(str(number) for number in range(40)))
        await care.answer(asked)
        requests = [call for call in teams.calls if call.kind in ("stream", "final")]
        assert len(requests) >= 4
        assert all(call.status < 300 for call in requests), "Teams had to refuse none"
        gaps = [after.at - before.at for before, after in itertools.pairwise(requests)]
        assert min(gaps) >= 0.95


async def test_the_line_tells_the_place_in_the_queue_as_it_changes(start: Start) -> None:
    steps = Steps()
    steps.engine._slots, steps.engine._places = 1, asyncio.Semaphore(1)
    async with start(steps.engine) as care:
        care.connector._workspace.pace = replace(PACE, idle=60.0)
        first = await care.teams.say(GRACE, "First")
        await care.teams.until(lambda: care.engine.requests and care.teams.replies(first))
        second = await care.teams.say(GRACE, "Second")
        third = await care.teams.say(ADA, "Third")
        message = await growing(care, third)
        await care.teams.until(lambda: message.text == "1 question before yours…")
        steps.go(4)
        await care.teams.until(lambda: message.text == "You're next in line…")
        steps.go()
        assert "You asked: Third Bye." in (await care.answer(third)).text
        assert "You asked: Second Bye." in (await care.answer(second)).text


async def test_a_second_question_in_a_chat_that_streams_is_answered_in_one_piece(start: Start) -> None:
    steps = Steps(3)
    async with start(steps.engine) as care:
        first = await care.teams.say(ADA, "one two three")
        streamed = await growing(care, first)
        second = await care.teams.say(ADA, "four five six")
        plain = await care.teams.until(lambda: next((each for each in care.teams.replies(second) if each is not streamed), None))
        assert plain.text == "Looking into it…"
        assert not plain.streaming
        steps.go()
        await care.teams.until(lambda: "Bye." in streamed.text and "Bye." in plain.text)
        await care.idle()
        assert "You asked: four five six Bye." in plain.text
        assert (plain.ai_label, plain.feedback) == (True, "custom")
        third = await care.teams.say(ADA, "seven")
        await care.answer(third)
        assert kinds(care.teams).count("final") == 2, "the chat may stream again"


async def test_two_chats_stream_at_once(start: Start) -> None:
    steps = Steps(3)
    async with start(steps.engine) as care:
        asked = [await care.teams.say(person, "one two three") for person in (ADA, GRACE)]
        for each in asked:
            await growing(care, each)
        steps.go()
        for each in asked:
            assert "one two three Bye." in (await care.answer(each)).text


@pytest.mark.parametrize("teams_says_so", [False, True])
async def test_after_two_minutes_it_is_updated_in_place(start: Start, teams: FakeTeams, *, teams_says_so: bool) -> None:
    steps = Steps(3)
    async with start(steps.engine) as care:
        if not teams_says_so:
            care.connector._workspace.pace = Pace(chunk=0.05, sparse=0.1, idle=0.1, stream=0.15)
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        await teams.until(lambda: message.text == "You asked: one")
        if teams_says_so:
            teams.streams.seconds = 0.0
        steps.go(2)
        await teams.until(lambda: message.text == "You asked: one two three" and not message.streaming)
        assert message.ai_label
        steps.go()
        await teams.until(lambda: "four Bye." in message.text)
        await care.idle()
        assert teams.replies(asked) == [message]
        assert (message.ai_label, message.feedback) == (True, "custom")
        assert message.updates >= 1
        assert care.turns()[0]["status"] == "delivered"


async def test_updates_in_place_are_sparse(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        care.connector._workspace.pace = Pace(chunk=0.05, sparse=0.3, stream=0.0)
        care.engine.step = lambda: asyncio.sleep(0.03)
        asked = await teams.say(ADA, " ".join(str(number) for number in range(30)))
        await care.answer(asked)
        updates = [call.at for call in teams.called("update")]
        assert len(updates) >= 2
        assert all(after - before >= 0.25 for before, after in itertools.pairwise(updates[:-1]))


async def test_the_reader_who_presses_stop_ends_the_generation(start: Start) -> None:
    steps = Steps(4)
    async with start(steps.engine) as care:
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        await care.teams.until(lambda: message.text == "You asked: one two")
        await care.teams.stop(message.chat)
        steps.go(1)
        await care.teams.until(lambda: not care.service._tasks)
        await care.idle()
        [turn] = care.turns()
        assert turn["status"] == "cancelled"
        assert turn["answer"].startswith("You asked: one two")
        assert "Bye." not in turn["answer"]
        assert message.text == "You asked: one two\n\n_Stopped._", "what stands there stays"
        assert (message.updates, message.ai_label, message.feedback) == (1, True, None)
        assert not care.connector._deliveries._open
        steps.go()
        again = await care.teams.say(ADA, "five")
        assert "You asked: five Bye." in (await care.answer(again)).text


async def test_where_teams_takes_nothing_more_after_a_stop_the_message_stays_as_it_is(start: Start) -> None:
    steps = Steps(4)
    async with start(steps.engine) as care:
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        await care.teams.until(lambda: message.text == "You asked: one two")
        care.teams.faults.refuse("update", 403)
        await care.teams.stop(message.chat)
        steps.go(1)
        await care.teams.until(lambda: not care.service._tasks)
        await care.idle()
        assert [call.status for call in care.teams.calls if call.kind == "update"] == [403]
        assert (message.text, care.turns()[0]["status"]) == ("You asked: one two", "cancelled")
        assert not care.connector._deliveries._open


async def test_stop_is_heard_while_nothing_new_is_written(start: Start) -> None:
    steps = Steps()
    async with start(steps.engine) as care:
        care.connector._workspace.pace = Pace(chunk=0.05, idle=0.1)
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        await care.teams.stop(message.chat)
        await care.teams.until(lambda: care.turns()[0]["status"] == "cancelled")
        await care.idle()
        assert care.teams.replies(asked) == [message]


async def test_stop_at_the_very_end_loses_no_stored_answer(start: Start) -> None:
    steps = Steps(4)
    async with start(steps.engine) as care:
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        await care.teams.until(lambda: message.text == "You asked: one two")
        care.connector._deliveries._open[str(care.turns()[0]["id"])].writer._stream._pause(1.0)  # it is not its turn
        await care.teams.stop(message.chat)
        steps.go()
        await care.teams.until(lambda: care.turns()[0]["status"] == "delivered")
        assert care.turns()[0]["answer"] == "You asked: one two three four Bye."
        await care.idle()
        assert care.teams.replies(asked) == [message]


Break = Callable[[FakeTeams], None]


@pytest.mark.parametrize(
    "trouble",
    [
        lambda teams: teams.faults.end_stream(NOT_ALLOWED, kind="stream"),
        lambda teams: teams.faults.end_stream(OVER_TIME, kind="stream"),
        lambda teams: teams.faults.end_stream(COMPLETED, kind="final"),
        lambda teams: teams.faults.end_stream(OVER_TIME, kind="final"),
        lambda teams: teams.faults.refuse("stream", 400),
        lambda teams: teams.faults.refuse("final", 400),
        lambda teams: teams.faults.limit("stream", retry_after=0.2),
        lambda teams: teams.faults.limit("final", retry_after=0.2),
        lambda teams: teams.faults.outage("stream", times=2),
        lambda teams: teams.faults.outage("stream", times=2, done=True),
        lambda teams: teams.faults.outage("final", times=2),
        lambda teams: teams.faults.outage("final", done=True),
        lambda teams: teams.faults.break_off("stream"),
        lambda teams: teams.faults.break_off("final", done=True),
        lambda teams: teams.faults.outage("*", times=3, status=500),
    ],
)
async def test_whatever_happens_to_a_stream_its_message_ends_as_the_answer(start: Start, trouble: Break) -> None:
    steps = Steps(3)
    async with start(steps.engine) as care:
        asked = await care.teams.say(ADA, "one two three four")
        message = await growing(care, asked)
        trouble(care.teams)
        steps.go()
        await care.teams.until(lambda: "You asked: one two three four Bye." in message.text and message.final)
        await care.idle()
        assert care.teams.replies(asked) == [message]
        assert (message.ai_label, message.feedback) == (True, "custom")
        assert care.turns()[0]["status"] == "delivered"


async def test_a_client_that_takes_no_streams_gets_one_message(start: Start) -> None:
    async with start() as care:
        care.teams.faults.refuse("stream", 405, "MethodNotAllowed")
        answer = await care.answer(await care.teams.say(ADA, "Why?"))
        assert "You asked: Why? Bye." in answer.text
        assert answer.ai_label
        assert len(care.teams.posts(answer.chat)) == 1


async def test_every_chunk_begins_with_the_earlier_ones_whatever_is_written(start: Start) -> None:
    pieces = [
        "See [the",
        " help](https://help.",
        "example.com/a) or ",
        "https://ev",
        "il.com/x **b",
        "old** <at>Gra",
        "ce</at> `a",
        "b` ",
        "end.",
    ]
    steps = asyncio.Semaphore(0)
    async with start(ScriptedEngine(lambda _: pieces, steps.acquire), links=("help.example.com",)) as care:
        asked = await care.teams.say(ADA, "Where?")
        message = await growing(care, asked)
        for _ in pieces:
            steps.release()
            length = len(message.history)
            with suppress(TimeoutError):  # not every piece shows at once
                await care.teams.until(lambda length=length: len(message.history) > length, 0.2)
        answer = await care.answer(asked)
        shown = [entry["text"] for entry in answer.history if entry["channelData"]["streamType"] != "informative"]
        assert len(shown) >= 4
        assert all(after.startswith(before) for before, after in itertools.pairwise(shown))
        assert [call.message for call in care.teams.calls if call.status >= 300] == []
        assert "[the help (help.example.com)](https://help.example.com/a)" in answer.text
        assert "evil.com" not in answer.text
        assert "<at>" not in answer.text
