"""10,000 nasty answers without one live mention or unlisted link, judged by a reader that knows nothing of how they were made harmless."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.connectors.cutting import split
from bot.connectors.markdown import SafeStream, safe
from tests.bot.slack.nasty import GLUE, GOOD, LINKS, PINGS, answer
from tests.bot.slack.reader import Live, disguised, harmful, live

HOSTS = frozenset({"help.org", "bank.example.com"})
ANSWERS, BATCHES = 10_000, 10
FRAGMENTS = st.lists(st.sampled_from([*PINGS, *LINKS, *GOOD, *GLUE]), max_size=14).map("".join)
TEXTS = st.one_of(FRAGMENTS, st.text(max_size=80), st.text(alphabet="`~<>[]()!@#:/.\\&;comhere \n", max_size=60))
UNSPACED = st.lists(
    st.sampled_from(
        [
            "中",
            "国",
            "中国",
            "请重启路由器",
            "你好",
            "，",
            "。",
            "！",
            ".",
            "か",
            "ไทย",
            "コム",
            "我爱你",
            "evil",
            "com",
            "www",
            "1",
            "-",
            *PINGS,
            *LINKS,
            *GOOD,
            "<",
            "/",
        ]
    ),
    max_size=20,
).map("".join)
# What this reader, like Slack's, takes for text, although it looks like more.
INERT = {
    "//evil.com", "[r]", "[x][r]", "tel:+15551234", "<\\!here>", "\\<!here>", "<\u200b!here>",
    "&lt;!here&gt;", "&amp;lt;!here&amp;gt;", "&#60;!here&#x3E;", "&l\u200bt;!here>",
}  # fmt: skip


def check(text: str) -> None:
    """Nothing in it acts but links to listed hosts, and those say where they go."""
    assert not harmful(text, HOSTS), text
    assert not disguised(text), text


@pytest.mark.parametrize("batch", range(BATCHES))
def test_ten_thousand_generated_answers_have_no_live_mention_and_no_unlisted_link(batch: int) -> None:
    for seed in range(batch, ANSWERS, BATCHES):
        check(safe(answer(seed), HOSTS))


def test_the_judge_bites_on_what_the_model_wrote() -> None:
    raw = [answer(seed) for seed in range(500)]
    assert sum(bool(harmful(text, HOSTS)) for text in raw) > 450
    assert sum(bool(disguised(text)) for text in raw) > 100


@pytest.mark.parametrize("fragment", [*PINGS, *LINKS])
def test_the_judge_bites_on_every_fragment_that_acts(fragment: str) -> None:
    shown = fragment.replace("\u200b", "").replace("\u200d", "").replace("\u00ad", "").replace("\u2060", "")  # as Slack may show it
    assert harmful(shown, HOSTS) or disguised(shown) or fragment in INERT


def test_listed_links_stay_alive() -> None:
    for fragment in GOOD[:10]:
        assert Live("link", "help.org") in live(safe(fragment, HOSTS)) or Live("link", "www.help.org") in live(safe(fragment, HOSTS))


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_whatever_is_written_it_is_harmless_and_stays_the_same_the_second_time(text: str) -> None:
    shown = safe(text, HOSTS)
    check(shown)
    assert safe(shown, HOSTS) == shown


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 20), min_size=1, max_size=50))
def test_a_stream_in_any_pieces_is_the_same_text(text: str, sizes: list[int]) -> None:
    pieces = streamed(text, sizes)
    assert "".join(pieces) == safe(text, HOSTS)


@settings(max_examples=300, deadline=None)
@given(UNSPACED, st.lists(st.integers(1, 20), min_size=1, max_size=50))
def test_so_it_is_in_languages_without_spaces(text: str, sizes: list[int]) -> None:
    shown = safe(text, HOSTS)
    check(shown)
    assert safe(shown, HOSTS) == shown
    pieces = streamed(text, sizes)
    assert "".join(pieces) == shown
    for end in range(1, len(pieces) + 1):
        check("".join(pieces[:end]))


@pytest.mark.parametrize("seed", range(0, 300, 3))
def test_what_a_stream_has_let_out_is_harmless_at_every_moment(seed: int) -> None:
    text = answer(seed)
    pieces = streamed(text, [random.Random(seed).randint(1, 9) for _ in range(20)])
    for end in range(1, len(pieces) + 1):
        if pieces[end - 1]:
            check("".join(pieces[:end]))
    assert "".join(pieces) == safe(text, HOSTS)


@pytest.mark.parametrize("limit", [400, 2000])
def test_what_is_cut_into_messages_is_harmless_in_each(limit: int) -> None:
    for seed in range(0, 600, 10):
        pieces = split("\n".join(safe(answer(seed + offset), HOSTS) for offset in range(10)), limit)
        for piece in pieces:
            assert len(piece.encode()) <= limit
            check(piece)


def streamed(text: str, sizes: list[int]) -> list[str]:
    """What a stream lets out for each piece, and at the end."""
    stream, out, at, turn = SafeStream(HOSTS), [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out.append(stream.feed(text[at : at + size]))
        at, turn = at + size, turn + 1
    return [*out, stream.end()]
