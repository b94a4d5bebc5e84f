"""What people send is read on the event loop: whatever they send, nobody else waits for it."""

import time
from collections.abc import Callable
from itertools import product

import pytest

from bot import domains
from bot.connectors import cutting, wishes
from bot.connectors.slack import blocks
from bot.connectors.slack import events as slack
from bot.connectors.teams import events as teams
from bot.connectors.teams.handover import worded

_BYTES = 28_000
_SECONDS = 0.5  # of this thread's own time, on a machine that does much else; what was mended took from one to eighteen
_CHARACTERS = (*" \t\n\r\xa0\u2028.!?;:,<>&`[](){}|\"'*_~@#-/\\=x0\u00e9\u6f22\ufdd0",)
_WORDS = (
    *("<at>", "</at>", "<at", "<at>x</at>", "&nbsp;", "&#", "<p>", "</p>", "<p", "<div>", "<li>", "<!--", "<!", "<?", "<![CDATA["),
    *("<@U1>", "<@U1|", "<@", "<#", "<!here|", "https://", "http://a", "[a](", "![", "[a b](c)", "``", "`a b`", "``a`b"),
    *("please ", "please, ", "hi, ", "now, ", "real ", "i want a human ", "human. ", ". ", ".\n", " .", "\n "),
)
_RULES = domains.load()


def _activity(text: str) -> dict[str, object]:
    me = {"id": "28:care", "name": "CARE"}
    return {
        "type": "message",
        "id": "1",
        "text": text,
        "from": {"id": "29:ada"},
        "recipient": me,
        "conversation": {"id": "a:1", "conversationType": "personal"},
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "entities": [{"type": "mention", "text": "<at>CARE</at>", "mentioned": me}],
    }


READERS: dict[str, Callable[[str], object]] = {
    "a message in Teams": lambda text: teams.said(_activity(text)),
    "a message to CARE in Teams": lambda text: teams.said(_activity(f"<at>CARE</at>{text}")),
    "a message in Teams that ends with CARE": lambda text: teams.said(_activity(f"{text}<at>CARE</at>")),
    "a message from Teams' editor": lambda text: teams.said(_activity(f"<p>{text}</p>")),
    "a wish": lambda text: (wishes.wishes_for_a_person(text), wishes.says_more(text)),
    "what an asker or an expert wrote in Teams": lambda text: worded("Ada wrote:", text),
    "what an expert wrote in Slack": lambda text: blocks.expert_reply("U1", text),
    "what an asker wrote in Slack": lambda text: blocks.relayed("U1", text),
    "a long text": cutting.split,
    "a message in Slack": lambda text: slack.plain(text, "U1"),
    "a message to CARE in Slack": lambda text: slack.plain(f"<@U1>{text}<@U1>", "U1"),
    "whom a message in Slack is to": lambda text: (slack.mentions(text, "U1"), slack.spoken_to(text), slack.unaddressed(text)),
    "what a question is about": lambda text: (_RULES.label(text), _RULES.is_emergency(text)),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_whatever_somebody_repeats_is_read_at_once(reader: Callable[[str], object]) -> None:
    for repeated, end in product((*_CHARACTERS, *_WORDS), ("", "x")):
        begun = time.thread_time()
        reader(repeated * (_BYTES // len(repeated.encode())) + end)
        took = time.thread_time() - begun
        assert took < _SECONDS, f"{repeated!r} again and again, then {end!r}: {took:.2f} s"
