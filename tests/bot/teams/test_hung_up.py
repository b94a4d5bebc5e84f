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


def hangs_up(care: Care, monkeypatch: pytest.MonkeyPatch, method: str, *, before: bool = False) -> asyncio.Event:
    """Teams' patience ends in the middle of a method of the service, the first time: before it commits, or just after it."""
    real, go, called = getattr(care.service, method), asyncio.Event(), []
    care.teams.outbox.answer_seconds = 0.2

    async def slow(*args: object) -> object:
        called.append(args)
        first = len(called) == 1
        if before and first:
            await go.wait()
        result = await real(*args)
        if not before and first:
            await go.wait()
        return result

    monkeypatch.setattr(care.service, method, slow)
    return go


async def hung_up(care: Care, go: asyncio.Event, kind: str) -> None:
    told = next(each for each in reversed(care.teams.outbox.sent) if each.activity["type"] == kind)
    await care.teams.until(lambda: told.statuses[:1] == [None])
    care.teams.outbox.answer_seconds = 5
    await asyncio.sleep(0.02)  # CARE hears of it
    go.set()


@pytest.mark.parametrize("before", [True, False])
async def test_human_is_heard_although_teams_hung_up(care: Care, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    go = hangs_up(care, monkeypatch, "hand_over", before=before)
    saying = asyncio.create_task(care.teams.say(ADA, "human"))
    await care.teams.until(lambda: any(each.activity.get("text") == "human" for each in care.teams.outbox.sent))
    await hung_up(care, go, "message")
    asked = await saying
    await says(care, asked, "I've passed this conversation on to a person")
    await care.idle()
    assert len(care.teams.replies(asked)) == 1
    assert len(care.rows("SELECT * FROM handovers")) == 1


@pytest.mark.parametrize("before", [True, False])
async def test_new_is_heard_although_teams_hung_up(care: Care, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    go = hangs_up(care, monkeypatch, "begin_new", before=before)
    saying = asyncio.create_task(care.teams.say(ADA, "new"))
    await care.teams.until(lambda: any(each.activity.get("text") == "new" for each in care.teams.outbox.sent))
    await hung_up(care, go, "message")
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
    go = hangs_up(care, monkeypatch, "hand_back", before=before)
    pressing = asyncio.create_task(care.teams.press(GRACE, post, cards.HAND_BACK))
    await care.teams.until(lambda: any(each.activity["type"] == "invoke" for each in care.teams.outbox.sent))
    await hung_up(care, go, "invoke")
    await asyncio.gather(pressing, return_exceptions=True)
    await says(care, asked, handover.BACK)
    assert [row["ended_at"] is not None for row in care.rows("SELECT * FROM handovers")] == [True]


@pytest.mark.parametrize("before", [True, False])
async def test_the_answer_to_a_deleted_question_goes_although_teams_hung_up(
    care: Care, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?")
    await care.answer(asked)
    go = hangs_up(care, monkeypatch, "forget_message", before=before)
    care.teams.outbox.resend = False
    deleting = asyncio.create_task(care.teams.delete(asked))
    await care.teams.until(lambda: any(each.activity["type"] == "messageDelete" for each in care.teams.outbox.sent))
    await hung_up(care, go, "messageDelete")
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
