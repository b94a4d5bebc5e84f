"""Who is like whom, at any size."""

import time
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.people import WORDS
from train import near

RULES = (near.Shared(words=4, rows=3),)


def groups(texts: list[str], threshold: float) -> list[int]:
    return near.groups(texts, [near.signature(text) for text in texts], threshold)


def test_another_wording_is_alike_and_another_matter_is_not() -> None:
    texts = ["How do I block my SIM card?", "how do i block my sim card", "How do I pay my bill?", "How do I block my SIM card today?"]
    first, second, third, fourth = groups(texts, 0.6)
    assert first == second == fourth != third


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_nobody_is_in_a_group_by_chance_and_hardly_anybody_is_missed(seed: int) -> None:
    draw = Random(seed)
    bases = [" ".join(draw.sample(WORDS, 12)) for _ in range(6)]
    texts = [f"{base} {draw.choice(WORDS)}" for base in bases for _ in range(5)]
    draw.shuffle(texts)
    found = groups(texts, 0.6)
    wanted = [bases.index(next(base for base in bases if text.startswith(base))) for text in texts]
    assert all(len({wanted[at] for at in range(30) if found[at] == group}) == 1 for group in set(found))
    assert len(set(found)) <= 7


def test_letters_that_only_look_different_change_nothing() -> None:
    assert near.words("Ｐｕｒple\u200b bad\u00adger") == near.words("purple BADGER!")


def test_five_thousand_rows_of_one_template_take_seconds() -> None:
    texts = [f"Please restart router number {n} and wait {n % 60} minutes before you try again." for n in range(5_000)]
    began = time.process_time()
    assert len(set(groups(texts, 0.6))) == 1
    assert time.process_time() - began < 20


def test_a_phrase_of_fewer_words_than_counted_is_the_whole_text() -> None:
    rows = {str(number): "Banana forever!" for number in range(3)}
    assert near.shared_phrases(rows, [], RULES) == dict.fromkeys(rows, "banana forever")
    assert near.shared_phrases(rows, ["It is banana forever"], RULES) == dict.fromkeys(rows, "banana forever")


def test_a_known_phrase_is_nobodys_campaign() -> None:
    rows = {str(number): f"open the blue door {number}" for number in range(3)}
    assert near.shared_phrases(rows, [], RULES) == dict.fromkeys(rows, "open the blue door")
    assert near.shared_phrases(rows, ["Then open the blue door."], RULES) == {}


def test_a_shorter_phrase_counts_where_one_of_its_words_is_new() -> None:
    rules = (*RULES, near.Shared(words=3, rows=5, new=True))
    rows = {str(number): f"{word} choose halden trust {word}" for number, word in enumerate(WORDS[:5])}
    assert near.shared_phrases(rows, ["We choose what we trust."], rules) == dict.fromkeys(rows, "choose halden trust")
    assert near.shared_phrases(rows, ["We choose what we trust.", "Halden is a town."], rules) == {}
