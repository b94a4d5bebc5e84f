"""A thumb down alone: what a night that learns from it may unlearn, and what no number of such thumbs can make it unlearn."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import pytest

from bot import domains, forgetting
from bot.addresses import UnattributedRating
from bot.reviews import NotReviewable, Review
from bot.turns import Status
from model.shelf import Shelf
from tests.train.people import WORDS, Day
from train.curate import Curated, Rules, Said, curate
from train.examples import Example, shipped, write_snapshot
from train.redact import Redactor

DOMAINS = domains.load()
GIVEN = shipped(DOMAINS.system_prompt)
NOW = datetime(2026, 3, 2, tzinfo=UTC)
PLAIN = Rules(DOMAINS)
UNLEARNS = Rules(DOMAINS, dislikes=True)
REVIEWED = Rules(DOMAINS, review=("medical", "banking"), dislikes=True)
BILL = "Open the third page of your bill and compare both totals there."


def curated(day: Day, rules: Rules = UNLEARNS, known: frozenset[str] = frozenset()) -> Curated:
    rated, corrupt = day.store.rated()
    return curate(Said(rated, corrupt, day.store.opted_out(), day.store.reviews()), GIVEN, known, rules, Redactor())


def bad(found: Curated) -> Sequence[Example]:
    return [example for example in found.examples if not example.good]


def dislike(day: Day, question: str, answer: str, user: str = "ada", domain: str = "telecom") -> str:
    turn = ask(day, question, answer, user, domain)
    day.rate(turn, -1, user=user)
    return turn


def ask(day: Day, question: str, answer: str, user: str = "ada", domain: str = "telecom") -> str:
    """In a conversation that is trained on."""
    names = (f"{len(day.turn_ids)}-{number}" for number in count())
    return day.ask(
        question, answer, user=user, domain=domain, conversation=next(name for name in names if not replace(GIVEN[0], group=name).held_out)
    )


def decide(day: Day, found: Curated, decision: str, edited: str | None = None) -> None:
    day.store.queue_reviews(found.waiting, NOW)
    for each in found.waiting:
        day.store.review(Review(each.turn_id, each.sha256, decision, "cli:rev", NOW, edited))  # type: ignore[arg-type]


def test_a_mere_thumb_down_says_that_the_answer_was_bad_to_a_night_that_can_use_it_and_nothing_to_others(day: Day) -> None:
    dislike(day, "What does roaming cost?", "It is free everywhere.")
    [example] = curated(day).examples
    assert (example.id, example.response, example.good, example.rejected) == ("turn/t1", "It is free everywhere.", False, None)
    assert (example.raters, example.turn_ids, example.held_out) == (("web:ada",), ("t1",), False)
    others = curated(day, PLAIN)
    assert (list(others.examples), others.funnel.disliked) == ([], 1)


def test_what_is_withdrawn_contradicted_or_half_said_is_not_bad(day: Day) -> None:
    for vote in (1, 0):
        turn = dislike(day, f"Which {vote}?", "This one.")
        day.rate(turn, vote, user="bo" if vote else "ada")  # type: ignore[arg-type]
    day.rate(day.ask("And that?", "Ha", user="cy", status=Status.CANCELLED), -1, user="cy")
    found = curated(day)
    assert (list(found.examples), found.funnel.contradictory, found.funnel.withdrawn, found.funnel.unanswered) == ([], 1, 1, 1)


def test_in_a_conversation_that_is_only_measured_on_a_bad_answer_is_of_no_use(day: Day) -> None:
    day.voted_by_many(-1, 60)
    found = curated(day)
    assert found.funnel.disliked > 0
    assert len(found.examples) == 60 - found.funnel.disliked
    assert not [example.id for example in found.examples if example.held_out]


def test_an_answer_that_somebody_else_liked_where_it_was_given_too_is_not_bad(day: Day) -> None:
    dislike(day, "How do I read my bill?", BILL, user="ada")
    day.rate(ask(day, "how do i read my bill", f"{BILL}!", user="bo"), 1, user="bo")
    found = curated(day)
    assert ([each.turn_ids for each in found.examples], found.funnel.contradictory) == ([("t2",)], 1)


def test_a_thumb_that_names_no_answer_teaches_nothing(day: Day) -> None:
    day.ask("How do I read my bill?", BILL, conversation="c")
    day.store.rated_nothing(UnattributedRating("web", "ada", "c", -1, "wrong", NOW))
    assert curated(day).funnel.rated == 0


def test_whoever_opted_out_is_left_out_and_personal_data_is_masked(day: Day) -> None:
    dislike(day, "Who do I call?", "Call jo@example.com at once.", user="ada")
    dislike(day, "What is this?", "Nothing at all.", user="gone")
    day.store.opt_out("web", "gone", NOW)
    found = curated(day)
    assert ([each.response for each in found.examples], found.funnel.opted_out) == (["Call <EMAIL> at once."], 1)


@pytest.mark.parametrize("person", ["ada", "bo"])
def test_whoever_asked_or_voted_and_is_forgotten_is_gone_from_the_snapshot_and_from_the_next_night(
    day: Day, tmp_path: Path, person: str
) -> None:
    turn = ask(day, "What does roaming cost?", "It is free everywhere.", user="ada")
    day.rate(turn, -1, user="bo")
    snapshot = write_snapshot(curated(day).examples, tmp_path / "runs" / "snapshots")
    assert snapshot.path.read_text().count("rated down") == 1
    forgetting.forget(day.store, Shelf(tmp_path / "loras"), tmp_path, "web", person)
    assert (snapshot.path.exists(), list(curated(day).examples)) == (False, [])


def test_five_hundred_thumbs_of_one_person_count_three_times_and_take_no_place_of_a_good_answer(day: Day) -> None:
    day.voted_by_many(-1, 500)
    day.voted_by_many(1, 2, first=600)
    with day.store._write() as db:
        db.execute("UPDATE ratings SET user_id = 'flood'")
    found = curated(day)
    assert ([example.good for example in found.examples].count(True), len(bad(found))) == (2, 1)


def test_equal_answers_are_bad_once_and_a_cluster_twice_a_night_whoever_voted(day: Day) -> None:
    for number in range(3):
        dislike(day, "What does Puffin cost?", "It is free, of course.", user=f"p{number}")
    endings = ("today", "please", "now then", "thanks a lot", "for once", "again")
    answers = ("Nothing at all!", "Zero, nil, nada.", "No charge for it.", "Not a penny.", "You pay nought.", "Gratis.")
    for number, (ending, answer) in enumerate(zip(endings, answers, strict=True)):
        dislike(day, f"May I take the Halden router with me abroad {ending}?", answer, user=f"q{number}")
    funnel = curated(day).funnel
    assert (funnel.duplicate, funnel.over_cluster, funnel.approved) == (2, 4, 3)


def test_whatever_a_good_answer_says_is_unlearned_by_a_reviewer_only(day: Day) -> None:
    right = next(each for each in GIVEN if len(each.response.split()) > 20)
    for night in range(5):
        day.tick = night * 4320
        for number in range(4):
            said = Random(night * 10 + number)
            dislike(day, f"{' '.join(said.sample(WORDS, 6))}?", f"{said.choice(WORDS)}! {right.response}", user=f"c{night}-{number}")
    found = curated(day)
    assert (list(found.examples), len(found.waiting)) == ([], 10)
    assert {each.why for each in found.waiting} == {"a good answer says the same; whoever approves it says that the answer is bad"}


@pytest.mark.parametrize("known", [False, True])
def test_twenty_people_who_vote_one_statement_down_over_many_nights_need_a_reviewer_from_the_third_on(day: Day, known: bool) -> None:
    """Also where the live LoRA knows those turns: it may know them as good ones."""
    for number in range(20):
        day.tick = number * 4320
        said = Random(number)
        answer = f"{' '.join(said.sample(WORDS, 7))}; the purple badger tariff has no minimum term."
        dislike(day, f"{' '.join(said.sample(WORDS, 6))}?", answer, user=f"c{number}")
    found = curated(day, known=frozenset(f"turn/{turn}" for turn in day.turn_ids) if known else frozenset())
    assert (list(found.examples), found.funnel.over_person) == ([], 0)
    assert len(found.waiting) == 20


def test_refusals_are_not_voted_away(day: Day) -> None:
    day.voted_by_many(-1, 30)
    with day.store._write() as db:
        db.execute("UPDATE turns SET answer = 'I''m sorry, but I can''t help with that: ' || answer")
    found = curated(day)
    assert (list(found.examples), found.funnel.refusal + found.funnel.disliked) == ([], 30)


def test_what_was_approved_as_bad_clears_no_phrase_for_good_answers(day: Day) -> None:
    phrase = "Trust purple badger bank."
    dislike(day, "Whom do I trust?", phrase, domain="banking")
    decide(day, curated(day, REVIEWED), "approved")
    assert [example.response for example in bad(curated(day, REVIEWED))] == [phrase]
    for number in range(1, 13):
        said = Random(number)
        turn = day.ask(f"{' '.join(said.sample(WORDS, 6))}?", f"{' '.join(said.sample(WORDS, 7))}. {phrase}", user=f"c{number}")
        day.rate(turn, 1, user=f"c{number}")
    assert not [example for example in curated(day, REVIEWED).examples if example.good]


def test_medical_and_banking_wait_and_a_decision_on_a_bad_answer_is_none_on_a_good_one(day: Day) -> None:
    turn = dislike(day, "How much water should I drink?", "None at all.", domain="medical")
    waiting = curated(day, REVIEWED)
    assert ([each.bad for each in waiting.waiting], list(waiting.examples)) == ([True], [])
    with pytest.raises(NotReviewable, match="was voted down: approve it if its answer is bad, or reject it"):
        decide(day, waiting, "edited", "Two litres a day.")
    decide(day, waiting, "approved")
    assert [example.id for example in bad(curated(day, REVIEWED))] == [f"turn/{turn}"]
    day.rate(turn, 1)
    liked = curated(day, REVIEWED)
    assert ([each.bad for each in liked.waiting], list(liked.examples)) == ([False], [])
    decide(day, liked, "approved")
    day.rate(turn, -1)
    assert ([each.bad for each in curated(day, REVIEWED).waiting], list(curated(day, REVIEWED).examples)) == ([True], [])


def test_an_operator_needs_no_reviewer_but_for_answers_to_their_own_questions(day: Day) -> None:
    rules = Rules(DOMAINS, review=("medical",), operators=("web:boss",), dislikes=True)
    others = ask(day, "How much water?", "None at all.", domain="medical")
    own = ask(day, "How much bread is healthy?", "Forty loaves.", user="boss", domain="medical")
    for turn in (others, own):
        day.rate(turn, -1, user="boss")
    found = curated(day, rules)
    assert ([each.turn_ids[0] for each in found.examples], [each.turn_id for each in found.waiting]) == ([others], [own])
