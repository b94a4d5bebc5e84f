import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from slack_sdk.models.blocks import Block

from bot.connectors.slack import blocks
from bot.connectors.slack.mrkdwn import mrkdwn_escape
from bot.turns import Question, Reply, Status, Turn

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def turn(question: str = "Why?", answer: str | None = "Because.") -> Turn:
    reply = Reply(answer, None, Status.ANSWERED, NOW) if answer is not None else None
    return Turn("t1", Question("slack", "e1", "T/C/1", "U1", question, NOW), "other", Status.ANSWERED, reply)


def as_json(made: list[Block]) -> str:
    """The blocks as they would be sent; slack_sdk checks lengths on the way."""
    assert len(made) <= 50
    return json.dumps([block.to_dict() for block in made], ensure_ascii=False)


def test_an_answer_has_thumbs_that_name_its_turn() -> None:
    sent = as_json(blocks.answer_blocks("t1"))
    assert '"action_id": "care_feedback"' in sent
    assert blocks.vote_of("up:t1") == ("t1", 1)
    assert '"value": "up:t1"' in sent
    assert '"value": "down:t1"' in sent


@pytest.mark.parametrize("value", ["", "up", "up:", "sideways:t1", "t1"])
def test_a_foreign_button_value_is_nothing(value: str) -> None:
    assert blocks.vote_of(value) is None


@pytest.mark.parametrize(("voted", "said"), [(1, "👍 Noted"), (-1, "👎 Noted"), (0, "withdrawn")])
def test_a_vote_is_confirmed_under_the_answer(voted: blocks.Vote, said: str) -> None:
    assert said in as_json(blocks.answer_blocks("t1", voted=voted))


def test_the_introduction_and_the_way_to_a_person_stand_under_the_answer() -> None:
    sent = as_json(blocks.answer_blocks("t1", text="**Hi**", notice="I'm a machine <!here>", human=True))
    assert sent.index("**Hi**") < sent.index("care_feedback")
    assert "&lt;!here&gt;" in sent
    assert "/care human" in sent


def test_the_correction_dialog_comes_back_as_a_correction() -> None:
    view = blocks.correction_modal("t1", "x" * 5000, reason="old").to_dict()
    assert (view["callback_id"], view["private_metadata"]) == ("care_correction", "t1")
    values = {"reason": {"text": {"value": " wrong "}}, "correction": {"text": {"value": None}}}
    assert blocks.correction_of("t1", values) == blocks.Correction("t1", "wrong", None)
    assert blocks.correction_of("t1", {}) == blocks.Correction("t1", None, None)


def test_the_experts_get_the_conversation_and_a_button_that_hands_it_back() -> None:
    sent = as_json(blocks.handover_post("h1", "U1", [turn("Why <!here>?\nReally")], link="https://x.slack.com/archives/C/p1"))
    assert "> Why &lt;!here&gt;?\\n> Really" in sent
    assert '"value": "h1"' in sent
    assert "Because." in sent
    ended = as_json(blocks.handover_post("h1", "U1", [turn()], ended_by="U2"))
    assert "care_hand_back" not in ended
    assert "<@U2>" in ended


def test_a_long_or_nasty_conversation_fits_a_message() -> None:
    sent = as_json(blocks.handover_post("h1", "U1", [turn("&" * 4000, "<\n" * 4000)] * 30))
    assert "20 earlier questions are left out" in sent


@pytest.mark.parametrize("text", ["&" * 40_000, "\n".join("<" * 9 for _ in range(3000)), "äword " * 3000, "```\n" + "code\n" * 3000])
@pytest.mark.parametrize("shown", [blocks.relayed, blocks.expert_reply])
def test_what_people_write_to_each_other_is_brought_whole(shown: Callable[[str, str], list[list[Block]]], text: str) -> None:
    messages = shown("U1", text)
    assert all(len(message) <= 50 for message in messages)
    brought = "".join(json.loads(as_json(message))[n]["text"]["text"] for message in messages for n in range(len(message)))
    for sign in ("&amp;", "&lt;", "äword", "code"):
        assert brought.count(sign) == mrkdwn_escape(text).count(sign)
    assert "…" not in brought


def test_erasing_is_asked_for_first() -> None:
    assert blocks.forget_modal().to_dict()["callback_id"] == "care_forget"


def test_promote_and_roll_back_ask_first_and_name_the_lora() -> None:
    sent = as_json(blocks.decision_buttons("2026-11-25-a1b2", promote=True, rollback=True))
    assert sent.count('"confirm"') == 4
    assert sent.count('"value": "2026-11-25-a1b2"') == 2
    assert blocks.decision_buttons("x", promote=False, rollback=False) == []


def test_the_place_in_the_queue_is_told() -> None:
    assert [blocks.busy_text(place) for place in (1, 2, 3)] == [
        "is next in line…",
        "has 1 question before yours…",
        "has 2 questions before yours…",
    ]
