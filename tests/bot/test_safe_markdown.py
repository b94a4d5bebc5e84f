import time

import pytest

from bot.connectors.cutting import split
from bot.connectors.markdown import SafeStream, safe
from bot.connectors.slack.mrkdwn import mrkdwn_escape

HOSTS = frozenset({"bank.example.com", "help.org"})


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Hi <!here>, <!channel> <!everyone>", "Hi &lt; !here>, &lt; !channel> &lt; !everyone>"),
        ("<@U012AB3CD> <#C012AB3CD|general> <!subteam^S01|@team>", "&lt; @U012AB3CD> &lt; #C012AB3CD|general> &lt; !subteam^S01|@team>"),
        ("@here @channel, @Everyone!", "@ here @ channel, @ Everyone!"),
        ("&lt;!here&gt; &#60;!here&#x3e;", "&lt; !here> &lt; !here>"),
        ("<!he\u200bre> @he\u00adre \u202e@here", "&lt; !here> @ here @ here"),
    ],
)
def test_mentions_are_shown_but_ping_nobody(written: str, shown: str) -> None:
    assert safe(written, HOSTS) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[your bank](http://evil.com/login)", "your bank (evil[.]com)"),
        ("[bank.example.com](https://evil.com)", "bank.example.com (evil[.]com)"),
        ("![logo](https://evil.com/pixel.png)", "logo (evil[.]com)"),
        ("see https://evil.com/a?b=c.", "see evil[.]com/a?b=c."),
        ("<https://evil.com|bank.example.com>", "bank.example.com (evil[.]com)"),
        ("go to example.com or www.anything", "go to example[.]com or www[.]anything"),
        ("write to help@evil.com", "write to help@evil[.]com"),
        ("mailto:x@evil.com tel:112 slack://open javascript:alert", "mailto: x@evil[.]com tel: 112 slack[:]//open javascript: alert"),
        ("https://help.org@evil.com https://help.org.evil.com", "help.org@evil[.]com help[.]org[.]evil[.]com"),
        ("https://evil.com\\@help.org", "evil[.]com@help.org"),
        ("evil\\.com evil&#46;com ev\u200bil.com evil&period;com", "evil[.]com evil[.]com evil[.]com evil[.]com"),
        ("[evil](http://evil).com", "evil[.]com"),
        ("https:http:////evil.com", "https:http[:]////evil[.]com"),
        ("[x][1]\n\n[1]: http://evil.com", "[x] [1]\n\n[1] : evil[.]com"),
    ],
)
def test_a_link_to_an_unlisted_host_becomes_text_that_shows_where_it_led(written: str, shown: str) -> None:
    assert safe(written, HOSTS) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[Help](https://help.org/a_b?c=1&d=2)", "[Help (help.org)](https://help.org/a_b?c=1&d=2)"),
        ("[help.org](https://help.org)", "[help.org](https://help.org)"),
        ("[help.org](https://bank.example.com/)", "[help.org (bank.example.com)](https://bank.example.com/)"),
        ("[evil.com](https://help.org)", "[evil(.)com (help.org)](https://help.org)"),
        ("Look: https://www.help.org/faq.", "Look: [www.help.org/faq](https://www.help.org/faq)."),
        ("<https://help.org>", "[help.org](https://help.org)"),
        ("<https://help.org|Help>", "[Help (help.org)](https://help.org)"),
        ("Wow!<https://help.org>", "Wow! [help.org](https://help.org)"),
        ("![map](https://help.org/map.png)", "[map (help.org)](https://help.org/map.png)"),
        ("help.org and me@help.org", "help.org and me@help.org"),
        ("https://help.org/?to=https://evil.com", "[help.org/…](https://help.org/?to=https%3A//evil.com)"),
    ],
)
def test_a_link_to_a_listed_host_works_and_shows_its_host(written: str, shown: str) -> None:
    assert safe(written, HOSTS) == shown


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n\n> quoted\n\n1. **bold** and _italic_\n2. ~~gone~~\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "Take 2.5mg at 10.30am, e.g. with water (Node.js, 192.168.1.1, AT&T, R&D; 5 > 3).",
        "Run `pip install x` or `smtp.example.com`:\n\n```python\nif a < b: print('&')\n```\nDone.",
        "Größe 日本語 👩‍💻 نمی‌خواهم 1. x",
        "- [ ] a task\n- [x] done [1]",
        "",
    ],
)
def test_ordinary_answers_stay_as_they_are(text: str) -> None:
    assert safe(text, HOSTS) == text


def test_words_that_grew_together_are_put_apart_rather_than_linked() -> None:
    assert safe("Please wait.It takes time.", HOSTS) == "Please wait. It takes time."


def test_in_code_mentions_and_urls_are_broken_and_the_rest_is_left_alone() -> None:
    assert safe("`<!here> <b> http://evil.com a.py`", HOSTS) == "`< !here> <b> http[:]//evil.com a.py`"
    assert safe("```\n<@U1> https://evil.com\n```", HOSTS) == "```\n< @U1> https[:]//evil.com\n```"


def test_backticks_that_close_nothing_become_apostrophes() -> None:
    assert safe("a ` b\n`evil.com` \\`evil.com` ``x", HOSTS) == "a ' b\n`evil.com` 'evil[.]com' ''x"


def test_an_open_code_block_is_closed() -> None:
    assert safe("```sh\nls", HOSTS) == "```sh\nls\n```"
    assert safe("```sh\nls\n", HOSTS) == "```sh\nls\n```"


def test_code_blocks_stand_at_the_margin_where_no_list_ends_them_early() -> None:
    assert safe("- a\n\n  ~~~\n  x\nevil.com\n  ~~~\nevil.com", HOSTS) == "- a\n\n```\n  x\nevil.com\n```\nevil[.]com"


def test_a_stream_holds_back_what_is_not_whole() -> None:
    stream = SafeStream(HOSTS)
    assert stream.feed("See [the he") == "See "
    assert stream.feed("lp](https://help.or") == ""
    assert stream.feed("g) and exam") == "[the help (help.org)](https://help.org) and "
    assert stream.feed("ple.com `co") == "example[.]com "
    assert stream.feed("de` &l") == "`code` "
    assert stream.feed("t;!here") == ""
    assert stream.end() == "&lt; !here"


@pytest.mark.parametrize(
    "text", ["请重启路由器，等待两分钟，然后看灯！", "ルーターを再起動してください。そして待ちます。", "กรุณารีสตาร์ทเราเตอร์และรอสองนาที"]
)
def test_a_language_without_spaces_streams_as_it_is_written(text: str) -> None:
    stream = SafeStream(HOSTS)
    shown = ""
    for number, char in enumerate(text):
        shown += stream.feed(char)
        assert len(shown) >= number - 5
    assert shown + stream.end() == text


def test_what_could_become_a_link_is_held_back_in_a_language_without_spaces() -> None:
    stream = SafeStream(HOSTS)
    assert stream.feed("请看例子") == "请看例"
    assert stream.feed("。中") == ""
    assert stream.feed("国") == ""
    assert stream.feed("，好") == "子[.]中国，"
    assert stream.feed("的[帮") == "好"
    assert stream.feed("助](https://help.org)也看help.or") == "的[帮助 (help.org)](https://help.org)也"
    assert stream.feed("g/x，和") == "看help[.]org/x，"
    assert stream.feed("evil.co") == ""
    assert stream.feed("m网站在这里") == "和evil[.]com网站在这"
    assert stream.end() == "里"


@pytest.mark.parametrize(
    "unit", ["中", "中。", "。中国", "เ", "a", "a.", "`", "!", "[", "[](", "<", "<a:", "\\", "//", "https://", "@", "&", "word "]
)
@pytest.mark.parametrize("fence", ["", "```\n"])
def test_reading_takes_no_longer_a_character_the_longer_a_text_is(unit: str, fence: str) -> None:
    text = fence + (unit * 28_000)[:28_000]
    began = time.process_time()
    stream = SafeStream(HOSTS)
    for at in range(0, len(text), 8):
        stream.feed(text[at : at + 8])
    stream.end()
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('<a href="//evil.com/x">', '< a href="/ /evil.com/x">'),
        ("<img src='//evil.com/p.png'>", "< img src='/ /evil.com/p.png'>"),
        ("<IFRAME src=/\\evil.com>", "< IFRAME src=/ \\evil.com>"),
        ("<svg/onload=x> //1.2.3.4/p.png", "< svg/onload=x> / /1.2.3.4/p.png"),
        ("vector<int> a // b // x", "vector<int> a // b // x"),
    ],
)
def test_in_code_no_html_links_or_loads(written: str, shown: str) -> None:
    assert safe(f"`{written}`", HOSTS) == f"`{shown}`"
    assert safe(f"```html\n{written}\n```", HOSTS) == f"```html\n{shown}\n```"
    assert safe(f"`{shown}`", HOSTS) == f"`{shown}`"


def test_peoples_words_are_escaped_for_mrkdwn() -> None:
    assert mrkdwn_escape("<!here> & <@U1>") == "&lt;!here&gt; &amp; &lt;@U1&gt;"


def test_a_long_text_is_cut_between_paragraphs() -> None:
    paragraphs = [f"Paragraph {n}. " + "word " * 60 for n in range(100)]
    pieces = split("\n\n".join(paragraphs))
    assert all(len(piece.encode()) <= 9000 for piece in pieces)
    assert [line.strip() for piece in pieces for line in piece.split("\n\n")] == [each.strip() for each in paragraphs]


def test_a_cut_code_block_is_closed_and_opened_again() -> None:
    pieces = split("Before\n\n```python\n" + "x = 1\n" * 40 + "```\nAfter", 100)
    assert all(len(piece.encode()) <= 100 and piece.count("```") % 2 == 0 for piece in pieces)
    assert sum(piece.count("x = 1") for piece in pieces) == 40
    assert pieces[1].startswith("```python\n")


def test_no_cut_falls_into_a_link_a_code_span_or_a_character() -> None:
    link, span = "[a b (help.org)](https://help.org/path)", "`smtp.example.com port 25`"
    pieces = split("ü😀 " + f"word {link} {span} " * 30, 120)
    assert all(len(piece.encode()) <= 120 for piece in pieces)
    assert sum(piece.count(link) for piece in pieces) == sum(piece.count(span) for piece in pieces) == 30


def test_a_short_text_is_one_piece_and_an_endless_word_is_cut() -> None:
    assert split("short") == ["short"]
    assert split(" \n") == []
    assert "".join(split("x" * 500, 100)) == "x" * 500
