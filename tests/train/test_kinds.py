"""What a method has to learn from is counted, and what it has nothing of is said, before a model is loaded."""

import pytest

from bot.reviews import DOWN
from model.chat import Message
from train.collect import CORRECTION, UP
from train.examples import Example
from train.kinds import Kinds, count


def example(source: str, response: str = "Yes.", rejected: str | None = None) -> Example:
    return Example("turn/t", "g", (Message("user", "So?"),), response, "other", source, "internal", ("t",), rejected=rejected)


def test_a_correction_is_a_good_answer_beside_a_bad_one_unless_it_says_the_same() -> None:
    found = count(
        [
            example(UP),
            example(DOWN),
            example(CORRECTION, rejected="No."),
            example(CORRECTION),
            example(CORRECTION, "Yes, on  Monday.", "yes, on monday.\n"),
            example(CORRECTION, "1.000", "1000"),
        ]
    )
    assert found == Kinds(good=5, bad=3, pairs=2, repeated=1)


@pytest.mark.parametrize(
    ("method", "kinds", "said"),
    [
        ("kto", Kinds(good=12), "there are 12 good and 0 bad; wait for thumbs down or corrections, or use sft"),
        ("kto", Kinds(bad=9), "there are 0 good and 9 bad; wait for thumbs up or corrections"),
        ("dpo", Kinds(good=3), "there is none; use sft or kto"),
        ("orpo", Kinds(good=3, repeated=3), "there is none (3 only repeat it, but for spaces and capitals); use sft or kto"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(method: str, kinds: Kinds, said: str) -> None:
    assert said in str(kinds.missing(method))


@pytest.mark.parametrize(("method", "kinds"), [("kto", Kinds(1, 1)), ("dpo", Kinds(1, 1, 1)), ("sft", Kinds())])
def test_nothing_is_missing_where_there_is_some_of_each_kind(method: str, kinds: Kinds) -> None:
    assert kinds.missing(method) is None


def test_the_terminal_says_what_a_method_learns_from() -> None:
    kinds = Kinds(good=5, bad=3, pairs=2, repeated=1)
    assert kinds.for_method("kto") == "5 good and 3 bad answers"
    assert kinds.for_method("dpo") == "2 corrections that differ from the answer, 1 more only repeat the answer"
    assert kinds.for_method("sft") == ""
