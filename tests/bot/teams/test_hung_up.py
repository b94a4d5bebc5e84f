"""Teams hangs up while CARE keeps what came, and sends it again: nothing is left half done."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.connectors.teams import cards, handover
from tests.bot.teams.conftest import Care
from tests.bot.teams.test_human import posted_by, says, the_post
from tests.fakes.teams import ADA, GRACE


@pytest.fixture
async def posting(care: Care) -> AsyncIterator[None]:
    async with posted_by(care):
        yield


class HangsUp:
    """Teams' patience ends in the middle of a method of the service, the first time: before it commits, or just after it."""

    def __init__(self, care: Care, monkeypatch: pytest.MonkeyPatch, method: str, *, before: bool = False) -> None:
        self._care = care
        self._real = getattr(care.service, method)
        self._before = before
        self._there, self._go = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(care.service, method, self._slow)

    async def _slow(self, *args: object) -> object:
        first = not self._there.is_set()
        if first and self._before:
            await self._wait()
        result = await self._real(*args)
        if first and not self._before:
            await self._wait()
        return result

    async def _wait(self) -> None:
        self._there.set()
        await self._go.wait()

    async def happens(self, kind: str) -> None:
        """Returns once Teams has hung up in there, and what was begun goes on."""
        async with asyncio.timeout(60):
            await self._there.wait()
        told = next(each for each in reversed(self._care.teams.outbox.sent) if each.activity["type"] == kind)
        self._care.teams.outbox.hang_up()
        await self._care.teams.until(lambda: told.statuses[:1] == [None])
        await asyncio.sleep(0.02)  # CARE hears of it
        self._go.set()


@pytest.mark.parametrize("before", [True, False])
async def test_human_is_heard_although_teams_hung_up(care: Care, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    hanging = HangsUp(care, monkeypatch, "hand_over", before=before)
    saying = asyncio.create_task(care.teams.say(ADA, "human"))
    await hanging.happens("message")
    asked = await saying
    await says(care, asked, "I've passed this conversation on to a person")
    await care.idle()
    assert len(care.teams.replies(asked)) == 1
    assert len(care.rows("SELECT * FROM handovers")) == 1


@pytest.mark.parametrize("before", [True, False])
async def test_new_is_heard_although_teams_hung_up(care: Care, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    hanging = HangsUp(care, monkeypatch, "begin_new", before=before)
    saying = asyncio.create_task(care.teams.say(ADA, "new"))
    await hanging.happens("message")
    asked = await saying
    await says(care, asked, "A new conversation")
    await care.idle()
    assert len(care.teams.replies(asked)) == 1


@pytest.mark.usefixtures("posting")
@pytest.mark.parametrize("before", [True, False])
async def test_who_asked_hears_that_the_conversation_was_handed_back(care: Care, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    asked = await care.teams.say(ADA, "human")
    post = await the_post(care)
    await care.idle()
    hanging = HangsUp(care, monkeypatch, "hand_back", before=before)
    pressing = asyncio.create_task(care.teams.press(GRACE, post, cards.HAND_BACK))
    await hanging.happens("invoke")
    await asyncio.gather(pressing, return_exceptions=True)
    await says(care, asked, handover.BACK)
    assert [row["ended_at"] is not None for row in care.rows("SELECT * FROM handovers")] == [True]


@pytest.mark.parametrize("before", [True, False])
async def test_the_answer_to_a_deleted_question_goes_although_teams_hung_up(
    care: Care, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?")
    await care.answer(asked)
    hanging = HangsUp(care, monkeypatch, "forget_message", before=before)
    care.teams.outbox.resend = False
    deleting = asyncio.create_task(care.teams.delete(asked))
    await hanging.happens("messageDelete")
    await deleting
    await care.teams.until(lambda: all(each.deleted for each in care.teams.posts(asked.chat)))
    assert care.turns() == []


async def test_a_stop_waits_for_what_came_before_it(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun, go = care.service.hand_over, asyncio.Event(), asyncio.Event()

    async def slow(*args: str) -> None:
        begun.set()
        await go.wait()
        await real(*args)

    monkeypatch.setattr(care.service, "hand_over", slow)
    saying = asyncio.create_task(care.teams.say(ADA, "human"))
    await begun.wait()
    await care.connector.stop_intake()
    closing = asyncio.create_task(care.connector.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    go.set()
    await closing
    await saying
    assert len(care.rows("SELECT * FROM handovers")) == 1
