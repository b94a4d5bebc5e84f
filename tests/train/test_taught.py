"""Who is told that they taught something: once a person and question, and only what the new LoRA really has right."""

from bot import domains
from bot.turns import now
from tests.train.people import Day
from train.collect import accept
from train.gates import Margin
from train.taught import Taught, learned, notices, probes, without_probes

RULES = domains.load()


def test_corrected_questions_are_probed_with_the_answer_that_was_voted_down(day: Day) -> None:
    corrected, liked = day.ask("What is Puffin?", "A bird.", conversation="puffin"), day.ask("Why?")
    day.rate(corrected, -1, correction="A roaming pack.")
    day.rate(liked, 1)
    rated, _ = day.store.rated()
    found = probes(rated, [each.example for each in accept(rated, RULES)[0]])
    assert [(each.id, each.response) for each in found] == [("taught/t1/good", "A roaming pack."), ("taught/t1/bad", "A bird.")]


def test_taught_is_what_failed_before_and_passes_now(day: Day) -> None:
    for number in range(3):
        day.rate(day.ask(f"question {number}", user=f"u{number}"), -1, user=f"u{number}", correction="right")
    rated, _ = day.store.rated()
    accepted = [each.example for each in accept(rated, domains.load())[0]]
    before = [Margin("taught/t1", "taught", -0.4), Margin("taught/t2", "taught", 0.3), Margin("taught/t3", "taught", -0.1)]
    after = [Margin("taught/t1", "taught", 0.6), Margin("taught/t2", "taught", 0.9), Margin("taught/t3", "taught", -0.05)]
    assert learned(rated, accepted, after, before) == [Taught("t1", "question 0", "question 0", (("web", "u0"),))]
    assert without_probes([*after, Margin("scope-1", "scope", 0.1)]) == [Margin("scope-1", "scope", 0.1)]


def test_a_person_is_told_of_a_question_once_however_often_it_was_asked_and_learned(day: Day) -> None:
    turns = [day.ask("What is Puffin?", user="ada"), day.ask("what is puffin", user="ada")]
    taught = [Taught(turn, text, text, (("web", "ada"),)) for turn, text in zip(turns, ("What is Puffin?", "what is puffin"), strict=True)]
    for _ in range(2):
        day.store.notify(notices(taught, "n1", now()))
    [told] = day.store.unsent_notices("web", "ada")
    assert "What is Puffin?" in told.text
    day.store.notices_sent([told.id], now())
    day.store.notify(notices(taught, "n2", now()))
    assert day.store.unsent_notices("web", "ada") == []


def test_with_the_turn_goes_the_notice(day: Day) -> None:
    turn = day.ask("What is Puffin?", conversation="c")
    day.store.notify(notices([Taught(turn, "What is Puffin?", "What is Puffin?", (("web", "ada"),))], "n1", now()))
    day.store.delete_conversation("web", "c", "ada", now())
    assert day.store.unsent_notices("web", "ada") == []
    day.store.notify(notices([Taught(turn, "What is Puffin?", "What is Puffin?", (("web", "ada"),))], "n1", now()))
    assert day.store.unsent_notices("web", "ada") == []


def test_nobody_is_told_that_they_taught_a_lora_that_was_taken_back(day: Day) -> None:
    turn = day.ask("What is Puffin?")
    day.store.notify(notices([Taught(turn, "What is Puffin?", "What is Puffin?", (("web", "ada"),))], "n1", now()))
    day.store.withdraw_notices("n2")
    assert len(day.store.unsent_notices("web", "ada")) == 1
    day.store.withdraw_notices("n1")
    assert day.store.unsent_notices("web", "ada") == []
