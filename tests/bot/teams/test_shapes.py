"""What leaves for Teams has the shapes that Teams documents."""

from bot.connectors.teams import shapes


def test_a_stream_has_both_ways_in_which_teams_is_told() -> None:
    begun = shapes.informative("Looking into it…", 1, None)
    assert begun["entities"] == [{"type": "streaminfo", "streamType": "informative", "streamSequence": 1}]
    assert begun["channelData"] == {"streamType": "informative", "streamSequence": 1}
    grown = shapes.chunk("Hello", 2, "s1")
    assert (grown["type"], grown["text"]) == ("typing", "Hello")
    assert grown["channelData"] == {"streamId": "s1", "streamType": "streaming", "streamSequence": 2}


def test_the_end_of_a_stream_keeps_label_and_thumbs_and_has_no_sequence() -> None:
    ended = shapes.ended(shapes.answer("Hello", feedback="custom"), "s1")
    assert ended["type"] == "message"
    assert ended["entities"] == [{"type": "streaminfo", "streamId": "s1", "streamType": "final"}, shapes.AI_LABEL]
    assert ended["channelData"] == {"streamId": "s1", "streamType": "final", "feedbackLoop": {"type": "custom"}}


def test_an_answer_is_labelled_and_a_note_is_not() -> None:
    assert shapes.answer("Hello")["entities"] == [shapes.AI_LABEL]
    assert "entities" not in shapes.note("Hello")
    assert "entities" not in shapes.answer("It failed.", generated=False)


def test_who_waits_reads_their_place() -> None:
    said = [shapes.place_text(place) for place in (0, 1, 2, 3)]
    assert said == ["Looking into it…", "You're next in line…", "1 question before yours…", "2 questions before yours…"]


def test_an_informative_line_is_never_longer_than_teams_takes() -> None:
    assert len(shapes.informative("x" * 2000, 1, None)["text"]) == 1000


def test_a_person_is_offered_where_there_are_persons() -> None:
    assert [said for _, said in shapes.next_steps(human=True)] == ["new", "human"]
    assert [said for _, said in shapes.next_steps(human=False)] == ["new"]
    assert "human" in shapes.welcome("Notice.", human=True)["text"]
    assert "human" not in shapes.welcome("Notice.", human=False)["text"]
    actions = shapes.welcome("Notice.", human=True)["suggestedActions"]["actions"]
    assert {action["type"] for action in actions} == {"imBack"}
    assert len(actions) == 3, "Teams shows no more"
