import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.connectors.web.markdown import Markdown

MARKDOWN = Markdown()


def test_common_markup_is_shown() -> None:
    html = MARKDOWN.html("# Title\n\n**bold** `code`\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    for tag in ("<h1>", "<strong>", "<code>", "<ol>", "<table>"):
        assert tag in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/pixel.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<a href='javascript:alert(1)'>x</a>",
        "<iframe src=//evil.example></iframe>",
        "<style>body{display:none}</style>",
        "`<script>`",
        "[x](vbscript:msgbox)",
        "<svg/onload=alert(1)>",
        '<p style="position:fixed">x</p>',
    ],
)
def test_nothing_that_can_act_gets_through(text: str) -> None:
    html = MARKDOWN.html(text).lower()
    for dangerous in ("<script", "<img", "<iframe", "<style", "<svg", 'href="javascript', 'href="data', 'href="vbscript', "<p style"):
        assert dangerous not in html


def test_a_link_tells_the_other_site_nothing() -> None:
    html = MARKDOWN.html("[bank](https://bank.example/a)")
    assert 'href="https://bank.example/a"' in html
    assert "noopener" in html
    assert "noreferrer" in html


@given(st.text())
def test_any_text_renders(text: str) -> None:
    assert "<script" not in MARKDOWN.html(text)
