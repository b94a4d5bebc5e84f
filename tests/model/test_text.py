"""Text that is safe to show, from tokens that end anywhere."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from model.text import TextStream

EXOTIC = ["👩‍👩‍👧‍👦", "🇩🇪", "e\u0301", "漢字", "שלום", "مرحبا", "ก็"]
UNICODE = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd")) | st.sampled_from(EXOTIC)).map("".join)
# Few different characters: stop strings, and beginnings of them, are everywhere.
DENSE = st.text("abé漢")
STOP = st.text("abé漢", min_size=1, max_size=4)


@st.composite
def tokenized(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[bytes]:
    """A text in byte-level tokens: its UTF-8, cut anywhere."""
    raw = draw(texts).encode()
    cuts = draw(st.sets(st.integers(0, len(raw))))
    return [raw[start:stop] for start, stop in pairwise(sorted({0, len(raw)} | cuts))]


def shown(tokens: Sequence[bytes], *stops: str) -> Iterator[str]:
    """What a reader has seen after each token, and at last after the end."""
    stream = TextStream(lambda ids: b"".join(tokens[id_] for id_ in ids).decode("utf-8", "replace"), stops)
    seen = ""
    for token in range(len(tokens)):
        seen += stream.push(token)
        yield seen
        if stream.stopped:
            break
    yield seen + stream.flush()


@given(tokenized(UNICODE))
def test_the_pieces_are_the_text_and_never_a_broken_character(tokens: list[bytes]) -> None:
    *steps, whole = shown(tokens)
    assert whole == b"".join(tokens).decode()
    assert not any("\ufffd" in step for step in steps)


@given(tokenized(DENSE), STOP)
def test_a_stop_string_never_leaks_and_the_text_before_it_is_complete(tokens: list[bytes], stop: str) -> None:
    before, _, _ = b"".join(tokens).decode().partition(stop)
    *steps, whole = shown(tokens, stop)
    assert whole == before
    assert all(before.startswith(step) for step in steps)


@given(tokenized(DENSE), st.lists(STOP, min_size=2, max_size=4))
def test_of_several_stop_strings_none_is_shown(tokens: list[bytes], stops: list[str]) -> None:
    text = b"".join(tokens).decode()
    *_, whole = shown(tokens, *stops)
    rest = text.removeprefix(whole)
    assert not any(stop in whole for stop in stops)
    assert text == whole + rest
    assert rest.startswith(tuple(stops)) if rest else not any(stop in text for stop in stops)


@given(tokenized(DENSE), STOP, st.integers(0, 20))
@example([b"yes STOP\xf0\x9f"], "STOP", 1)
def test_an_answer_cut_inside_a_character_is_complete_up_to_its_stop_string(tokens: list[bytes], stop: str, length: int) -> None:
    *_, whole = shown(tokens[:length], stop)
    assert whole == b"".join(tokens[:length]).decode("utf-8", "ignore").partition(stop)[0]


def test_text_that_may_become_a_stop_string_waits_for_the_next_token() -> None:
    assert list(shown([b"Well", b", ST", b"ONE"], "STOP")) == ["Well", "Well, ", "Well, STONE", "Well, STONE"]


def test_held_text_comes_out_at_the_end() -> None:
    assert list(shown([b"Well, STO"], "STOP")) == ["Well, ", "Well, STO"]


def test_bytes_that_never_become_a_character_are_dropped() -> None:
    assert list(shown([b"ok", "🙂".encode()[:3]])) == ["ok", "ok", "ok"]


def test_an_empty_stop_string_stops_nothing() -> None:
    assert list(shown([b"ok"], "")) == ["ok", "ok"]
