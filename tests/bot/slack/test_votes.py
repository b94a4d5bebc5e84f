"""What people think of an answer in Slack: kept, changed, withdrawn, and visibly so."""

import asyncio
import itertools
from contextlib import suppress

import pytest

from bot.connectors.slack import blocks
from tests.bot.slack.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.slack import ADA, EVE, GRACE, PARTNERS, SUPPORT
from tests.fakes.slack.workspace import Message

TOLD_ONCE = ("CARE is a machine and can be wrong", "you can opt out", "`/care opt out`", "write `human`")


def up(turn_id: object) -> str:
    return f"up:{turn_id}"


def down(turn_id: object) -> str:
    return f"down:{turn_id}"


@pytest.fixture
async def answer(care: Care) -> Message:
    return await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "Why is my bill so high?"))


@pytest.fixture
async def public(care: Care) -> Message:
    return await care.answer(care.slack.mention(ADA, SUPPORT, "Why is my bill so high?"))


def verdicts(care: Care) -> list[tuple[object, object]]:
    return [(rating["user_id"], rating["verdict"]) for rating in care.ratings()]


async def test_a_thumb_up_is_kept_and_shows_in_the_answer(care: Care, answer: Message) -> None:
    pressed = await care.slack.click(answer, blocks.FEEDBACK, ADA, value=up(care.turns()[0]["id"]))
    assert pressed.acked
    assert verdicts(care) == [(ADA, 1)]
    await care.slack.until(lambda: "👍 Noted" in answer.reading)
    assert "You asked: Why is my bill so high?" in answer.reading


async def test_a_vote_on_a_long_answer_leaves_its_words_as_they_are(start: Start) -> None:
    words = [f"{number}. Restart the router and wait for two minutes, then look at the lamp.\n\n" for number in range(1, 280)]
    async with start(ScriptedEngine(lambda request: words)) as care:
        asked = care.slack.say(ADA, care.slack.dm(ADA), "How do I restart it?")
        answers = await care.answers(asked, 3)
        before = [line for answer in answers for line in answer.reading.splitlines() if line.endswith("lamp.")]
        await care.slack.click(answers[-1], blocks.FEEDBACK, ADA, value=up(care.turns()[0]["id"]))
        await care.slack.until(lambda: "👍 Noted" in answers[-1].reading)
        assert [line for answer in answers for line in answer.reading.splitlines() if line.endswith("lamp.")] == before
        assert len(before) == 279


async def test_a_vote_leaves_the_introduction_under_a_first_answer_and_adds_none_to_others(care: Care, answer: Message) -> None:
    assert all(told in answer.reading for told in TOLD_ONCE)
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=up(care.turns()[0]["id"]))
    await care.slack.until(lambda: "👍 Noted" in answer.reading)
    care.slack.react(ADA, answer, "-1")
    await care.slack.until(lambda: "👎 Noted" in answer.reading)
    assert all(told in answer.reading for told in TOLD_ONCE)
    second = await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "And mine?"))
    await care.slack.click(second, blocks.FEEDBACK, ADA, value=up(care.turns()[1]["id"]))
    await care.slack.until(lambda: "👍 Noted" in second.reading)
    assert not any(told in second.reading for told in TOLD_ONCE)


async def test_in_a_channel_only_the_voter_sees_the_confirmation(care: Care, public: Message) -> None:
    await care.slack.click(public, blocks.FEEDBACK, GRACE, value=up(care.turns()[0]["id"]))
    note = (await care.slack.until(lambda: care.slack.ephemerals))[0]
    assert note.ephemeral_to == GRACE
    assert "👍 Noted" in note.reading
    assert note.root == public.root
    assert "Noted" not in public.reading


async def test_a_thumb_down_asks_what_it_should_have_said_and_keeps_that(care: Care, answer: Message) -> None:
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(care.turns()[0]["id"]))
    view = await care.slack.until(lambda: care.slack.open_view(ADA))
    sent = await care.slack.submit(view, {blocks.REASON_BLOCK: "outdated", blocks.CORRECTION_BLOCK: "It is the roaming"})
    assert sent.acked
    assert not view.open
    [rating] = care.ratings()
    assert (rating["verdict"], rating["reason"], rating["correction"]) == (-1, "outdated", "It is the roaming")
    await care.slack.until(lambda: any("Thank you" in note.reading for note in care.slack.ephemerals))


async def test_the_dialog_shows_what_was_said_before(care: Care, answer: Message) -> None:
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(care.turns()[0]["id"]))
    view = await care.slack.until(lambda: care.slack.open_view(ADA))
    await care.slack.submit(view, {blocks.CORRECTION_BLOCK: "It is the roaming"})
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(care.turns()[0]["id"]))
    again = await care.slack.until(lambda: care.slack.open_view(ADA))
    assert "It is the roaming" in str(again.blocks)
    assert care.ratings()[0]["correction"] == "It is the roaming"


async def test_a_changed_mind_overwrites(care: Care, answer: Message) -> None:
    turn = care.turns()[0]["id"]
    for value, kept in ((up(turn), 1), (down(turn), -1), (up(turn), 1)):
        await care.slack.click(answer, blocks.FEEDBACK, ADA, value=value)
        assert verdicts(care) == [(ADA, kept)]
    await care.slack.until(lambda: "👍 Noted" in answer.reading)
    await care.idle()
    assert "👎 Noted" not in answer.reading


async def test_of_two_votes_at_once_the_later_one_counts_and_is_what_the_answer_shows(
    care: Care, answer: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = care.turns()[0]["id"]
    _first_waits_for_the_second(monkeypatch, care.service, "current_vote")
    _first_waits_for_the_second(monkeypatch, care.connector._workspace.api, "update")
    first = asyncio.create_task(care.slack.click(answer, blocks.FEEDBACK, ADA, value=up(turn)))
    await asyncio.sleep(0)  # pressed first
    await asyncio.gather(first, care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(turn)))
    await care.idle()
    assert verdicts(care) == [(ADA, -1)]
    assert "👎 Noted" in answer.reading


def _first_waits_for_the_second(monkeypatch: pytest.MonkeyPatch, owner: object, method: str) -> None:
    """The first call waits until another is through, if one can be at the same time."""
    real, calls, another = getattr(owner, method), itertools.count(), asyncio.Event()

    async def waiting(*args: object) -> object:
        if next(calls) == 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(another.wait(), 0.2)
            return await real(*args)
        result = await real(*args)
        another.set()
        return result

    monkeypatch.setattr(owner, method, waiting)


async def test_a_reaction_is_a_vote_and_a_withdrawn_one_withdraws(care: Care, public: Message) -> None:
    care.slack.react(GRACE, public, "+1::skin-tone-3")
    await care.slack.until(lambda: verdicts(care) == [(GRACE, 1)])
    care.slack.unreact(GRACE, public, "+1::skin-tone-3")
    await care.slack.until(lambda: verdicts(care) == [(GRACE, 0)])
    await care.slack.until(lambda: any("withdrawn" in note.reading for note in care.slack.ephemerals))


async def test_a_withdrawn_reaction_leaves_a_vote_that_it_had_not_set(care: Care, public: Message) -> None:
    care.slack.react(ADA, public, "-1")
    await care.slack.until(lambda: verdicts(care) == [(ADA, -1)])
    await care.slack.click(public, blocks.FEEDBACK, ADA, value=up(care.turns()[0]["id"]))
    care.slack.unreact(ADA, public, "-1")
    await care.idle()
    assert verdicts(care) == [(ADA, 1)]


async def test_a_withdrawn_reaction_leaves_the_buttons_vote_and_what_was_said_in_the_dialog(care: Care, answer: Message) -> None:
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(care.turns()[0]["id"]))
    view = await care.slack.until(lambda: care.slack.open_view(ADA))
    await care.slack.submit(view, {blocks.CORRECTION_BLOCK: "It is the roaming"})
    care.slack.react(ADA, answer, "-1")
    care.slack.unreact(ADA, answer, "-1")
    await care.idle()
    [rating] = care.ratings()
    assert (rating["verdict"], rating["correction"]) == (-1, "It is the roaming")


async def test_a_reaction_that_a_button_repeats_does_not_take_the_vote_with_it(care: Care, answer: Message) -> None:
    care.slack.react(ADA, answer, "-1")
    await care.slack.until(lambda: verdicts(care) == [(ADA, -1)])
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(care.turns()[0]["id"]))
    care.slack.unreact(ADA, answer, "-1")
    await care.idle()
    assert verdicts(care) == [(ADA, -1)]


async def test_other_reactions_and_other_messages_are_no_votes(care: Care, public: Message) -> None:
    care.slack.react(ADA, public, "tada")
    care.slack.react(ADA, care.slack.say(GRACE, SUPPORT, "Lunch?"), "+1")
    await care.idle()
    assert verdicts(care) == []


async def test_an_old_vote_that_comes_late_changes_nothing(care: Care, answer: Message) -> None:
    turn = care.turns()[0]["id"]
    first = await care.slack.click(answer, blocks.FEEDBACK, ADA, value=up(turn))
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(turn))
    care.slack.outbox.redeliver(first)
    await care.idle()
    assert verdicts(care) == [(ADA, -1)]


@pytest.mark.parametrize("value", ["", "up:", "up:nobody", "sideways:1", "🙂", "up:" + "x" * 5000])
async def test_a_foreign_button_value_rates_nothing(care: Care, answer: Message, value: str) -> None:
    element = answer.element(blocks.FEEDBACK)[1]
    element["positive_button"]["value"] = value
    pressed = await care.slack.click(answer, blocks.FEEDBACK, ADA, value=value)
    assert pressed.acked
    assert verdicts(care) == []
    await care.slack.until(lambda: any("not counted" in note.reading for note in care.slack.ephemerals))


async def test_another_answers_value_rates_neither(care: Care, answer: Message, public: Message) -> None:
    private, shared = (turn["id"] for turn in care.turns())
    public.element(blocks.FEEDBACK)[1]["positive_button"]["value"] = up(private)
    await care.slack.click(public, blocks.FEEDBACK, GRACE, value=up(private))
    await care.idle()
    assert private != shared
    assert verdicts(care) == []


async def test_nobody_rates_another_persons_private_answer(care: Care, answer: Message) -> None:
    payload = (await care.slack.click(answer, blocks.FEEDBACK, ADA, value=up(care.turns()[0]["id"]))).payload
    forged = {**payload, "user": {**payload["user"], "id": GRACE}}
    assert (await care.slack.interact(forged)).acked
    assert verdicts(care) == [(ADA, 1)]
    dialog = {"type": "view_submission", "user": {"id": GRACE}, "view": _dialog(care.turns()[0]["id"])}
    sent = await care.slack.interact(dialog)
    assert sent.response["response_action"] == "errors"
    assert verdicts(care) == [(ADA, 1)]


def _dialog(turn_id: object) -> dict[str, object]:
    values = {blocks.CORRECTION_BLOCK: {blocks.INPUT: {"type": "plain_text_input", "value": "Never pay"}}}
    return {"type": "modal", "callback_id": blocks.CORRECTION, "private_metadata": turn_id, "state": {"values": values}}


async def test_a_correction_that_is_too_long_says_so(care: Care, answer: Message) -> None:
    await care.slack.click(answer, blocks.FEEDBACK, ADA, value=down(care.turns()[0]["id"]))
    view = await care.slack.until(lambda: care.slack.open_view(ADA))
    await care.slack.submit(view, {blocks.CORRECTION_BLOCK: "x" * 40_000})
    assert "at most" in view.errors[blocks.CORRECTION_BLOCK]
    assert care.ratings()[0]["correction"] is None


async def test_people_of_other_organisations_do_not_vote_unless_allowed(start: Start) -> None:
    async with start() as care:
        answer = await care.answer(care.slack.mention(ADA, PARTNERS, "Why is my bill so high?"))
        await care.slack.click(answer, blocks.FEEDBACK, EVE, value=up(care.turns()[0]["id"]))
        care.slack.react(EVE, answer)
        await care.idle()
        assert verdicts(care) == []
    async with start(slack_external=True) as care:
        await care.slack.click(answer, blocks.FEEDBACK, EVE, value=up(care.turns()[0]["id"]))
        assert verdicts(care) == [(EVE, 1)]
