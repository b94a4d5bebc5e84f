"""What a model gets to read of a chat."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.chat import Message, Role, defuse, trim
from model.errors import ContextLengthExceeded

CHATML = ("<|im_start|>", "<|im_end|>")


def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


def said(role: Role, content: str = "one two three") -> Message:
    return Message(role, content)


def spoken(*roles: Role) -> st.SearchStrategy[Message]:
    return st.builds(Message, st.sampled_from(roles), st.integers(0, 5).map("word ".__mul__))


CHAT = [said("system"), said("user"), said("assistant"), said("user", "a b"), said("assistant", "c d"), said("user", "why ?")]


def test_a_chat_that_fits_stays_whole() -> None:
    assert trim(CHAT, words, words(CHAT)) == tuple(CHAT)


def test_the_oldest_turn_goes_first_and_goes_whole() -> None:
    assert trim(CHAT, words, words(CHAT) - 1) == (CHAT[0], *CHAT[3:])


def test_system_prompt_and_question_stay_when_nothing_else_fits() -> None:
    assert trim(CHAT, words, 5) == (CHAT[0], CHAT[-1])


def test_a_question_that_is_too_long_is_refused_with_its_size() -> None:
    with pytest.raises(ContextLengthExceeded, match="needs 5 tokens") as refused:
        trim(CHAT, words, 4)
    assert (refused.value.tokens, refused.value.limit) == (5, 4)


@given(
    head=st.lists(spoken("system"), max_size=2),
    history=st.lists(spoken("user", "assistant")),
    question=spoken("user"),
    after=st.lists(spoken("assistant"), max_size=1),
    limit=st.integers(0, 40),
)
def test_as_many_of_the_latest_turns_stay_as_fit(
    head: list[Message], history: list[Message], question: Message, after: list[Message], limit: int
) -> None:
    tail = [question, *after]
    if words(head + tail) > limit:
        with pytest.raises(ContextLengthExceeded) as refused:
            trim(head + history + tail, words, limit)
        assert (refused.value.tokens, refused.value.limit) == (words(head + tail), limit)
        return
    turns = [at for at, message in enumerate(history) if at == 0 or message.role == "user"] + [len(history)]
    wanted = next(history[start:] for start in turns if words(head + history[start:] + tail) <= limit)
    assert trim(head + history + tail, words, limit) == (*head, *wanted, *tail)


@given(st.lists(st.sampled_from([*CHATML, "<", "|", "im_end", "|>", "!", "\n"])).map("".join))
def test_no_control_token_survives_and_the_text_reads_the_same(text: str) -> None:
    harmless = defuse(text, CHATML)
    assert not any(token in harmless for token in CHATML)
    assert harmless.replace(" ", "") == text


def test_text_without_control_tokens_is_left_alone() -> None:
    assert defuse("a < b |> c <im_end>", CHATML) == "a < b |> c <im_end>"


def test_a_control_token_that_overlaps_itself_does_not_survive() -> None:
    assert "__eou__" not in defuse("__eou__eou__", ["__eou__"])
