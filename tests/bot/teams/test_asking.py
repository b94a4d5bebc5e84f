"""People ask in Teams, and are answered where they asked."""

import asyncio

import pytest

from model.errors import EngineError
from tests.bot.teams.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, GRACE, LINUS, SUPPORT, FakeTeams
from tests.fakes.teams.world import BOT_ID
from tests.seconds import within

OWN = {"contentType": "text/html", "content": "<p>What does this say?</p>"}
FILE = {"contentType": "application/vnd.microsoft.teams.file.download.info", "name": "bill.pdf", "content": {"fileType": "pdf"}}


async def test_a_personal_chat_is_answered_there(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?")
    assert asked.status == 201
    answer = await care.answer(asked)
    assert answer.text.startswith("You asked: Why is my bill so high? Bye.")
    assert answer.ai_label
    assert len(care.teams.replies(asked)) == 1


async def test_a_group_chat_is_answered_there_in_one_message(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=care.teams.group(ADA, GRACE))
    answer = await care.answer(asked)
    assert answer.text.startswith("You asked: Why is my bill so high? Bye.")
    assert answer.ai_label
    assert len(care.teams.replies(asked)) == 1
    assert not care.teams.called("stream")


async def test_a_channel_is_answered_in_the_thread_of_the_question(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
    answer = await care.answer(asked)
    assert answer.place == asked.place
    assert answer.ai_label
    assert not care.teams.called("stream")
    assert len(care.teams.posts(SUPPORT)) == 1


async def test_every_thread_of_a_channel_has_its_own_memory(care: Care) -> None:
    first = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
    await care.answer(first)
    await care.answer(await care.teams.say(GRACE, "Where is my card?", in_=SUPPORT))
    again = await care.teams.say(ADA, "And next month?", in_=SUPPORT, thread=first)
    await care.answer(again)
    remembered = [message.content for message in care.engine.requests[2].messages]
    assert "Why is my bill so high?" in remembered
    assert "Where is my card?" not in remembered
    assert [turn["conversation_id"] for turn in care.turns()] == [first.place, care.turns()[1]["conversation_id"], first.place]


async def test_a_personal_chat_goes_on_from_message_to_message(care: Care) -> None:
    await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
    await care.answer(await care.teams.say(ADA, "And next month?"))
    assert "Why is my bill so high?" in [message.content for message in care.engine.requests[1].messages]
    assert {turn["conversation_id"] for turn in care.turns()} == {care.teams.personal(ADA).id}


async def test_two_people_share_nothing(care: Care) -> None:
    await care.answer(await care.teams.say(ADA, "My number is 555"))
    await care.answer(await care.teams.say(GRACE, "What is my number?"))
    assert "My number is 555" not in [message.content for message in care.engine.requests[1].messages]


async def test_a_follow_up_of_who_asked_in_a_thread_needs_no_mention(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
    await care.answer(asked)
    again = await care.teams.say(ADA, "And last month?", in_=SUPPORT, thread=asked, mention=False)
    assert "And last month? Bye." in (await care.answer(again)).text


async def test_what_others_say_to_each_other_in_a_thread_is_not_answered_until_they_mention_care(care: Care) -> None:
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
    await care.answer(asked)
    remark = await care.teams.say(GRACE, "I had that last week too", in_=SUPPORT, thread=asked, mention=False)
    await care.idle()
    assert care.teams.answers(remark) == []
    assert [turn["user_id"] for turn in care.turns()] == [ADA.id]
    await care.answer(await care.teams.say(GRACE, "And mine?", in_=SUPPORT, thread=asked))
    again = await care.teams.say(GRACE, "And next month?", in_=SUPPORT, thread=asked, mention=False)
    assert "And next month? Bye." in (await care.answer(again)).text


async def test_what_is_not_for_care_is_left_alone(care: Care) -> None:
    group = care.teams.group(ADA, GRACE)
    await care.answer(await care.teams.say(ADA, "Hello", in_=group))
    grace = {"type": "mention", "mentioned": {"id": GRACE.id, "name": GRACE.name}, "text": f"<at>{GRACE.name}</at>"}
    thread = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
    await care.answer(thread)
    said = [
        await care.teams.say(ADA, "Does anybody know?", in_=SUPPORT, mention=False),
        await care.teams.say(ADA, "Lunch?", in_=group, mention=False),
        await care.teams.say(ADA, f"<at>{GRACE.name}</at> can you look?", in_=SUPPORT, thread=thread, mention=False, entities=[grace]),
        await care.teams.say(ADA, "build failed", from_={"id": "28:another-bot", "name": "Builds"}),
        await care.teams.say(ADA, "I said this", from_={"id": BOT_ID, "name": "CARE"}),
    ]
    await care.idle()
    assert [each.status for each in said] == [201] * 5
    assert [turn["question"] for turn in care.turns()] == ["Hello", "Why is my bill so high?"]


async def test_the_question_is_what_was_typed(care: Care) -> None:
    asked = await care.teams.say(ADA, "Is 1 < 2 & <b> bold?", in_=SUPPORT)
    await care.answer(asked)
    tidy = await care.teams.say(ADA, "<p>Why&nbsp;is it <strong>so</strong> high?</p>")
    await care.answer(tidy)
    assert [turn["question"] for turn in care.turns()] == ["Is 1 < 2 & <b> bold?", "Why is it so high?"]
    assert care.store.turn(str(care.turns()[0]["id"])).question.user_name == ADA.name


async def test_a_question_with_a_file_is_answered_and_the_file_politely_declined(care: Care) -> None:
    asked = await care.teams.say(ADA, "What does this say?", attachments=[FILE, OWN])
    answers = await care.answers(asked, 2)
    assert sorted(answer.text for answer in answers)[0] == "I can't open files or pictures. I answer what you wrote."
    assert any("You asked: What does this say?" in answer.text for answer in answers)


async def test_a_file_without_a_question_is_declined_once(care: Care) -> None:
    asked = await care.teams.say(ADA, "", attachments=[FILE])
    answer = await care.answer(asked)
    assert "Please describe in words" in answer.text
    await care.teams.redeliver(asked, new_id=True)
    await care.idle()
    assert care.teams.replies(asked) == [answer]
    assert care.turns() == []


async def test_a_mention_without_a_question_is_asked_for_one(care: Care) -> None:
    asked = await care.teams.say(ADA, "", in_=SUPPORT)
    answer = await care.answer(asked)
    assert "What do you want to know?" in answer.text
    assert answer.place == asked.place
    assert not answer.ai_label


async def test_a_newcomer_is_told_once_what_care_is(care: Care) -> None:
    first = await care.answer(await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT))
    assert "CARE is a machine and can be wrong" in first.text
    assert "`opt out`" in first.text
    second = await care.answer(await care.teams.say(ADA, "Why?"))
    assert "CARE is a machine" not in second.text
    other = await care.answer(await care.teams.say(LINUS, "Why?", in_=SUPPORT))
    assert "CARE is a machine" in other.text


async def test_a_welcome_comes_once_with_prompts_to_begin_with(care: Care) -> None:
    chat = care.teams.personal(ADA)
    told = await care.teams.install(ADA)
    assert [each.status for each in told] == [201, 201]
    [welcome] = await care.teams.until(lambda: care.teams.posts(chat))
    assert "CARE is a machine and can be wrong" in welcome.text
    assert "My internet is down" in welcome.suggested
    assert welcome.suggested == [each["title"] for each in welcome.activity["suggestedActions"]["actions"]], "all that is sent is shown"
    assert len(welcome.suggested) == 3
    await care.teams.redeliver(told[0])
    await care.teams.redeliver(told[1])
    await care.teams.until(lambda: care.store.is_introduced("teams", ADA.id))
    answer = await care.answer(await care.teams.say(ADA, "Why?"))
    assert "CARE is a machine" not in answer.text, "the welcome has said so"
    assert care.teams.posts(chat) == [welcome, answer]


async def test_a_prompt_of_the_welcome_is_a_question(care: Care) -> None:
    await care.teams.install(ADA)
    [welcome] = await care.teams.until(lambda: care.teams.posts(care.teams.personal(ADA)))
    [action] = [each for each in welcome.activity["suggestedActions"]["actions"] if each["title"] == "Block a lost card"]
    assert action["type"] == "imBack"
    answer = await care.answer(await care.teams.say(ADA, action["value"]))
    assert "I lost my bank card." in answer.text


@pytest.mark.parametrize("where", ["team", "group"])
async def test_a_team_and_a_group_are_greeted_once_and_shortly(care: Care, where: str) -> None:
    chat = SUPPORT if where == "team" else care.teams.group(ADA, GRACE)
    await care.teams.install(ADA, chat)
    [welcome] = await care.teams.until(lambda: care.teams.posts(chat))
    assert "mention me" in welcome.text
    assert welcome.suggested == []
    await care.teams.join(LINUS, chat)
    await care.idle()
    assert care.teams.posts(chat) == [welcome]


async def test_a_welcome_does_not_come_again_after_a_restart(start: Start, teams: FakeTeams) -> None:
    async with start():
        [first, _] = await teams.install(ADA)
        await teams.until(lambda: teams.posts(teams.personal(ADA)))
    async with start() as care:
        await teams.redeliver(first)
        await care.idle()
    assert len(teams.posts(teams.personal(ADA))) == 1


async def test_a_welcome_that_a_stop_came_before_is_said_after_the_restart(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        teams.faults.outage("create")
        await teams.install(ADA)
        await care.idle()
        assert teams.posts(teams.personal(ADA)) == []
    for _ in range(2):
        async with start() as care:
            [welcome] = await teams.until(lambda: teams.posts(teams.personal(ADA)))
            assert "I answer support questions" in welcome.text
            await care.idle()


async def test_who_knows_care_by_then_is_not_greeted_late(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        teams.faults.outage("create")
        await teams.install(ADA)
        await care.idle()
        answer = await care.answer(await teams.say(ADA, "Why?"))
    async with start() as care:
        await care.idle()
        assert teams.posts(teams.personal(ADA)) == [answer]


@pytest.mark.parametrize("where", ["personal", "team", "group"])
async def test_removed_and_installed_again_care_says_hello_again(care: Care, where: str) -> None:
    chat = {"personal": care.teams.personal(ADA), "team": SUPPORT, "group": care.teams.group(ADA, GRACE)}[where]
    for count in (1, 2):
        await care.teams.install(ADA, chat)
        await care.teams.until(lambda count=count: len(care.teams.posts(chat)) == count)
        await care.idle()
        assert "I answer support questions" in care.teams.posts(chat)[-1].text
        assert (await care.teams.uninstall(ADA, chat)).status in (200, 201)
    assert care.rows("SELECT * FROM addresses") == []


@pytest.mark.alone
async def test_who_waits_sees_their_place_in_the_queue_in_the_first_line(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1)) as care:
        asked = [await care.teams.say(person, "Why?", in_=SUPPORT) for person in (ADA, GRACE)]
        last = await care.teams.say(LINUS, "Why?")
        await care.teams.until(lambda: all(care.teams.replies(each) for each in (*asked, last)))
        lines = ["Looking into it…", "You're next in line…", "1 question before yours…"]
        await care.teams.until(lambda: [care.teams.replies(each)[0].text for each in (*asked, last)] == lines)
        within(1.0, [care.teams.replies(each)[0].at - each.at for each in (*asked, last)])
        going.set()
        for each in (*asked, last):
            assert "You asked: Why? Bye." in (await care.answer(each)).text


async def test_after_an_answer_a_personal_chat_offers_what_comes_next(start: Start) -> None:
    async with start() as care:
        answer = await care.answer(await care.teams.say(ADA, "Why?"))
        assert answer.suggested == ["New conversation", "Talk to a person"]
        said = [action["value"] for action in answer.activity["suggestedActions"]["actions"]]
        assert said == ["new", "human"]
        assert (await care.answer(await care.teams.say(ADA, "Why?", in_=SUPPORT))).suggested == []


async def test_without_experts_nobody_is_sent_to_a_person(start: Start) -> None:
    async with start(teams_handover_channel=None) as care:
        answer = await care.answer(await care.teams.say(ADA, "Why?"))
        assert answer.suggested == ["New conversation"]
        assert "human" not in answer.text


async def test_an_emergency_is_told_whom_to_call_first(care: Care) -> None:
    answer = await care.answer(await care.teams.say(ADA, "I have chest pain and can't breathe"))
    assert answer.text.startswith("**This may be an emergency.**")
    assert "You asked:" in answer.text


async def test_a_question_that_is_too_long_is_told_so_in_words(care: Care) -> None:
    answer = await care.answer(await care.teams.say(ADA, "why " * 600))
    assert "too long" in answer.text
    assert (answer.feedback, answer.ai_label) == (None, False)
    assert care.turns()[0]["status"] == "failed"


async def test_who_comes_when_everything_is_busy_is_told_so_in_words(start: Start) -> None:
    going = asyncio.Event()
    async with start(ScriptedEngine(step=going.wait, slots=1, queue=0)) as care:
        await care.teams.say(ADA, "First", in_=SUPPORT)
        await care.teams.until(lambda: care.engine.requests)
        await care.teams.say(GRACE, "Second", in_=SUPPORT)
        refused = await care.teams.say(LINUS, "Third")
        assert refused.status == 201
        await care.teams.until(lambda: care.teams.answers(refused))
        [answer] = care.teams.answers(refused)
        assert answer.text.startswith("So many people are asking at the moment")
        assert answer.feedback is None
        going.set()
        await care.idle()


async def test_questions_wait_while_the_model_loads(start: Start) -> None:
    async with start(ready=False) as care:
        asked = await care.teams.say(ADA, "Why?")
        await care.teams.until(lambda: care.teams.replies(asked))
        await care.engine.start()
        care.service.engine_ready()
        assert "You asked: Why? Bye." in (await care.answer(asked)).text


async def test_an_answer_that_fails_says_so_in_the_message_that_was_begun(start: Start) -> None:
    def fails(request: object) -> list[str]:
        raise EngineError("The model has trouble; please ask again.")

    async with start(ScriptedEngine(fails)) as care:
        for chat in (None, SUPPORT):
            asked = await care.teams.say(ADA, "Why?", in_=chat)
            answer = await care.answer(asked)
            assert "The model has trouble" in answer.text
            assert (answer.feedback, answer.ai_label) == (None, False)
            assert len(care.teams.replies(asked)) == 1
