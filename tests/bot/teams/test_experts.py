"""What experts do beside answering: talk among themselves, ask CARE for help, correct themselves, sit in a group chat, be out of reach."""

from collections.abc import AsyncIterator

import pytest

from bot.connectors import tasks, words
from bot.connectors.teams import cards, handover
from tests.bot.teams.conftest import Care, Start
from tests.bot.teams.human import below, handed_over, posted_by, says, the_post
from tests.fakes.teams import ADA, EXPERTS, GRACE, LINUS, FakeTeams


@pytest.fixture
async def posting(care: Care) -> AsyncIterator[None]:
    async with posted_by(care):
        yield


@pytest.mark.usefixtures("posting")
async def test_what_experts_say_to_each_other_reaches_nobody_and_is_not_learned(care: Care) -> None:
    asked, post = await handed_over(care)
    aside = await care.teams.say(LINUS, "She is a pain, let's give her nothing", in_=EXPERTS, thread=post, mention=False)
    await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=post)
    await says(care, asked, "You called Norway.")
    await care.teams.edit(aside, "She is a pain, let's give her nothing at all")
    await care.service.postman.go_round()
    await care.idle()
    assert not any("pain" in each.reading for each in care.teams.replies(asked))
    assert [each["correction"] for each in care.ratings()] == ["You called Norway."]
    assert len(care.turns()) == 1


@pytest.mark.usefixtures("posting")
@pytest.mark.parametrize(
    ("command", "told"),
    [("help", "answers support questions"), ("Status", "I'm well"), ("human", handover.YOU_ARE_IT), ("stop", "not writing")],
)
async def test_an_experts_command_is_a_command_and_no_answer(care: Care, command: str, told: str) -> None:
    asked, post = await handed_over(care)
    await care.teams.say(GRACE, command, in_=EXPERTS, thread=post)
    await below(care, post, told)
    await care.service.postman.go_round()
    await care.idle()
    assert not any("answers:" in each.reading for each in care.teams.replies(asked))
    assert care.ratings() == []
    assert len([each for each in care.teams.posts(EXPERTS) if each.cards]) == 1


async def test_experts_in_a_group_chat_are_told_to_use_the_card_and_ask_care_like_anybody(start: Start, teams: FakeTeams) -> None:
    experts = teams.group(GRACE, LINUS)
    async with start(teams_handover_channel=experts.id) as care, posted_by(care):
        asked = await teams.say(ADA, "human")
        post = (await teams.until(lambda: [each for each in teams.posts(experts) if each.cards]))[0]
        assert "mention me" not in post.reading
        assert "only what you send from this card" in post.reading
        question = await teams.say(GRACE, "What is roaming?", in_=experts)
        assert "You asked: What is roaming?" in (await care.answer(question)).reading
        await teams.say(GRACE, "You called Norway.", in_=experts, replyToId=post.id)
        await says(care, asked, "You called Norway.")
        pressed = await teams.press(GRACE, post, cards.SEND, {cards.WORDS: "And it costs 3 a minute."})
        assert "only what you send from this card" in str(pressed.card)
        await says(care, asked, "And it costs 3 a minute.")


async def test_a_group_chat_that_gives_no_id_gets_the_post_once_and_its_buttons_work(
    start: Start, teams: FakeTeams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.postman._AGAIN_SECONDS", (0.0,))
    experts = teams.group(GRACE, LINUS)
    async with start(teams_handover_channel=experts.id) as care:
        asked = await teams.say(ADA, "human")
        await care.idle()
        teams.faults.accept()
        for _ in range(3):
            await care.service.postman.go_round()
        [post] = [each for each in teams.posts(experts) if each.cards]
    async with start(teams_handover_channel=experts.id) as care, posted_by(care):
        await teams.say(ADA, "It was 20 last month")
        await teams.until(lambda: any("It was 20" in each.reading for each in teams.posts(experts)))
        await teams.press(GRACE, post, cards.SEND, {cards.WORDS: "You called Norway."})
        await says(care, asked, "You called Norway.")
        await teams.press(GRACE, post, cards.HAND_BACK)
        await says(care, asked, "I'm back")
        await teams.until(lambda: "Handed back to CARE by Grace Hopper" in post.reading)


async def test_a_report_to_a_group_chat_that_gives_no_id_is_posted_once(start: Start, teams: FakeTeams) -> None:
    admins = teams.group(GRACE, LINUS)
    async with start(teams_admin_channel=admins.id) as care:
        await care.answer(await teams.say(ADA, "Hello?"))
        teams.faults.accept()
        name = await care.connector._workspace.begin(admins.id, {"type": "message", "text": "report"}, patience=0.0)
        assert name is None
        assert len(teams.posts(admins)) == 1


@pytest.mark.parametrize("where", ["personal", "channel"])
async def test_who_waits_for_a_person_is_told_how_to_go_on_with_care(care: Care, where: str) -> None:
    asked = await care.teams.say(ADA, "human", in_=EXPERTS if where == "channel" else None)
    told = await says(care, asked, "stay silent")
    assert ("mention me in a new post" if where == "channel" else "Write `new`") in told.reading


async def test_in_a_group_chat_a_persons_wish_counts_for_all_and_says_so(care: Care) -> None:
    chat = care.teams.group(ADA, GRACE)
    asked = await care.teams.say(ADA, "human", in_=chat)
    assert handover.FOR_ALL in (await says(care, asked, "stay silent")).reading
    begun = await care.teams.say(GRACE, "new", in_=chat)
    assert handover.FOR_ALL in (await says(care, begun, words.NEW_BEGUN)).reading
    alone = await care.teams.say(LINUS, "new")
    assert handover.FOR_ALL not in (await says(care, alone, words.NEW_BEGUN)).reading


async def test_who_waits_for_a_person_that_nobody_can_reach_is_told_so_once(care: Care, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.postman._AGAIN_SECONDS", (0.0,))
    asked = await care.teams.say(ADA, "human")
    await care.idle()
    care.teams.faults.refuse("conversation", 403, "BotNotInConversationRoster", times=5)
    for number in range(1, 6):
        await care.service.postman.go_round()
        await care.idle()
        told = [each for each in care.teams.replies(asked) if handover.UNREACHED in each.reading]
        assert len(told) == (1 if number >= 3 else 0)
    await care.service.postman.go_round()
    await the_post(care)
    await care.teams.say(ADA, "new")
    after = await care.teams.say(ADA, "What is roaming?")
    await says(care, after, "You asked: What is roaming?")


@pytest.mark.usefixtures("posting")
async def test_an_experts_edit_reaches_the_asker_as_a_correction_and_is_learned_instead(care: Care) -> None:
    asked, post = await handed_over(care)
    said = await care.teams.say(GRACE, "You called Norway, that costs 3 a minute.", in_=EXPERTS, thread=post)
    await says(care, asked, "that costs 3 a minute")
    await care.teams.say(ADA, "Are you sure?")
    await below(care, post, "Are you sure?")
    edited = await care.teams.edit(said, "You called Norway: 2 a minute.")
    assert "Grace Hopper corrects" in (await says(care, asked, "2 a minute")).text
    await below(care, post, handover.CORRECTED)
    await care.teams.redeliver(edited)
    await care.teams.redeliver(said.delivery or edited)
    await care.service.postman.go_round()
    await care.idle()
    assert [each["correction"] for each in care.ratings()] == ["You called Norway: 2 a minute."]
    assert sum("Norway" in each.reading for each in care.teams.replies(asked)) == 2
    await care.teams.edit(said, "You called Norway, and that costs 2 a minute.")
    await says(care, asked, "and that costs 2 a minute")
    assert [each["correction"] for each in care.ratings()] == ["You called Norway, and that costs 2 a minute."]


@pytest.mark.usefixtures("posting")
async def test_who_mentions_care_only_in_the_edit_answers_with_it(care: Care) -> None:
    asked, post = await handed_over(care)
    said = await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=post, mention=False)
    said.activity = {**said.activity, "entities": [{"type": "mention"}]}
    edited = await care.teams.edit(said, "You called Norway.")
    await care.teams.redeliver(edited)
    assert "Grace Hopper answers" in (await says(care, asked, "You called Norway.")).text
    await care.idle()
    assert [each["correction"] for each in care.ratings()] == ["You called Norway."]
    assert sum("Norway" in each.reading for each in care.teams.replies(asked)) == 1


@pytest.mark.usefixtures("posting")
async def test_what_an_expert_deletes_is_not_learned_and_they_hear_that_the_asker_has_it(care: Care) -> None:
    asked, post = await handed_over(care)
    said = await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=post)
    await says(care, asked, "You called Norway.")
    deleted = await care.teams.delete(said)
    await care.teams.redeliver(deleted)
    await below(care, post, handover.DELETED)
    await care.idle()
    assert [(each["verdict"], each["correction"]) for each in care.ratings()] == [(0, None)]
    assert sum(handover.DELETED in each.reading for each in care.teams.posts(EXPERTS)) == 1


async def test_what_an_expert_deletes_before_it_was_brought_never_reaches_the_asker(care: Care) -> None:
    asked = await care.teams.say(ADA, "human")
    await care.idle()
    await care.service.postman.go_round()
    said = await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=await the_post(care))
    await care.teams.delete(said)
    await care.service.postman.go_round()
    await care.idle()
    assert not any("Norway" in each.reading for each in care.teams.replies(asked))


@pytest.mark.usefixtures("posting")
async def test_a_deleted_question_is_taken_away_from_the_experts_too(care: Care) -> None:
    asked, post = await handed_over(care)
    card_number = await care.teams.say(ADA, "My card number is 4111")
    relayed = await below(care, post, "4111")
    await care.teams.say(ADA, "It was 20 last month")
    stays = await below(care, post, "It was 20")
    await care.idle()
    await care.teams.delete(card_number)
    await care.teams.until(lambda: relayed.deleted)
    await care.teams.delete(asked)
    await care.teams.until(lambda: "Why is my bill so high?" not in post.reading)
    await care.idle()
    assert "asks for a person" in post.reading
    assert not stays.deleted
    assert care.store.to_take_away("teams") == []
    await care.teams.press(GRACE, post, cards.SEND, {cards.WORDS: "You called Norway."})
    await care.teams.until(lambda: any("You called Norway" in each.reading for each in care.teams.posts(care.teams.personal(ADA))))


@pytest.mark.usefixtures("posting")
async def test_a_deleted_question_leaves_the_card_of_a_hand_over_that_has_ended(care: Care) -> None:
    asked, post = await handed_over(care)
    await care.teams.press(GRACE, post, cards.HAND_BACK)
    await care.idle()
    await care.teams.delete(asked)
    await care.teams.until(lambda: "Why is my bill so high?" not in post.reading)
    assert "Handed back" in post.reading


@pytest.mark.usefixtures("posting")
async def test_a_question_deleted_while_experts_are_being_told_of_it_is_not_on_their_card(care: Care) -> None:
    asked = await care.teams.say(ADA, "My card number is 4111")
    await care.answer(asked)
    await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
    care.teams.faults.hold("conversation")
    await care.teams.say(ADA, "human")
    await care.teams.until(lambda: care.teams.faults.held["conversation"])
    await care.teams.delete(asked)
    care.teams.faults.release()
    post = await the_post(care)
    await care.teams.until(lambda: "4111" not in post.reading)
    assert "Why is my bill so high?" in post.reading


@pytest.mark.usefixtures("posting")
async def test_who_is_forgotten_while_experts_are_being_told_of_them_is_taken_away_again(care: Care) -> None:
    await care.answer(await care.teams.say(GRACE, "Hello"))
    await care.answer(await care.teams.say(ADA, "My card number is 4111"))
    care.teams.faults.hold("conversation")
    await care.teams.say(ADA, "human")
    await care.teams.until(lambda: care.teams.faults.held["conversation"])
    await care.service.forget("teams", ADA.id)
    care.teams.faults.release()
    await care.teams.until(lambda: care.teams.called("conversation") and not care.teams.posts(EXPERTS))


async def test_what_shows_experts_somebody_who_was_forgotten_meanwhile_is_taken_away_by_the_next_start(
    start: Start, teams: FakeTeams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_CLOSE_SECONDS", 0.1)
    async with start() as care, posted_by(care):
        await care.answer(await care.teams.say(GRACE, "Hello"))
        await care.answer(await care.teams.say(ADA, "My card number is 4111"))
        care.teams.faults.hold("conversation")
        await care.teams.say(ADA, "human")
        await care.teams.until(lambda: care.teams.faults.held["conversation"])
        await care.service.forget("teams", ADA.id)
        care.teams.faults.outage("delete", times=1000)
        care.teams.faults.release()
        await care.teams.until(lambda: care.store.to_take_away("teams"))
    assert teams.posts(EXPERTS)
    teams.faults.clear()
    async with start():
        await teams.until(lambda: not teams.posts(EXPERTS))


@pytest.mark.usefixtures("posting")
async def test_who_is_forgotten_is_taken_away_from_the_experts_too(care: Care) -> None:
    _, post = await handed_over(care)
    await care.teams.say(ADA, "My card number is 4111")
    relayed = await below(care, post, "4111")
    await care.teams.say(GRACE, "I'll look at it", in_=EXPERTS, thread=post)
    await care.teams.say(ADA, "new")
    await care.teams.say(ADA, "forget me")
    chat = care.teams.personal(ADA)
    card = (await care.teams.until(lambda: [each for each in care.teams.posts(chat) if each.cards]))[-1]
    await care.teams.press(ADA, card, cards.FORGET)
    await care.teams.until(lambda: post.deleted and relayed.deleted)
    await care.idle()
    assert care.store.to_take_away("teams") == []
    assert care.rows("SELECT * FROM expert_posts") == []


async def test_nobody_writes_unheard_under_a_post_that_was_made_twice(care: Care) -> None:
    care.teams.faults.outage("conversation", done=True)  # it stands, and CARE does not hear of it
    asked = await care.teams.say(ADA, "human")
    for count in (1, 2):
        care.service.postman._failed.clear()
        await care.service.postman.go_round()
        posts = await care.teams.until(lambda: [each for each in care.teams.posts(EXPERTS) if each.cards])
        assert len(posts) == count
    first, second = posts
    await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=first)
    await below(care, first, "What you write here reaches nobody")
    await care.idle()
    assert care.turns() == []
    await care.teams.say(GRACE, "You called Norway.", in_=EXPERTS, thread=second)
    await care.service.postman.go_round()
    await says(care, asked, "You called Norway.")
    own = await care.teams.say(GRACE, "What is a SIM card?", in_=EXPERTS)
    assert "You asked: What is a SIM card?" in (await care.answer(own)).text
