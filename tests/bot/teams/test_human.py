"""Talking to a person instead: the conversation goes to the experts, and CARE keeps silent until it is handed back."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator

import pytest

from bot import domains
from bot.connectors.teams import cards, handover
from bot.turns import Question
from tests.bot.teams.conftest import Care, Start
from tests.bot.teams.human import below, handed_over, posted_by, says, the_post
from tests.fakes.teams import ADA, ADMINS, EXPERTS, GRACE, LINUS, SUPPORT, FakeTeams
from train import collect


@pytest.fixture
async def posting(care: Care) -> AsyncIterator[None]:
    async with posted_by(care):
        yield


@pytest.mark.parametrize("words", ["human", "Human please!", "Can I talk to a human?", "please let me speak to somebody"])
async def test_who_asks_for_a_person_is_told_what_happens_next(care: Care, words: str) -> None:
    asked = await care.teams.say(ADA, words)
    note = await care.answer(asked)
    assert "I've passed this conversation on to a person" in note.reading
    assert "stay silent until they hand it back" in note.reading
    assert care.turns() == []


@pytest.mark.usefixtures("posting")
@pytest.mark.parametrize("where", ["personal", "group", "channel"])
async def test_the_whole_way_to_a_person_and_back(care: Care, where: str) -> None:
    chat = {"personal": care.teams.personal(ADA), "group": care.teams.group(ADA, GRACE), "channel": SUPPORT}[where]
    asked = await care.teams.say(ADA, "Why is my bill so high?", in_=chat)
    thread = asked if where == "channel" else None
    await care.answer(asked)
    await care.teams.say(ADA, "human", in_=chat, thread=thread)
    post = await the_post(care)
    assert "Ada Lovelace asks for a person." in post.reading.replace("\n", "")
    assert "Why is my bill so high?" in post.reading
    assert "You asked: Why is my bill so high?" in post.reading

    await care.teams.say(ADA, "It was 20 last month", in_=chat, thread=thread)
    await below(care, post, "It was 20 last month")
    await care.teams.say(GRACE, "You called Norway, that is outside the contract.", in_=EXPERTS, thread=post)
    brought = await says(care, asked, "You called Norway")
    assert "Grace Hopper answers" in brought.text
    assert not brought.ai_label
    await care.idle()
    assert len(care.engine.requests) == 1, "CARE keeps silent"
    [correction] = care.ratings()
    assert (correction["user_id"], correction["correction"]) == (GRACE.id, "You called Norway, that is outside the contract.")

    await care.teams.press(LINUS, post, cards.HAND_BACK)
    await says(care, asked, "I'm back")
    await care.teams.until(lambda: "Handed back to CARE by Linus Torvalds" in post.reading and post.updates)
    again = await care.teams.say(ADA, "And next month?", in_=chat, thread=thread)
    await says(care, again, "You asked: And next month?")


@pytest.mark.usefixtures("posting")
async def test_an_expert_answers_by_the_card_and_it_is_kept_as_a_correction(care: Care) -> None:
    asked, post = await handed_over(care)
    pressed = await care.teams.press(GRACE, post, cards.SEND, {cards.WORDS: "You called Norway, that is outside the contract."})
    assert "Sent to the asker" in json.dumps(pressed.card)
    brought = await says(care, asked, "You called Norway")
    assert "Grace Hopper answers" in brought.text
    await below(care, post, "Grace Hopper answered the asker")
    [correction] = care.ratings()
    assert (correction["user_id"], correction["verdict"]) == (GRACE.id, -1)
    rated, _ = care.store.rated()
    [candidate] = collect.accept(rated, domains.load(), frozenset(), ())[0]
    assert candidate.example.response == "You called Norway, that is outside the contract."
    assert len(care.engine.requests) == 1
    await care.teams.press(GRACE, post, cards.SEND, {cards.WORDS: "And it costs 3 a minute."})
    await says(care, asked, "And it costs 3 a minute.")


@pytest.mark.usefixtures("posting")
async def test_an_answer_by_the_card_that_is_told_twice_arrives_once(care: Care) -> None:
    asked, post = await handed_over(care)
    pressed = await care.teams.press(GRACE, post, cards.SEND, {cards.WORDS: "You called Norway."})
    await care.teams.redeliver(pressed.deliveries[0])
    await care.teams.redeliver(pressed.deliveries[0], new_id=True)
    await says(care, asked, "You called Norway")
    await care.service.postman.go_round()
    await care.idle()
    assert sum("You called Norway" in each.reading for each in care.teams.replies(asked)) == 1
    assert sum("answered the asker" in each.reading for each in care.teams.posts(EXPERTS)) == 1


@pytest.mark.usefixtures("posting")
async def test_an_experts_message_told_of_twice_arrives_once(care: Care) -> None:
    asked, post = await handed_over(care)
    said = await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=post)
    await care.teams.redeliver(said)
    await says(care, asked, "You called Norway")
    await care.service.postman.go_round()
    await care.idle()
    assert sum("You called Norway" in each.reading for each in care.teams.replies(asked)) == 1


@pytest.mark.usefixtures("posting")
async def test_an_empty_answer_sends_nothing_and_says_so(care: Care) -> None:
    asked, post = await handed_over(care)
    pressed = await care.teams.press(GRACE, post, cards.SEND, {cards.WORDS: "  "})
    assert pressed.said == handover.NO_WORDS
    await care.idle()
    assert not any("answers:" in each.reading for each in care.teams.replies(asked))


async def test_a_card_in_a_channel_that_is_the_experts_no_more_does_nothing(start: Start) -> None:
    async with start() as care, posted_by(care):
        _, post = await handed_over(care)
    async with start(teams_handover_channel=ADMINS.id) as care:
        for verb in (cards.SEND, cards.HAND_BACK):
            pressed = await care.teams.press(GRACE, post, verb, {cards.WORDS: "Pay at evil.example"} if verb == cards.SEND else None)
            assert pressed.said == handover.NOT_HERE
        assert care.rows("SELECT ended_at FROM handovers") == [{"ended_at": None}]


@pytest.mark.usefixtures("posting")
async def test_what_an_edit_says_beside_a_wish_for_a_person_reaches_the_experts_once(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, held = care.service.ask, care.teams.faults.held

    async def asking(question: Question) -> object:
        while not held["conversation"]:  # the experts are being told already
            await asyncio.sleep(0.01)
        return await ask(question)

    asked = await care.teams.say(ADA, "Why is my bill so high?")
    await care.answer(asked)
    monkeypatch.setattr(care.service, "ask", asking)
    care.teams.faults.hold("conversation")
    await care.teams.edit(asked, "I want to talk to a person about my phone")
    care.teams.faults.release()
    await care.teams.until(lambda: not care.rows("SELECT * FROM relays WHERE sent_at IS NULL"))
    await care.idle()
    assert sum(each.reading.count("about my phone") for each in care.teams.posts(EXPERTS)) == 1


@pytest.mark.usefixtures("posting")
async def test_in_a_group_chat_the_card_names_who_asked_for_a_person_and_not_who_wrote_last(care: Care) -> None:
    chat = care.teams.group(ADA, GRACE)
    await care.answer(await care.teams.say(ADA, "Why is my bill so high?", in_=chat))
    await care.answer(await care.teams.say(GRACE, "And mine?", in_=chat))
    await care.teams.say(ADA, "human", in_=chat)
    post = await the_post(care)
    assert f"{ADA.name} asks for a person." in post.reading.replace("\n", "")
    await care.teams.say(GRACE, "Hello?", in_=chat)
    assert f"{GRACE.name} wrote:" in (await below(care, post, "Hello?")).reading
    await care.teams.press(GRACE, post, cards.HAND_BACK)
    await care.teams.until(lambda: "Handed back" in post.reading)
    assert f"{ADA.name} asks for a person." in post.reading.replace("\n", "")


@pytest.mark.usefixtures("posting")
async def test_a_press_in_another_channel_or_with_another_hand_overs_id_does_nothing(care: Care) -> None:
    _, post = await handed_over(care)
    asked = await care.teams.say(LINUS, "And mine?")
    await care.answer(asked)
    await care.teams.say(LINUS, "human")
    other = (await care.teams.until(lambda: len(care.teams.posts(EXPERTS)) > 1 and care.teams.posts(EXPERTS)))[1]
    stands = copy.deepcopy(post.cards)
    for verb in (cards.SEND, cards.HAND_BACK):
        for chat in (SUPPORT, ADMINS, care.teams.personal(GRACE)):
            pressed = await care.teams.press(
                GRACE, post, verb, {cards.WORDS: "Pay at evil.example"} if verb == cards.SEND else None, in_=chat
            )
            assert (pressed.status, pressed.said) == (200, handover.NOT_HERE)
        foreign = other.cards[0]["actions"][0]["data"][cards.HANDOVER]
        action = {"type": "Action.Execute", "verb": verb, "data": {cards.HANDOVER: foreign, cards.WORDS: "Pay at evil.example"}}
        told = await care.teams.invoke(GRACE, "adaptiveCard/action", {"action": action}, post.chat, post.place, replyToId=post.id)
        assert handover.NOT_HERE in json.dumps(told.response)
    assert post.cards == stands
    await care.service.postman.go_round()
    await care.idle()
    assert not any("evil" in each.reading for each in [*care.teams.replies(asked), *care.teams.posts(care.teams.personal(ADA))])
    assert care.ratings() == []
    await care.teams.say(ADA, "Hello?")
    await care.idle()
    assert len(care.engine.requests) == 2


@pytest.mark.usefixtures("posting")
async def test_a_press_with_anything_missing_or_wrong_in_it_is_refused(care: Care) -> None:
    asked, post = await handed_over(care)
    own = post.cards[0]["actions"][0]["data"][cards.HANDOVER]
    wrong: tuple[object, ...] = (None, 7, True, [], {}, "", "x" * 5000)
    for verb in (cards.SEND, cards.HAND_BACK):
        for new in wrong:
            for data in (
                {cards.HANDOVER: new, cards.WORDS: "Norway"},
                *([{cards.HANDOVER: own, cards.WORDS: new}] if verb == cards.SEND else []),
            ):
                action = {"type": "Action.Execute", "verb": verb, "data": data}
                told = await care.teams.invoke(GRACE, "adaptiveCard/action", {"action": action}, post.chat, post.place, replyToId=post.id)
                assert told.status in (200, 400)
                said = json.dumps(told.response)
                assert told.status == 400 or any(words in said for words in (handover.NOT_HERE, handover.NO_WORDS)), (data, said)
    await care.idle()
    assert care.ratings() == []
    assert not any("answers:" in each.reading for each in care.teams.replies(asked))


async def test_an_experts_word_is_acknowledged_before_it_is_posted_and_survives_a_restart(start: Start, teams: FakeTeams) -> None:
    async with start() as care:
        asked = await teams.say(ADA, "Why is my bill so high?")
        await care.answer(asked)
        await teams.say(ADA, "human")
        await care.idle()
    async with start() as care:
        await care.service.postman.go_round()
        post = await the_post(care)
        await teams.say(ADA, "It was 20 last month")
    async with start() as care:
        said = await teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=post)
        assert said.status in (200, 201)
        assert not any("You called Norway" in each.reading for each in teams.replies(asked))
    async with start() as care:
        await care.service.postman.go_round()
        await care.service.postman.go_round()
        await below(care, post, "It was 20 last month")
        assert sum("You called Norway" in each.reading for each in teams.replies(asked)) == 1
        await teams.press(LINUS, post, cards.HAND_BACK)
        await says(care, asked, "I'm back")
        await care.idle()
        assert len(care.engine.requests) == 0


async def test_a_failed_post_to_the_experts_is_tried_again(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.postman._AGAIN_SECONDS", (0.0,))
    await care.teams.say(ADA, "human")
    await care.idle()
    care.teams.faults.outage("conversation")
    await care.service.postman.go_round()
    assert care.teams.posts(EXPERTS) == []
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    assert len(care.teams.posts(EXPERTS)) == 1


@pytest.mark.usefixtures("posting")
async def test_what_people_write_to_each_other_is_shown_as_it_is(care: Care) -> None:
    asked, post = await handed_over(care)
    nasty = "<b>hi</b> <at>Everyone</at> [here](https://evil.example) *and*\nsee https://help.example/a?b=1&c=2."
    await care.teams.say(ADA, nasty, textFormat="plain")
    relayed = await below(care, post, "Everyone")
    assert "&lt;b&gt;hi&lt;/b&gt;" in relayed.text
    assert "<at>" not in relayed.text
    assert '<a href="https://help.example/a?b=1&amp;c=2">https://help.example/a?b=1&amp;c=2</a>.' in relayed.text
    assert relayed.activity["textFormat"] == "xml"
    await care.teams.press(GRACE, post, cards.SEND, {cards.WORDS: nasty})
    brought = await says(care, asked, "Everyone")
    assert "&lt;at&gt;Everyone&lt;/at&gt;" in brought.text


@pytest.mark.usefixtures("posting")
async def test_a_long_conversation_fits_a_card_and_long_words_arrive_whole(care: Care) -> None:
    care.engine.answer = lambda request: ["🙂" * 3000]
    asked = None
    for number in range(12):
        asked = await care.teams.say(ADA, f"{number} {'🙂' * 2500}")
        await care.answer(asked)
    assert asked is not None
    await care.teams.say(ADA, "human")
    post = await the_post(care)
    assert "2 earlier questions are left out" in post.reading
    assert "…" in post.reading, "cut, and visibly so"
    await care.teams.say(GRACE, "Norway. " * 2000, in_=EXPERTS, thread=post)
    await care.teams.until(lambda: sum(each.text.count("Norway.") for each in care.teams.replies(asked)) == 2000)


@pytest.mark.usefixtures("posting")
async def test_the_experts_hear_of_a_file_and_an_expert_that_only_words_arrive(care: Care) -> None:
    asked, post = await handed_over(care)
    file = {"contentType": "application/vnd.microsoft.teams.file.download.info", "name": "bill.pdf", "content": {}}
    await care.teams.say(ADA, "Here is the bill", attachments=[file])
    await below(care, post, "Ada Lovelace sent a file that I can't bring here")
    await care.teams.say(GRACE, "See page 3", in_=EXPERTS, thread=post, attachments=[file])
    await below(care, post, "Only your words reach")
    await says(care, asked, "See page 3")


@pytest.mark.usefixtures("posting")
async def test_after_it_was_handed_back_an_expert_hears_that_nobody_reads_it(care: Care) -> None:
    asked, post = await handed_over(care)
    old = copy.deepcopy(post.cards[0])
    await care.teams.press(GRACE, post, cards.HAND_BACK)
    await care.teams.until(lambda: post.updates)
    await care.teams.say(GRACE, "One more thing", in_=EXPERTS, thread=post)
    await below(care, post, "does not reach the asker")
    for verb, fields in ((cards.SEND, {cards.WORDS: "One more"}), (cards.HAND_BACK, {})):
        action = {"type": "Action.Execute", "verb": verb, "data": {**old["actions"][0]["data"], **fields}}
        told = await care.teams.invoke(LINUS, "adaptiveCard/action", {"action": action}, post.chat, post.place, replyToId=post.id)
        assert told.status == 200
    await care.idle()
    assert sum("I'm back" in each.reading for each in care.teams.replies(asked)) == 1
    assert not any("One more" in each.reading for each in care.teams.replies(asked))


@pytest.mark.usefixtures("posting")
async def test_who_writes_in_the_experts_channel_elsewhere_is_answered_like_anybody(care: Care) -> None:
    asked = await care.teams.say(GRACE, "Why is my bill so high?", in_=EXPERTS)
    assert "You asked" in (await care.answer(asked)).reading


@pytest.mark.usefixtures("posting")
async def test_an_expert_hears_when_the_askers_chat_is_gone(care: Care) -> None:
    _, post = await handed_over(care)
    care.teams.block(ADA)
    await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=post)
    await below(care, post, "not there any more")


async def test_without_experts_the_asker_is_told_so(start: Start) -> None:
    async with start(teams_handover_channel=None) as care:
        asked = await care.teams.say(ADA, "human")
        assert "Nobody is set up here" in (await care.answer(asked)).reading
        after = await care.teams.say(ADA, "Why is my bill so high?")
        assert "You asked" in (await care.answer(after)).reading


@pytest.mark.usefixtures("posting")
async def test_after_new_another_conversation_is_not_handed_over(care: Care) -> None:
    await handed_over(care)
    await care.teams.say(ADA, "new")
    after = await care.teams.say(ADA, "What is roaming?")
    assert "You asked: What is roaming?" in (await care.answers(after, 1))[-1].reading


async def test_the_experts_may_sit_in_a_group_chat_and_answer_by_the_card(start: Start, teams: FakeTeams) -> None:
    experts = teams.group(GRACE, LINUS)
    async with start(teams_handover_channel=experts.id) as care, posted_by(care):
        asked = await teams.say(ADA, "Why is my bill so high?")
        await care.answer(asked)
        await teams.say(ADA, "human")
        post = (await teams.until(lambda: [each for each in teams.posts(experts) if each.cards]))[0]
        await teams.press(GRACE, post, cards.SEND, {cards.WORDS: "You called Norway."})
        await says(care, asked, "You called Norway.")
        await teams.press(GRACE, post, cards.HAND_BACK)
        await says(care, asked, "I'm back")


@pytest.mark.usefixtures("posting")
async def test_an_experts_client_that_knows_no_execute_sends_a_message(care: Care) -> None:
    asked, post = await handed_over(care)
    data = post.cards[0]["actions"][0]["fallback"]["data"]
    for value in ({**data, cards.WORDS: "You called Norway."}, post.cards[0]["actions"][1]["fallback"]["data"]):
        activity = {**care.teams.event("message", GRACE, EXPERTS, post.place), "id": care.teams.world.new_id()}
        await care.teams.told({**activity, "value": value, "replyToId": post.id})
    await says(care, asked, "You called Norway.")
    await says(care, asked, "I'm back")
    await care.teams.until(lambda: "Handed back to CARE by Grace Hopper" in post.reading)
    await care.idle()
    assert len(care.turns()) == 1
    assert not any("Only your words" in each.reading for each in care.teams.posts(EXPERTS))
