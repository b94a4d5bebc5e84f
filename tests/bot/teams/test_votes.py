"""What people think of an answer in Teams: kept, changed, withdrawn, and visibly so."""

import asyncio
import copy
import json

import pytest

from bot import domains
from bot.connectors.teams import cards
from bot.connectors.words import CONFIRMED
from bot.store import StorageFull, Store
from tests.bot.teams.conftest import Care, Start
from tests.fakes.engine import ScriptedEngine
from tests.fakes.teams import ADA, GRACE, LINUS, SUPPORT, Message, Person
from tests.fakes.teams import cards as teams_cards
from tests.fakes.teams.interactions import Outcome
from train import collect

ALL_LIKES = ("like", "yes", "yes-tone3", "1f44d_thumbsup", "1f44d_thumbsup-tone5", "👍", "👍🏽", "LIKE")
ALL_DISLIKES = ("no", "no-tone1", "dislike", "1f44e_thumbsdown", "1f44e_thumbsdown-tone2", "👎", "👎🏿")
FORGED: tuple[object, ...] = (None, "", 7, True, [], {}, ["like"], {"a": 1}, "x" * 5000)


@pytest.fixture
async def answer(care: Care) -> Message:
    return await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))


@pytest.fixture
async def public(care: Care) -> Message:
    return await care.answer(await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT))


def verdicts(care: Care) -> list[tuple[object, object]]:
    return [(rating["user_id"], rating["verdict"]) for rating in care.ratings()]


def unattributed(care: Care) -> list[tuple[object, object, object]]:
    return [(row["user_id"], row["verdict"], row["reason"]) for row in care.rows("SELECT * FROM unattributed_ratings ORDER BY rowid")]


def reads(outcome: Outcome) -> str:
    """What stands in the card that is there now, and beside it."""
    return json.dumps(outcome.card, ensure_ascii=False) + outcome.said


# The feedback loop.


@pytest.mark.parametrize("nested", [False, True])
async def test_a_thumb_is_kept_at_once_and_the_dialog_asks_what_was_wrong(care: Care, answer: Message, nested: bool) -> None:
    care.teams.nested_fetch = nested
    dialog = await care.teams.open_feedback(ADA, answer, "dislike")
    assert verdicts(care) == [(ADA.id, -1)]
    assert CONFIRMED[-1] in reads(dialog)
    assert "What was wrong?" in reads(dialog)
    assert "What should it have said?" in reads(dialog)


async def test_what_is_said_in_the_dialog_is_kept_with_the_answer(care: Care, answer: Message) -> None:
    said_ = {cards.REASON: "outdated", cards.CORRECTION: "It is the roaming"}
    outcome = await care.teams.feedback(ADA, answer, "dislike", inputs=said_)
    assert not outcome.failed
    [rating] = care.ratings()
    assert (rating["turn_id"], rating["verdict"], rating["reason"], rating["correction"]) == (
        care.turns()[0]["id"],
        -1,
        "outdated",
        "It is the roaming",
    )


async def test_a_thumb_up_asks_for_a_comment_alone(care: Care, answer: Message) -> None:
    dialog = await care.teams.open_feedback(ADA, answer, "like")
    assert "What was good about it?" in reads(dialog)
    assert "What should it have said?" not in reads(dialog)
    await care.teams.submit_feedback(ADA, answer, "like", dialog, "just what I needed")
    [rating] = care.ratings()
    assert (rating["verdict"], rating["reason"], rating["correction"]) == (1, "just what I needed", None)


async def test_the_dialog_shows_what_was_said_before_and_an_empty_one_takes_nothing_away(care: Care, answer: Message) -> None:
    await care.teams.feedback(ADA, answer, "dislike", inputs={cards.CORRECTION: "It is the roaming"})
    again = await care.teams.open_feedback(ADA, answer, "dislike")
    assert "It is the roaming" in reads(again)
    await care.teams.submit_feedback(ADA, answer, "dislike", again, inputs={})
    assert care.ratings()[0]["correction"] == "It is the roaming"


async def test_teams_own_dialog_brings_a_comment(start: Start) -> None:
    async with start(teams_feedback="comment") as care:
        answer = await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
        outcome = await care.teams.feedback(ADA, answer, "dislike", "outdated")
        assert not outcome.failed
        assert [(each["verdict"], each["reason"]) for each in care.ratings()] == [(-1, "outdated")]


async def test_a_changed_mind_overwrites(care: Care, answer: Message) -> None:
    for reaction, kept in (("like", 1), ("dislike", -1), ("like", 1)):
        await care.teams.feedback(ADA, answer, reaction, "because")
        assert verdicts(care) == [(ADA.id, kept)]
    await care.teams.feedback(ADA, answer, "like", "another reason")
    assert [each["reason"] for each in care.ratings()] == ["another reason"]


async def test_a_comment_as_plain_words_is_read_too(care: Care, answer: Message) -> None:
    value = {"actionName": "feedback", "actionValue": {"reaction": "dislike", "feedback": "outdated, {really"}}
    told = await care.teams.invoke(ADA, "message/submitAction", value, replyToId=answer.id)
    assert told.status == 200
    assert care.ratings()[0]["reason"] == "outdated, {really"


async def test_a_thumb_that_names_no_message_is_kept_and_never_trains(start: Start) -> None:
    """As the Agents Playground sends it."""
    async with start(teams_feedback="comment") as care:
        answer = await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
        outcome = await care.teams.feedback(ADA, answer, "dislike", "outdated", playground=True)
        assert not outcome.failed
        assert unattributed(care) == [(ADA.id, -1, "outdated")]
        assert care.ratings() == []
        assert care.store.rated() == ([], [])


async def test_feedback_for_unknown_answers_is_kept_and_never_trains(care: Care, answer: Message) -> None:
    own = await care.teams.say(GRACE, "Thanks")
    await care.idle()
    told = await care.teams.invoke(
        GRACE, "message/fetchTask", {"actionName": "feedback", "actionValue": {"reaction": "like"}}, replyToId=own.id
    )
    assert told.status == 200
    assert "teaches me nothing" in json.dumps(told.response)
    value = {"actionName": "feedback", "actionValue": {"reaction": "like", "feedback": '{"feedbackText": "nice"}'}}
    assert (await care.teams.invoke(GRACE, "message/submitAction", value, replyToId="1999999999999")).status == 200
    assert unattributed(care) == [(GRACE.id, 1, None), (GRACE.id, 1, "nice")]
    assert care.ratings() == []


async def test_nobody_rates_another_persons_private_answer(care: Care, answer: Message) -> None:
    value = {"actionName": "feedback", "actionValue": {"reaction": "dislike", "feedback": '{"correction": "Never pay"}'}}
    place = answer.place
    opened = await care.teams.invoke(GRACE, "message/fetchTask", value, in_=answer.chat, place=place, replyToId=answer.id)
    assert "Only the person who asked" in json.dumps(opened.response)
    sent = await care.teams.invoke(GRACE, "message/submitAction", value, in_=answer.chat, place=place, replyToId=answer.id)
    assert sent.status == 403
    assert care.ratings() == []
    assert unattributed(care) == []


async def test_everybody_in_a_channel_votes_for_themselves(care: Care, public: Message) -> None:
    await care.teams.feedback(GRACE, public, "like", "nice")
    await care.teams.feedback(LINUS, public, "dislike", "wrong")
    assert sorted(verdicts(care), key=str) == sorted([(GRACE.id, 1), (LINUS.id, -1)], key=str)


async def test_an_old_thumb_that_comes_late_changes_nothing(care: Care, answer: Message) -> None:
    first = await care.teams.open_feedback(ADA, answer, "like")
    await care.teams.feedback(ADA, answer, "dislike", inputs={cards.CORRECTION: "It is the roaming"})
    await care.teams.redeliver(first.deliveries[0])
    [rating] = care.ratings()
    assert (rating["verdict"], rating["correction"]) == (-1, "It is the roaming")


async def test_a_vote_on_a_long_answer_counts_for_it_whichever_of_its_messages_has_the_thumbs(start: Start) -> None:
    words = [f"{number}. Restart the router and wait for two minutes, then look at the lamp.\n\n" for number in range(1, 500)]
    async with start(ScriptedEngine(lambda request: words)) as care:
        answers = await care.answers(await care.teams.say(ADA, "How?", in_=SUPPORT), 2)
        assert [each.feedback for each in answers][-1] == "custom"
        await care.teams.react(ADA, answers[0])
        await care.teams.feedback(GRACE, answers[-1], "like")
        assert sorted(verdicts(care), key=str) == sorted([(ADA.id, 1), (GRACE.id, 1)], key=str)


# What a rating is attributed to.


async def test_a_rating_is_attributed_to_the_answer_and_its_lora_and_the_night_collects_it(start: Start) -> None:
    async with start() as care:
        care.engine._loras.append("2026-11-25-ab12")
        care.service._choose = lambda *_: "2026-11-25-ab12"
        answer = await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
        await care.teams.feedback(ADA, answer, "dislike", inputs={cards.CORRECTION: "You called Norway, which is outside your contract."})
        await care.teams.invoke(
            ADA, "message/submitAction", {"actionName": "feedback", "actionValue": {"reaction": "like", "feedback": "nice"}}
        )
        [turn] = care.turns()
        assert turn["lora_id"] == "2026-11-25-ab12"
        rated, corrupt = care.store.rated()
        assert corrupt == []
        assert [(each.turn.id, each.turn.reply.lora_id) for each in rated if each.turn.reply] == [(turn["id"], "2026-11-25-ab12")]
        [candidate] = collect.accept(rated, domains.load(), frozenset(), ())[0]
        assert candidate.example.turn_ids == (turn["id"],)
        assert candidate.example.response == "You called Norway, which is outside your contract."
        assert candidate.example.raters == (f"teams:{ADA.id}",)


async def test_a_dialog_that_was_opened_for_the_old_answer_corrects_no_new_one(care: Care, answer: Message) -> None:
    asked = next(message for message in care.teams.world.messages(answer.chat) if message.text == "Why is my bill so high?")
    dialog = await care.teams.open_feedback(ADA, answer, "dislike")
    await care.teams.edit(asked, "When do you open?")
    await care.teams.until(lambda: "When do you open? Bye." in answer.text)
    await care.idle()
    sent = await care.teams.submit_feedback(ADA, answer, "dislike", dialog, inputs={cards.CORRECTION: "It is the roaming"})
    assert not sent.failed
    old, new = care.turns()
    assert new["replaces"] == old["id"]
    assert [rating for rating in care.ratings() if rating["turn_id"] == new["id"]] == []
    assert unattributed(care) == [(ADA.id, -1, "It is the roaming")]


@pytest.mark.parametrize("thumb", ["like", "dislike"])
async def test_a_thumb_at_what_is_still_being_written_counts_for_no_answer(start: Start, thumb: str) -> None:
    steps = asyncio.Semaphore(0)
    async with start(ScriptedEngine(step=steps.acquire)) as care:
        asked = await care.teams.say(ADA, "Why is my bill so high?", in_=SUPPORT)
        [begun] = await care.teams.until(lambda: care.teams.replies(asked))
        value = {"actionName": "feedback", "actionValue": {"reaction": thumb}}
        told = await care.teams.invoke(ADA, "message/fetchTask", value, begun.chat, begun.place, replyToId=begun.id)
        assert "teaches me nothing" in json.dumps(told.response)
        await care.teams.react(ADA, begun, thumb)
        for _ in range(100):
            steps.release()
        await care.idle()
        assert "so high? Bye." in begun.text
        assert care.ratings() == []
        assert len(unattributed(care)) == 1


# Reactions.


@pytest.mark.parametrize(("kinds", "verdict"), [(ALL_LIKES, 1), (ALL_DISLIKES, -1)])
async def test_a_reaction_is_a_vote_and_a_withdrawn_one_withdraws(
    care: Care, public: Message, kinds: tuple[str, ...], verdict: int
) -> None:
    for kind in kinds:
        assert (await care.teams.react(GRACE, public, kind)).status in (200, 201)
        assert verdicts(care) == [(GRACE.id, verdict)], kind
        await care.teams.unreact(GRACE, public, kind)
        assert verdicts(care) == [(GRACE.id, 0)], kind


async def test_a_reaction_that_takes_the_place_of_another_counts(care: Care, public: Message) -> None:
    await care.teams.react(GRACE, public, "like")
    activity = care.teams.event("messageReaction", GRACE, public.chat, public.place)
    both = {"reactionsRemoved": [{"type": "like"}], "reactionsAdded": [{"type": "1f44e_thumbsdown"}], "replyToId": public.id}
    await care.teams.told({**activity, **both})
    assert verdicts(care) == [(GRACE.id, -1)]


async def test_a_withdrawn_reaction_leaves_a_vote_that_it_had_not_set(care: Care, answer: Message) -> None:
    await care.teams.feedback(ADA, answer, "dislike", inputs={cards.CORRECTION: "It is the roaming"})
    await care.teams.react(ADA, answer, "no")
    await care.teams.unreact(ADA, answer, "no")
    [rating] = care.ratings()
    assert (rating["verdict"], rating["correction"]) == (-1, "It is the roaming")
    await care.teams.react(ADA, answer, "like")
    await care.teams.feedback(ADA, answer, "like")
    await care.teams.unreact(ADA, answer, "like")
    assert verdicts(care) == [(ADA.id, 1)]


async def test_other_reactions_and_other_messages_are_no_votes(care: Care, public: Message) -> None:
    for kind in ("heart", "laugh", "surprised", "sad", "angry", "2705_whiteheavycheckmark", "nothing"):
        await care.teams.react(ADA, public, kind)
    await care.teams.react(GRACE, await care.teams.say(LINUS, "Lunch?", in_=SUPPORT), "like")
    assert verdicts(care) == []


async def test_nobodys_reaction_to_a_private_answer_of_another_counts(care: Care, answer: Message) -> None:
    activity = care.teams.event("messageReaction", GRACE, answer.chat, answer.place)
    told = await care.teams.told({**activity, "reactionsAdded": [{"type": "like"}], "replyToId": answer.id})
    assert told.status in (200, 201)
    assert verdicts(care) == []


@pytest.mark.parametrize("value", FORGED)
@pytest.mark.parametrize("field", ["reactionsAdded", "reactionsRemoved", "replyToId", "type_of"])
async def test_a_reaction_with_anything_wrong_in_it_changes_nothing(care: Care, public: Message, field: str, value: object) -> None:
    activity = {
        **care.teams.event("messageReaction", GRACE, public.chat, public.place),
        "reactionsAdded": [{"type": "like"}],
        "replyToId": public.id,
    }
    if field == "type_of":
        activity["reactionsAdded"] = [{"type": value}, value]
    elif field == "reactionsAdded":
        activity["reactionsAdded"] = value
    elif field == "reactionsRemoved":
        activity |= {"reactionsRemoved": value, "reactionsAdded": []}
    else:
        activity[field] = value
    assert (await care.teams.told(activity)).status in (200, 201, 400)
    assert verdicts(care) == []


# The card.


@pytest.fixture
async def carded(start: Start) -> object:
    async with start(teams_feedback="card") as care:
        yield care


async def asked_in_card(care: Care, person: Person = ADA, **where: object) -> Message:
    """The card, which is a message below the answer."""
    return (await care.answers(await care.teams.say(person, "Why is my bill so high?", **where), 2))[1]


async def test_without_thumbs_a_card_below_the_answer_rates_it(carded: Care) -> None:
    answer = await asked_in_card(carded)
    assert answer.feedback is None
    pressed = await carded.teams.press(ADA, answer, "👍")
    assert verdicts(carded) == [(ADA.id, 1)]
    assert CONFIRMED[1] in reads(pressed)
    pressed = await carded.teams.press(ADA, answer, "👎")
    assert verdicts(carded) == [(ADA.id, -1)]
    assert CONFIRMED[-1] in reads(pressed)
    assert "You asked: Why is my bill so high?" in carded.teams.posts(answer.chat)[-2].reading


async def test_the_card_takes_a_reason_and_a_correction(carded: Care) -> None:
    answer = await asked_in_card(carded)
    pressed = await carded.teams.press(ADA, answer, cards.EXPLAIN, {cards.REASON: "outdated", cards.CORRECTION: "It is the roaming"})
    [rating] = carded.ratings()
    assert (rating["verdict"], rating["reason"], rating["correction"]) == (-1, "outdated", "It is the roaming")
    assert "Thank you" in reads(pressed)


@pytest.mark.parametrize("before", ["👍", "👎", None])
async def test_an_empty_send_on_the_card_changes_no_thumb_and_says_so(carded: Care, before: str | None) -> None:
    answer = await asked_in_card(carded)
    if before is not None:
        await carded.teams.press(ADA, answer, before)
    stands = (verdicts(carded), copy.deepcopy(answer.cards))
    for inputs in ({}, {cards.REASON: "  ", cards.CORRECTION: "\n"}):
        pressed = await carded.teams.press(ADA, answer, cards.EXPLAIN, inputs)
        assert pressed.said.startswith("Write what was wrong")
        assert (verdicts(carded), answer.cards) == stands


async def test_who_opens_the_fields_of_the_card_reads_that_they_mean_a_thumb_down(carded: Care) -> None:
    answer = await asked_in_card(carded)
    [opens] = [each for each in teams_cards.actions(answer.cards[0]) if each["type"] == "Action.ShowCard"]
    assert opens["title"] == "👎 Say what was wrong"
    assert "It counts as 👎." in json.dumps(opens["card"], ensure_ascii=False)
    assert "thumb alone" not in json.dumps(opens["card"])
    dialog = await carded.teams.open_feedback(ADA, answer, "like")
    assert "thumb alone" in reads(dialog)


async def test_a_card_replayed_by_another_person_changes_nothing(carded: Care) -> None:
    answer = await asked_in_card(carded)
    await carded.teams.press(ADA, answer, "👍")
    stands = copy.deepcopy(answer.cards)
    for in_ in (answer.chat, None, SUPPORT):
        pressed = await carded.teams.press(GRACE, answer, "👎", in_=in_ or carded.teams.personal(GRACE))
        assert pressed.status == 200
        assert not pressed.failed
        assert "Only the person who asked" in pressed.said or "can't find that answer" in pressed.said
    assert verdicts(carded) == [(ADA.id, 1)]
    assert answer.cards == stands


async def test_the_turn_of_somebody_elses_private_answer_in_ones_own_card_rates_neither(carded: Care) -> None:
    await asked_in_card(carded)
    own = await asked_in_card(carded, GRACE)
    hers, his = (turn["id"] for turn in carded.turns())
    for fields in ({"replyToId": own.id}, {}):
        action = {"type": "Action.Execute", "verb": cards.RATE, "data": {cards.TURN: hers, cards.VERDICT: -1}}
        told = await carded.teams.invoke(GRACE, "adaptiveCard/action", {"action": action}, own.chat, own.place, **fields)
        assert told.status == 200
        assert "can't find that answer" in json.dumps(told.response)
    assert hers != his
    assert verdicts(carded) == []


async def test_a_card_in_a_client_that_names_no_message_still_rates_its_answer(carded: Care) -> None:
    own = await asked_in_card(carded)
    data = {cards.TURN: carded.turns()[0]["id"], cards.VERDICT: 1}
    action = {"type": "Action.Execute", "verb": cards.RATE, "data": data}
    told = await carded.teams.invoke(ADA, "adaptiveCard/action", {"action": action}, own.chat, own.place)
    assert told.status == 200
    assert verdicts(carded) == [(ADA.id, 1)]


async def test_a_client_that_knows_no_execute_sends_a_message_and_reads_that_it_was_counted(carded: Care) -> None:
    answer = await asked_in_card(carded)
    value = {cards.VERB: cards.EXPLAIN, cards.TURN: carded.turns()[0]["id"], cards.CORRECTION: "It is the roaming"}
    activity = {**carded.teams.event("message", ADA, answer.chat), "id": carded.teams.world.new_id(), "value": value}
    told = await carded.teams.told({**activity, "replyToId": answer.id})
    assert told.status in (200, 201)
    await carded.teams.until(lambda: any("Thank you" in each.text for each in carded.teams.posts(answer.chat)))
    assert [each["correction"] for each in carded.ratings()] == ["It is the roaming"]
    assert len(carded.turns()) == 1


# Bad input.

FETCH = {"actionName": "feedback", "actionValue": {"reaction": "like"}}
SUBMIT = {"actionName": "feedback", "actionValue": {"reaction": "like", "feedback": '{"feedbackText": "nice"}'}}
PRESSED = {"action": {"type": "Action.Execute", "verb": "rate", "data": {"turn": "TURN", "verdict": 1}}}
PATHS: tuple[tuple[str, dict[str, object], tuple[str, ...]], ...] = (
    *(("message/fetchTask", FETCH, path) for path in ((), ("actionName",), ("actionValue",), ("actionValue", "reaction"))),
    *(("message/submitAction", SUBMIT, path) for path in ((), ("actionName",), ("actionValue",), ("actionValue", "reaction"))),
    *(("adaptiveCard/action", PRESSED, path) for path in ((), ("action",), ("action", "verb"), ("action", "data"))),
    *(("adaptiveCard/action", PRESSED, ("action", "data", name)) for name in ("turn", "verdict")),
)


def broken(value: dict[str, object], path: tuple[str, ...], new: object) -> object:
    """The value with something else, or nothing, at a path in it."""
    if not path:
        return new
    made = copy.deepcopy(value)
    inner: dict[str, object] = made
    for step in path[:-1]:
        inner = inner[step]  # type: ignore[assignment]
    if new is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return made


@pytest.mark.parametrize(("name", "value", "path"), PATHS)
async def test_an_invoke_with_a_field_missing_or_wrong_is_refused_and_nothing_is_lost(
    care: Care, answer: Message, name: str, value: dict[str, object], path: tuple[str, ...]
) -> None:
    await care.teams.feedback(ADA, answer, "dislike", inputs={cards.CORRECTION: "It is the roaming"})
    before = care.ratings()
    for new in FORGED:
        told = await care.teams.invoke(ADA, name, broken(value, path, new), replyToId=answer.id)
        assert told.status is not None
        assert told.status < 500
        refused = (
            told.status == 400 or "can't find that answer" in json.dumps(told.response) or "don't know that" in json.dumps(told.response)
        )
        assert refused, (new, told.status, told.response)
    assert care.ratings() == before


@pytest.mark.parametrize("field", ["from_", "conversation", "replyToId", "recipient", "timestamp", "localTimestamp", "id", "channelData"])
async def test_an_invoke_whose_envelope_is_broken_never_breaks_care(care: Care, answer: Message, field: str) -> None:
    for new in FORGED:
        activity = care.teams.event("invoke", ADA, answer.chat, answer.place)
        activity |= {"name": "message/submitAction", "value": SUBMIT, "replyToId": answer.id, field.rstrip("_"): new}
        told = await care.teams.told(activity)
        assert told.status is not None
        assert told.status < 500, (new, told.response)
    assert all(verdict == (ADA.id, 1) for verdict in verdicts(care))


async def test_words_that_are_too_long_are_refused_and_the_thumb_stays(care: Care, answer: Message) -> None:
    await care.teams.open_feedback(ADA, answer, "dislike")
    for name in (cards.REASON, cards.CORRECTION):
        value = {"actionName": "feedback", "actionValue": {"reaction": "dislike", "feedback": json.dumps({name: "x" * 40_000})}}
        sent = await care.teams.invoke(ADA, "message/submitAction", value, replyToId=answer.id)
        assert sent.status == 400
        assert "at most" in json.dumps(sent.response)
    [rating] = care.ratings()
    assert (rating["verdict"], rating["correction"], rating["reason"]) == (-1, None, None)


async def test_a_long_comment_in_teams_own_dialog_is_cut_and_not_lost(start: Start) -> None:
    async with start(teams_feedback="comment") as care:
        answer = await care.answer(await care.teams.say(ADA, "Why is my bill so high?"))
        outcome = await care.teams.feedback(ADA, answer, "dislike", "outdated, " * 1000)
        assert not outcome.failed
        [rating] = care.ratings()
        kept = str(rating["reason"])
        assert kept.startswith("outdated, outdated, ")
        assert kept.endswith("…")
        assert len(kept) == cards.INPUT_CHARS


@pytest.mark.parametrize(
    "found", ['{"feedbackText": 3}', "[1, 2]", '"a"', "{", "null", "3", '{"feedbackText": "' + "a" * 10 + '"', "[" * 100_000]
)
async def test_whatever_stands_in_feedback_the_thumb_is_kept_or_refused(care: Care, answer: Message, found: str) -> None:
    value = {"actionName": "feedback", "actionValue": {"reaction": "like", "feedback": found}}
    told = await care.teams.invoke(ADA, "message/submitAction", value, replyToId=answer.id)
    assert told.status in (200, 400)
    assert verdicts(care) == ([(ADA.id, 1)] if told.status == 200 else [])


async def test_an_invoke_that_nobody_knows_is_refused(care: Care, answer: Message) -> None:
    assert (await care.teams.invoke(ADA, "task/fetch", {"a": 1}, replyToId=answer.id)).status == 501
    action = {"action": {"type": "Action.Execute", "verb": "dance", "data": {}}}
    told = await care.teams.invoke(ADA, "adaptiveCard/action", action, replyToId=answer.id)
    assert told.status == 200
    assert "don't know that button" in json.dumps(told.response)


async def test_a_vote_while_the_disk_is_full_is_not_acknowledged(care: Care, answer: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    care.teams.outbox.resend = False

    def full(*_: object) -> None:
        raise StorageFull("no space")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "rate", full)
        reacted = await care.teams.react(ADA, answer, "like")
        value = {"actionName": "feedback", "actionValue": {"reaction": "like", "feedback": "nice"}}
        told = await care.teams.invoke(ADA, "message/submitAction", value, replyToId=answer.id)
        assert (reacted.status, told.status) == (503, 503)
    await care.teams.redeliver(told)
    await care.teams.redeliver(reacted)
    assert [(each["verdict"], each["reason"]) for each in care.ratings()] == [(1, "nice")]
