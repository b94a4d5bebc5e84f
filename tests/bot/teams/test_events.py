"""What a person wrote, whatever Teams makes of it on the way."""

import pytest

from bot.connectors.teams import events
from bot.connectors.teams.events import Said

ME = {"id": "28:care", "name": "CARE"}
ADA = {"id": "29:ada", "name": "Ada Lovelace", "aadObjectId": "0aa-1"}


def activity(text: str = "Why?", **fields: object) -> dict[str, object]:
    return {
        "type": "message",
        "id": "1700000000000",
        "timestamp": "2026-11-25T10:00:00.5Z",
        "localTimestamp": "2026-11-25T11:00:00.5+01:00",
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "from": ADA,
        "recipient": ME,
        "conversation": {"id": "a:1chat", "conversationType": "personal"},
        "text": text,
        **fields,
    }


def mention(of: dict[str, str], written: str | None = None) -> dict[str, object]:
    return {"type": "mention", "mentioned": of, "text": written or f"<at>{of['name']}</at>"}


def said(text: str = "Why?", **fields: object) -> Said:
    found = events.said(activity(text, **fields))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Why is it?", "Why is it?"),
        ("<at>CARE</at> Why is it?", "Why is it?"),
        ("<at>CARE</at>&nbsp;Why is it?\n", "Why is it?"),
        ("Hey <at>CARE</at>, why is it?", "Hey , why is it?"),
        ("Hey <at>CARE</at> why is it?", "Hey why is it?"),
        ("<at>CARE</at> Is 1 &lt; 2 &amp;&amp; 3 &gt; 2?", "Is 1 < 2 && 3 > 2?"),
        ("What is a <div> in HTML?", "What is a <div> in HTML?"),
        ("What is `&amp;lt;`?", "What is `&lt;`?"),
        ("one\r\ntwo", "one\ntwo"),
        ("if x:\n    y", "if x:\n    y"),
        ("<p>Why is <strong>it</strong>?</p>", "Why is it?"),
        ("<p>one</p><p>two&nbsp;three</p>", "one\ntwo three"),
        ("<div><at>CARE</at>&nbsp;Why?<br>Really <em>why</em>?</div>", "Why?\nReally why?"),
        ("<p>1 &lt; 2</p>", "1 < 2"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ('<p>See <a href="https://help.example.com/x">this</a></p>', "See this (https://help.example.com/x)"),
        ('<p>See <a href="https://help.example.com/x">https://help.example.com/x</a></p>', "See https://help.example.com/x"),
        ('<p>Thanks <emoji alt="🙂"></emoji></p>', "Thanks 🙂"),
        ("<at>CARE</at>", ""),
        ("   ", ""),
    ],
)
def test_the_words_are_what_the_person_typed(written: str, read: str) -> None:
    assert said(written, entities=[mention(ME)]).text == read


def test_other_people_keep_their_names_and_care_does_not() -> None:
    grace = {"id": "29:grace", "name": "Grace Hopper"}
    found = said("<at>CARE</at> does <at>Grace Hopper</at> know?", entities=[mention(ME), mention(grace)])
    assert (found.text, found.mentioned, found.others) == ("does @Grace Hopper know?", True, False)


def test_a_colleague_who_is_called_care_is_not_care() -> None:
    namesake = {"id": "29:care", "name": "CARE"}
    found = said("<at>CARE</at> can you help?", entities=[mention(namesake)])
    assert (found.text, found.mentioned, found.others) == ("@CARE can you help?", False, True)
    both = said("<at>CARE</at> what does <at>CARE</at> do?", entities=[mention(ME), mention(namesake)])
    assert (both.text, both.mentioned) == ("what does @CARE do?", True)


def test_a_mention_that_only_the_words_tell_of_counts() -> None:
    assert said("<at>CARE</at> Why?").mentioned
    assert not said("<at>Somebody</at> Why?").mentioned


def test_the_words_that_only_teams_own_rendering_holds_are_read() -> None:
    rendering = {"contentType": "text/html", "content": "<div><p>Why is it?</p></div>"}
    assert said("", attachments=[rendering]).text == "Why is it?"


def test_teams_own_rendering_is_no_file() -> None:
    rendering = {"contentType": "text/html", "content": "<p>Why?</p>"}
    file = {"contentType": "application/vnd.microsoft.teams.file.download.info", "name": "bill.pdf", "content": {}}
    picture = {"contentType": "image/png", "contentUrl": "https://smba.trafficmanager.net/x"}
    assert said(attachments=[rendering]).files == 0
    assert said(attachments=[rendering, file, picture]).files == 2


def test_the_same_words_at_the_same_time_are_one_question_whatever_their_id() -> None:
    first = said()
    assert said(id="1700000000009", timestamp="2026-11-25T10:00:09Z").event_id == first.event_id
    changed = [
        said("Why not?"),
        said(localTimestamp="2026-11-25T11:00:01.5+01:00"),
        said(conversation={"id": "a:2chat", "conversationType": "personal"}),
        said(**{"from": {"id": "29:grace"}}),
    ]
    assert len({each.event_id for each in [first, *changed]}) == 5


def test_without_a_clock_the_id_tells_two_messages_apart() -> None:
    first, second = (events.said(activity(id=number, timestamp=None, localTimestamp=None)) for number in ("1", "2"))
    assert first is not None
    assert second is not None
    assert first.event_id != second.event_id


def test_editions_sort_as_they_were_made() -> None:
    moments = ["2026-11-25T10:00:05Z", "2026-11-25T10:00:05.1Z", "2026-11-25T11:00:05.12+01:00", "2026-11-25T10:00:06"]
    editions = [found.edition for moment in moments if (found := events.said(activity(timestamp=moment), edited=True))]
    assert editions == sorted(editions)
    assert len(set(editions)) == 4
    assert said().edition == "" < editions[0]


@pytest.mark.parametrize("written", ["<![a", "<![CDATA[x]]>", "<![if x]>", "<!x", "<!DOCTYPE html>"])
def test_a_declaration_in_teams_rendering_is_text(written: str) -> None:
    assert said(f"<p>What is {written}</p>").text.startswith("What is <!")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday", ""])
def test_a_moment_that_there_never_was_is_now(moment: str) -> None:
    assert said(timestamp=moment).at > "2026-01-01"


@pytest.mark.parametrize(
    "fields",
    [
        {"from": {"id": "28:other-bot"}},
        {"from": {"id": "29:x", "role": "bot"}},
        {"from": ME},
        {"from": None},
        {"from": {"id": 7}},
        {"id": None},
        {"id": "a/b"},
        {"conversation": None},
        {"conversation": {"id": 7}},
        {"conversation": {"id": "a:1chat", "conversationType": "meeting"}},
        {"serviceUrl": None},
        {"recipient": None},
    ],
)
def test_bots_and_what_cant_be_placed_say_nothing(fields: dict[str, object]) -> None:
    assert events.said(activity(**fields)) is None


@pytest.mark.parametrize("name", ["text", "entities", "attachments", "timestamp", "localTimestamp", "value", "channelData", "textFormat"])
@pytest.mark.parametrize("value", [None, 7, "x", [], [7, None, {"type": 7}], {}, {"text": 7}, True])
def test_a_field_of_the_wrong_type_is_a_field_that_is_missing(name: str, value: object) -> None:
    for edited in (False, True):
        found = events.said(activity(**{name: value}), edited=edited)
        assert found is not None
        assert found.user == "29:ada"


def test_mentions_and_files_of_the_wrong_type_are_none() -> None:
    broken = [{"type": "mention"}, {"type": "mention", "mentioned": "x", "text": 7}, {"type": "mention", "mentioned": {"id": 7}}]
    found = said("<at>Grace</at> Why?", entities=broken, attachments=[{}, {"contentType": 7}, "x"])
    assert (found.text, found.mentioned, found.files) == ("@Grace Why?", False, 0)
