"""What one person wrote to another, as messages."""

import pytest

from bot.connectors.teams import cards
from bot.connectors.teams.wording import worded


@pytest.mark.parametrize("head", ["A" * 50_000, "&" * 50_000, "\U0001f44d" * 50_000])
def test_whoever_has_an_endless_name_is_heard_all_the_same(head: str) -> None:
    shapes = worded(head, "My bill is wrong.")
    assert ["My bill is wrong." in shape["text"] for shape in shapes] == [True]
    assert cards.size(shapes[0]) <= cards.CARD_BYTES


@pytest.mark.parametrize("text", ["&" * 9000, "```" + "x" * 20_000, "```" + "& " * 10_000, "a\n" * 9000, "\U0001f44d" * 9000])
def test_all_that_was_written_comes_in_few_messages(text: str) -> None:
    shapes = worded("Ada wrote:", text)
    assert len(shapes) < 20
    assert all(cards.size(shape) <= cards.CARD_BYTES for shape in shapes)
    for char in sorted(set(text) - set("` \n")):
        shown = "&amp;" if char == "&" else char
        assert sum(shape["text"].partition("</b>")[2].replace("<br>", "").count(shown) for shape in shapes) == text.count(char)
