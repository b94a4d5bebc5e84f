"""Questions that people edit or delete, answers that somebody deletes or that wait while that happens, and silence for experts."""

import asyncio
import time

import pytest

from bot.connectors import delivery, tasks
from bot.store import StorageUnavailable, Store
from tests.bot.teams.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, GRACE, SUPPORT, FakeTeams
from tests.fakes.teams.world import Chat, Message
from tests.seconds import within

PLACES = ["personal", "group", "channel"]


def chat(teams: FakeTeams, where: str) -> Chat:
    return {"personal": teams.personal(ADA), "group": teams.group(ADA, GRACE), "channel": SUPPORT}[where]


@pytest.mark.parametrize("where", PLACES)
async def test_an_edited_question_is_answered_again_in_the_same_message(care: Care, where: str) -> None:
    asked = await care.teams.say(ADA, "Why is my bil so hihg?", in_=chat(care.teams, where))
    first = await care.answer(asked)
    await care.teams.edit(asked, "Why is my bill so high?")
    await care.teams.until(lambda: "You asked: Why is my bill so high? Bye." in first.text)
    await care.idle()
    assert care.teams.replies(asked) == [first]
    assert (first.ai_label, first.feedback) == (True, "custom")
    assert [turn["replaces"] for turn in care.turns()] == [None, care.turns()[0]["id"]]
    assert "hihg" not in str([message.content for message in care.engine.requests[1].messages])


@pytest.mark.alone
async def test_who_edits_sees_within_a_second_that_care_is_on_it(start: Start) -> None:
    steps = asyncio.Semaphore(100)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        answer = await care.answer(asked)
        while not steps.locked():
            await steps.acquire()
        began = time.monotonic()
        await care.teams.edit(asked, "Why not?")
        await care.teams.until(lambda: answer.text == "Looking into it…")
        within(1.0, [time.monotonic() - began])
        for _ in range(100):
            steps.release()
        await care.teams.until(lambda: "You asked: Why not? Bye." in answer.text)


@pytest.mark.parametrize("where", PLACES)
async def test_an_edit_while_it_is_being_answered_is_answered_once(start: Start, where: str) -> None:
    steps = asyncio.Semaphore(4)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = await care.teams.say(ADA, "one two three four", in_=chat(care.teams, where))
        [begun] = await care.teams.until(lambda: care.teams.replies(asked))
        if where == "personal":
            await care.teams.until(lambda: begun.text == "You asked: one two")
        await care.teams.edit(asked, "five six")
        for _ in range(100):
            steps.release()
        await care.teams.until(lambda: "You asked: five six Bye." in begun.text)
        await care.idle()
        assert care.teams.replies(asked) == [begun]
        assert not begun.streaming
        assert [turn["status"] for turn in care.turns()] == ["cancelled", "delivered"]
        assert not care.connector._deliveries._open


async def test_a_question_edited_twice_while_the_store_refuses_keeps_its_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    carries, refuses = Store.carries, True

    def refusing(store: Store, *rest: str) -> None:
        if refuses:
            raise StorageUnavailable("locked")
        carries(store, *rest)

    monkeypatch.setattr(Store, "carries", refusing)
    steps = asyncio.Semaphore(0)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = await care.teams.say(ADA, "one", in_=SUPPORT)
        [answer] = await care.teams.until(lambda: care.teams.replies(asked))
        for text in ("two", "three"):
            await care.teams.edit(asked, text)
            await care.teams.until(lambda: care.connector._deliveries._open[str(care.turns()[-1]["id"])].writer._carriers.posts)
        refuses = False
        for _ in range(100):
            steps.release()
        await care.idle()
        assert care.teams.replies(asked) == [answer]
        assert "You asked: three Bye." in answer.text


@pytest.mark.parametrize("where", PLACES)
async def test_a_shorter_answer_to_an_edited_question_leaves_nothing_of_the_longer_one(start: Start, teams: FakeTeams, where: str) -> None:
    long = ["Restart the router and wait.\n\n" * 4] * 300
    async with start(ScriptedEngine(lambda request: long if "long" in request.messages[-1].content else ["Short."])) as care:
        asked = await care.teams.say(ADA, "long", in_=chat(teams, where))
        first, second = await care.answers(asked, 2)
        await care.teams.edit(asked, "brief")
        await care.teams.until(lambda: second.deleted and first.text.startswith("Short."))
        await care.idle()
        assert care.teams.replies(asked) == [first]
        assert first.feedback == "custom"


async def test_an_edit_that_changes_no_word_is_no_edit(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why?")
    await care.answer(asked)
    await care.teams.edit(asked, "Why?")
    await care.idle()
    assert len(care.turns()) == 1


async def test_an_edit_told_twice_is_answered_once(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why?")
    answer = await care.answer(asked)
    edited = await care.teams.edit(asked, "Why not?")
    for new_id in (False, True):
        await care.teams.redeliver(edited, new_id=new_id)
    await care.teams.until(lambda: "Why not? Bye." in answer.text)
    await care.idle()
    assert len(care.turns()) == 2
    assert care.teams.replies(asked) == [answer]


async def test_edited_there_and_back_the_first_words_are_answered_again(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why?")
    answer = await care.answer(asked)
    await care.teams.edit(asked, "Why not?")
    await care.teams.until(lambda: "Why not? Bye." in answer.text)
    await care.idle()
    await care.teams.edit(asked, "Why?")
    await care.teams.until(lambda: "You asked: Why? Bye." in answer.text)
    await care.idle()
    assert len(care.turns()) == 3


async def test_what_was_never_asked_is_asked_once_it_mentions_care(care: Care) -> None:
    said = await care.teams.say(ADA, "Lunch?", in_=SUPPORT, mention=False)
    await care.teams.edit(said, "Lunch at noon?")
    await care.idle()
    assert care.turns() == []
    said.activity["entities"] = (await care.teams.say(GRACE, "", in_=care.teams.group(ADA, GRACE))).activity["entities"]
    await care.teams.edit(said, "Why is my bill so high?")
    assert "You asked: Why is my bill so high? Bye." in (await care.answer(said)).text


@pytest.mark.parametrize("where", PLACES)
async def test_a_deleted_question_is_forgotten_and_its_answer_taken_away(care: Care, where: str) -> None:
    asked = await care.teams.say(ADA, "My card number is 4111", in_=chat(care.teams, where))
    answer = await care.answer(asked)
    await care.teams.delete(asked)
    await care.teams.until(lambda: answer.deleted)
    await care.idle()
    assert care.turns() == []
    assert care.store.to_take_away("teams") == []


async def test_a_deletion_undone_brings_nothing_back(care: Care) -> None:
    asked = await care.teams.say(ADA, "My card number is 4111")
    answer = await care.answer(asked)
    await care.teams.delete(asked)
    await care.teams.until(lambda: answer.deleted)
    await care.teams.undelete(asked)
    for new_id in (False, True):
        await care.teams.redeliver(asked, new_id=new_id)
    await care.idle()
    assert care.turns() == []


@pytest.mark.parametrize("forgotten", [False, True])
async def test_what_teams_could_not_take_away_is_taken_away_after_the_next_start(
    start: Start, teams: FakeTeams, monkeypatch: pytest.MonkeyPatch, forgotten: bool
) -> None:
    monkeypatch.setattr(tasks, "_CLOSE_SECONDS", 0.1)
    async with start() as care:
        asked = await teams.say(ADA, "My card number is 4111")
        answer = await care.answer(asked)
        teams.faults.outage("delete", times=1000)
        await teams.delete(asked)
        await teams.until(lambda: not care.turns())
        if forgotten:
            await care.service.forget("teams", ADA.id)
            assert care.store.personal_address("teams", ADA.id) is None
    teams.faults.clear()
    assert not answer.deleted
    async with start() as care:
        await teams.until(lambda: answer.deleted)
        await teams.until(lambda: not care.store.to_take_away("teams"))
        assert care.rows("SELECT * FROM removals") == []


@pytest.mark.parametrize("where", PLACES)
async def test_a_question_deleted_while_it_is_being_answered_leaves_nothing(start: Start, where: str) -> None:
    steps = asyncio.Semaphore(4)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = await care.teams.say(ADA, "one two three four", in_=chat(care.teams, where))
        [begun] = await care.teams.until(lambda: care.teams.replies(asked))
        await care.teams.delete(asked)
        await care.teams.until(lambda: not care.turns() and begun.deleted)
        for _ in range(100):
            steps.release()
        await care.idle()
        assert care.teams.replies(asked) == []
        again = await care.teams.say(ADA, "Why?", in_=chat(care.teams, where))
        assert "You asked: Why? Bye." in (await care.answer(again)).text


async def late(care: Care) -> Message:
    """A question whose answer waits for Teams for longer than the service does, until Teams' faults are cleared."""
    care.teams.faults.limit("create", times=1000, retry_after=0.2)
    asked = await care.teams.say(ADA, "My card number is 4111", in_=SUPPORT)
    await care.teams.until(lambda: care.turns()[0]["status"] == "answered" and not care.service._tasks)
    assert care.teams.replies(asked) == []
    return asked


@pytest.mark.parametrize("where", ["personal", "group"])
async def test_a_question_deleted_while_its_first_line_is_on_its_way_leaves_none_after_a_stop(
    start: Start, teams: FakeTeams, where: str
) -> None:
    teams.faults.slow("*", 0.3)
    async with start(ScriptedEngine(step=asyncio.Event().wait)):
        asked = await teams.say(ADA, "Why is my bill so high?", in_=teams.group(ADA, GRACE) if where == "group" else None)
        await teams.delete(asked)
    assert teams.replies(asked), "it came after all"
    teams.faults.clear()
    async with start():
        await teams.until(lambda: not teams.replies(asked))


async def test_a_question_deleted_while_its_answer_waits_for_teams_leaves_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        asked = await late(care)
        await care.teams.delete(asked)
        await care.teams.until(lambda: not care.turns())
        care.teams.faults.clear()
        await care.teams.until(lambda: not care.connector._deliveries._open)
        await care.idle()
        assert care.teams.posts(SUPPORT) == []


async def test_who_is_forgotten_while_an_answer_waits_for_teams_gets_none(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        await late(care)
        await care.service.forget("teams", ADA.id)
        care.teams.faults.clear()
        await care.teams.until(lambda: not care.connector._deliveries._open)
        await care.idle()
        assert care.teams.posts(SUPPORT) == []


async def test_a_question_edited_while_its_answer_waits_for_teams_has_one_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FINISH_SECONDS", 0.1)
    async with start() as care:
        asked = await late(care)
        await care.teams.edit(asked, "Why is my bill so high?")
        assert len(care.turns()) == 2
        care.teams.faults.clear()
        await care.teams.until(lambda: [turn["status"] for turn in care.turns()] == ["delivered", "delivered"])
        [answer] = care.teams.replies(asked)
        assert "You asked: Why is my bill so high?" in answer.text


async def test_an_answer_that_somebody_deletes_is_given_up(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait)) as care:
        asked = await care.teams.say(ADA, "Why?", in_=SUPPORT)
        [begun] = await care.teams.until(lambda: care.teams.replies(asked))
        begun.deleted = True
        going.set()
        await care.teams.until(lambda: not care.service._tasks)
        assert care.teams.replies(asked) == []


async def test_an_edit_after_the_answer_was_deleted_is_answered_in_a_new_message(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        asked = await teams.say(ADA, "Why?", in_=SUPPORT)
        (await care.answer(asked)).deleted = True
    async with start() as care:
        await teams.edit(asked, "Why not?")
        again = await care.answer(asked)
        assert "You asked: Why not? Bye." in again.text
        assert [row["message"] for row in care.rows("SELECT message FROM replies")] == [f"{again.place}/{again.id}"]


# People instead of CARE.


@pytest.mark.parametrize("words", ["human", "I want to talk to a person.", "Can I speak to a human please?"])
async def test_who_wants_a_person_is_handed_over_and_care_falls_silent(care: Care, words: str) -> None:
    await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
    wished = await care.teams.say(ADA, words)
    told = await care.answer(wished)
    assert "passed" in told.text
    assert not told.ai_label
    silent = await care.teams.say(ADA, "Hello?")
    await care.idle()
    assert care.teams.replies(silent) == []
    assert len(care.engine.requests) == 1
    assert [turn["status"] for turn in care.turns()][-1] == "cancelled"


async def test_who_asks_for_a_person_by_an_edit_is_handed_over_and_not_answered_by_a_machine(care: Care) -> None:
    asked = await care.teams.say(ADA, "I want to talk to a preson")
    await care.answer(asked)
    await care.teams.edit(asked, "I want to talk to a person")
    await care.teams.until(lambda: any("passed" in each.text for each in care.teams.replies(asked)))
    await care.idle()
    assert len(care.engine.requests) == 1
    assert len(care.rows("SELECT * FROM handovers")) == 1


async def test_an_edit_that_changes_no_word_or_comes_late_hands_nothing_over_again(care: Care) -> None:
    asked = await care.teams.say(ADA, "I want to talk to a person about my bill")
    await care.idle()
    [handover] = care.rows("SELECT id FROM handovers")
    await care.service.hand_back(str(handover["id"]))
    again = await care.teams.edit(asked, "I want to talk to a person about my bill")
    await care.teams.edit(asked, "Why is my bill so high?")
    late = {**again.activity, "text": "I want to talk to a person about my phone"}
    await care.teams.told(late)
    await care.idle()
    assert len(care.rows("SELECT id FROM handovers")) == 1


async def test_a_question_about_people_is_a_question(care: Care) -> None:
    answer = await care.answer(await care.teams.say(ADA, "Which person do I call about my bill?"))
    assert "You asked: Which person do I call about my bill? Bye." in answer.text


async def test_a_file_for_the_experts_is_no_matter_of_cares(care: Care) -> None:
    await care.teams.say(ADA, "human")
    await care.idle()
    file = {"contentType": "image/png", "contentUrl": "https://example.com/x.png"}
    sent = await care.teams.say(ADA, "", attachments=[file])
    await care.idle()
    assert care.teams.replies(sent) == []
