"""Talking to a person instead: the conversation goes to the experts, and CARE keeps silent until it is handed back."""

import asyncio
from contextlib import suppress

import pytest

from bot.connectors.slack import blocks
from tests.bot.slack.conftest import Care, Start
from tests.fakes.slack import ADA, EXPERTS, GRACE, LINUS, SUPPORT
from tests.fakes.slack.workspace import Message


async def _posted(care: Care) -> Message:
    """The experts' post, as the postman brings it."""
    return (await care.slack.until(lambda: [each for each in care.slack.messages(EXPERTS) if each.thread_ts is None]))[0]


async def _handed_over(care: Care) -> tuple[Message, Message]:
    """A question whose asker then wanted a person, and the experts' post."""
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    care.slack.say(ADA, SUPPORT, "human", thread_ts=asked.ts)
    return asked, await _posted(care)


@pytest.fixture
async def posting(care: Care) -> object:
    task = asyncio.create_task(care.service.postman.follow())
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("words", ["human", "Human please!", "Can I talk to a human?", "please let me speak to somebody"])
async def test_who_asks_for_a_person_is_told_what_happens_next(care: Care, words: str) -> None:
    asked = care.slack.say(ADA, care.slack.dm(ADA), words)
    note = await care.answer(asked)
    assert "I've passed this conversation on to a person" in note.reading
    assert "stay silent until they hand it back" in note.reading
    assert care.turns() == []


@pytest.mark.usefixtures("posting")
async def test_what_a_wish_is_about_reaches_the_experts(care: Care) -> None:
    care.slack.mention(ADA, SUPPORT, "Can I talk to a human? My bill is wrong")
    await care.slack.until(lambda: any("My bill is wrong" in each.reading for each in care.slack.messages(EXPERTS)))
    await care.idle()
    assert care.engine.requests == []


@pytest.mark.parametrize("words", ["human rights?", "Is a human eye a camera?", "Who can speak to a person's rights?"])
async def test_who_speaks_of_people_is_answered(care: Care, words: str) -> None:
    assert "You asked" in (await care.answer(care.slack.say(ADA, care.slack.dm(ADA), words))).reading


@pytest.mark.usefixtures("posting")
async def test_the_whole_way_to_a_person_and_back(care: Care) -> None:
    asked, post = await _handed_over(care)
    assert "Why is my bill so high?" in post.reading
    assert "You asked: Why is my bill so high?" in post.reading

    care.slack.say(ADA, SUPPORT, "It was 20 last month", thread_ts=asked.ts)
    await care.slack.until(lambda: any("It was 20 last month" in each.reading for each in care.slack.messages(EXPERTS)))
    care.slack.say(GRACE, EXPERTS, "You called Norway, that is outside the contract.", thread_ts=post.ts)
    await care.slack.until(lambda: any("You called Norway" in each.reading for each in care.slack.replies(asked)))
    await care.idle()
    assert len(care.engine.requests) == 1, "CARE keeps silent"
    [correction] = care.ratings()
    assert (correction["user_id"], correction["correction"]) == (GRACE, "You called Norway, that is outside the contract.")

    await care.slack.click(post, blocks.HAND_BACK, LINUS)
    await care.slack.until(lambda: any("I'm back" in each.reading for each in care.slack.replies(asked)))
    await care.slack.until(lambda: f"Handed back to CARE by <@{LINUS}>" in post.reading)
    care.slack.say(ADA, SUPPORT, "And next month?", thread_ts=asked.ts)
    await care.slack.until(lambda: any("You asked: And next month?" in each.reading for each in care.slack.replies(asked)))


@pytest.mark.usefixtures("posting")
async def test_what_others_asked_in_the_thread_stays_with_the_experts_when_it_is_handed_back(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    care.slack.mention(GRACE, SUPPORT, "And mine?", thread_ts=asked.ts)
    await care.answers(asked, 2)
    care.slack.say(ADA, SUPPORT, "human", thread_ts=asked.ts)
    post = await _posted(care)
    assert "And mine?" in post.reading
    await care.idle()
    await care.slack.click(post, blocks.HAND_BACK, LINUS)
    await care.slack.until(lambda: f"Handed back to CARE by <@{LINUS}>" in post.reading)
    assert "And mine?" in post.reading


@pytest.mark.usefixtures("posting")
async def test_in_a_direct_message_both_stay_in_the_thread_in_which_a_person_was_asked_for(care: Care) -> None:
    await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?"))
    human = care.slack.say(ADA, care.slack.dm(ADA), "human")
    post = await _posted(care)
    care.slack.say(ADA, care.slack.dm(ADA), "It was 20 last month", thread_ts=human.ts)
    care.slack.say(ADA, care.slack.dm(ADA), "And 19 before")
    for words in ("It was 20", "And 19"):
        await care.slack.until(lambda words=words: any(words in each.reading for each in care.slack.messages(EXPERTS)))
    care.slack.say(GRACE, EXPERTS, "Norway.", thread_ts=post.ts)
    await care.slack.until(lambda: any("Norway." in each.reading for each in care.slack.replies(human)))
    await care.slack.click(post, blocks.HAND_BACK, GRACE)
    await care.slack.until(lambda: any("I'm back" in each.reading for each in care.slack.replies(human)))
    assert len(care.engine.requests) == 1, "CARE keeps silent"
    care.slack.say(ADA, care.slack.dm(ADA), "And next month?", thread_ts=human.ts)
    await care.slack.until(lambda: any("You asked: And next month?" in each.reading for each in care.slack.replies(human)))
    assert len({turn["conversation_id"] for turn in care.turns()}) == 1


@pytest.mark.usefixtures("posting")
async def test_a_channels_thread_that_begins_with_the_wish_for_a_person_is_heard_to_its_end(care: Care) -> None:
    human = care.slack.mention(ADA, SUPPORT, "human")
    post = await _posted(care)
    care.slack.say(ADA, SUPPORT, "My bill is wrong", thread_ts=human.ts)
    await care.slack.until(lambda: any("My bill is wrong" in each.reading for each in care.slack.messages(EXPERTS)))
    await care.slack.click(post, blocks.HAND_BACK, GRACE)
    await care.slack.until(lambda: any("I'm back" in each.reading for each in care.slack.replies(human)))
    care.slack.say(ADA, SUPPORT, "Why is it?", thread_ts=human.ts)
    await care.slack.until(lambda: any("You asked: Why is it?" in each.reading for each in care.slack.replies(human)))


@pytest.mark.usefixtures("posting")
async def test_an_experts_word_told_of_twice_arrives_once(care: Care) -> None:
    asked, post = await _handed_over(care)
    care.slack.outbox.duplicates = 1.0
    care.slack.say(GRACE, EXPERTS, "You called Norway.", thread_ts=post.ts)
    await care.slack.until(lambda: any("You called Norway" in each.reading for each in care.slack.replies(asked)))
    await care.idle()
    assert sum("You called Norway" in each.reading for each in care.slack.replies(asked)) == 1


async def test_an_experts_word_is_acknowledged_before_it_is_posted(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "human")
    await care.idle()
    await care.service.postman.go_round()
    post = await _posted(care)
    care.slack.say(GRACE, EXPERTS, "You called Norway.", thread_ts=post.ts)
    await care.idle()
    assert not any("You called Norway" in each.reading for each in care.slack.replies(asked))
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    assert sum("You called Norway" in each.reading for each in care.slack.replies(asked)) == 1


@pytest.mark.parametrize("text", ["", "Here is the bill"])
async def test_the_experts_hear_of_a_file_and_care_says_nothing(care: Care, text: str) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "human")
    await care.idle()
    care.slack.say(ADA, SUPPORT, text, thread_ts=asked.ts, files=("bill.pdf",))
    await care.idle()
    await care.service.postman.go_round()
    post = await _posted(care)
    await care.slack.until(lambda: any("sent a file that I can't bring" in each.reading for each in care.slack.replies(post)))
    care.slack.say(ADA, SUPPORT, text, thread_ts=asked.ts, files=("a.pdf", "b.pdf"))
    care.slack.mention(ADA, SUPPORT, "", thread_ts=asked.ts)
    await care.slack.until(lambda: any("sent 2 files" in each.reading for each in care.slack.replies(post)))
    await care.idle()
    assert ["passed this conversation on" in each.reading for each in care.slack.replies(asked) if each.user not in (ADA,)] == [True]


@pytest.mark.usefixtures("posting")
async def test_an_expert_who_sends_a_file_hears_that_only_words_arrive(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "human")
    post = await _posted(care)
    care.slack.say(GRACE, EXPERTS, "See page 3", thread_ts=post.ts, files=["terms.pdf"])
    await care.slack.until(lambda: any("Only your words reach" in each.reading for each in care.slack.ephemerals))
    await care.slack.until(lambda: any("See page 3" in each.reading for each in care.slack.replies(asked)))


async def test_who_writes_under_a_post_that_was_made_twice_hears_that_nobody_reads_it(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "human")
    await care.slack.until(lambda: any("passed this conversation on" in each.reading for each in care.slack.replies(asked)))
    await care.idle()
    care.slack.faults.lose_replies("chat.postMessage")
    await care.service.postman.go_round()
    first = await _posted(care)
    care.slack.say(GRACE, EXPERTS, "You called Norway.", thread_ts=first.ts)
    await care.slack.until(lambda: any("reaches nobody" in each.reading for each in care.slack.ephemerals))
    assert [each.ephemeral_to for each in care.slack.ephemerals] == [GRACE]


@pytest.mark.usefixtures("posting")
async def test_after_it_was_handed_back_an_expert_hears_that_nobody_reads_it(care: Care) -> None:
    asked, post = await _handed_over(care)
    await care.slack.click(post, blocks.HAND_BACK, GRACE)
    await care.slack.click(post, blocks.HAND_BACK, GRACE) if _has_button(post) else None
    care.slack.say(GRACE, EXPERTS, "One more thing", thread_ts=post.ts)
    await care.slack.until(lambda: any("does not reach the asker" in each.reading for each in care.slack.ephemerals))
    assert sum("I'm back" in each.reading for each in care.slack.replies(asked)) <= 1


def _has_button(post: Message) -> bool:
    try:
        post.element(blocks.HAND_BACK)
    except LookupError:
        return False
    return True


@pytest.mark.usefixtures("posting")
async def test_a_hand_back_button_with_a_foreign_value_hands_nothing_back(care: Care) -> None:
    asked, post = await _handed_over(care)
    pressed = await care.slack.click(post, blocks.HAND_BACK, GRACE, value="somebody-elses")
    assert pressed.acked
    await care.slack.until(lambda: any("not handed over any more" in each.reading for each in care.slack.ephemerals))
    care.slack.say(ADA, SUPPORT, "Hello?", thread_ts=asked.ts)
    await care.idle()
    assert len(care.engine.requests) == 1


async def test_without_experts_the_asker_is_told_so(start: Start) -> None:
    async with start(slack_handover_channel=None) as care:
        asked = care.slack.say(ADA, care.slack.dm(ADA), "human")
        assert "Nobody is set up here" in (await care.answer(asked)).reading
        after = care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?")
        assert "You asked" in (await care.answer(after)).reading


@pytest.mark.usefixtures("posting")
async def test_the_command_hands_over_too(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    told = await care.slack.command("/care", "human", ADA, SUPPORT)
    assert "I've passed this conversation on" in str(told.response)
    await _posted(care)
    await care.slack.until(lambda: any("passed this conversation on" in each.reading for each in care.slack.replies(asked)))


async def test_teach_care_makes_a_colleagues_reply_the_correction(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    reply = care.slack.say(LINUS, SUPPORT, f"<@{ADA}> It is the roaming fee.", thread_ts=asked.ts)
    await care.slack.shortcut(blocks.TEACH, reply, GRACE)
    await care.slack.until(lambda: any("keep that reply as the better answer" in each.reading for each in care.slack.ephemerals))
    [rating] = care.ratings()
    assert (rating["user_id"], rating["author_id"], rating["verdict"]) == (GRACE, LINUS, -1)
    assert rating["correction"] == "It is the roaming fee."
    assert len(care.turns()) == 1


@pytest.mark.parametrize("words", ["It is the roaming fee.", f"<@{ADA}>, it is the roaming fee."])
async def test_teach_care_corrects_the_question_before_the_reply_whatever_was_written_since(care: Care, words: str) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    await care.answer(asked)
    reply = care.slack.say(LINUS, SUPPORT, words, thread_ts=asked.ts)
    await care.idle()
    care.slack.say(ADA, SUPPORT, "And how do I end that?", thread_ts=asked.ts)
    await care.idle()
    await care.slack.shortcut(blocks.TEACH, reply, GRACE)
    await care.slack.until(lambda: any("keep that reply as the better answer" in each.reading for each in care.slack.ephemerals))
    [rating] = care.ratings()
    assert rating["turn_id"] == care.turns()[0]["id"]
    assert str(rating["correction"]).lower() == "it is the roaming fee."


async def test_what_cant_be_taught_says_why(care: Care) -> None:
    asked = care.slack.mention(ADA, SUPPORT, "Why is my bill so high?")
    answer = await care.answer(asked)
    elsewhere = care.slack.say(LINUS, SUPPORT, "Lunch?")
    reply = care.slack.say(LINUS, SUPPORT, f"<@{ADA}> Roaming", thread_ts=asked.ts)
    await care.slack.shortcut(blocks.TEACH, answer, GRACE)
    await care.slack.shortcut(blocks.TEACH, elsewhere, GRACE)
    await care.service.opt_out("slack", LINUS)
    await care.slack.shortcut(blocks.TEACH, reply, GRACE)
    await care.slack.until(lambda: len(care.slack.ephemerals) == 3)
    told = [note.reading for note in care.slack.ephemerals]
    for words in ("is not a person's", "answered nothing in this thread", "not to take part"):
        assert any(words in each for each in told)
    assert care.ratings() == []
