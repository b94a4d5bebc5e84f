import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.text import BadText, clean, clean_question


@given(st.text())
def test_whatever_people_send_is_kept_without_control_characters_or_refused(text: str) -> None:
    try:
        cleaned = clean(text)
    except BadText:
        return
    cleaned.encode()
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in cleaned)


@pytest.mark.parametrize("text", ["مرحبا كيف أعيد ضبط جهاز التوجيه؟", "שלום", "🙂👍🏽", "naïve café", "a\tb\nc"])
def test_every_script_is_kept_as_it_is(text: str) -> None:
    assert clean_question(text) == text


def test_line_ends_become_plain() -> None:
    assert clean("a\r\nb\rc") == "a\nb\nc"


@pytest.mark.parametrize("text", ["", "  \n\t ", "\x00\x01\x1b", "\u0085"])
def test_text_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadText, match="empty"):
        clean_question(text)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(BadText, match="surrogate"):
        clean("\ud83d")
