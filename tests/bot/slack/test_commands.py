"""`/care`, the tabs and the operators' buttons."""

import asyncio
import json
from pathlib import Path

import pytest

from bot.connectors import tasks
from bot.connectors.slack import blocks
from bot.connectors.slack.connector import SlackConnector
from bot.connectors.slack.manifest import EVENTS
from bot.connectors.words import SUGGESTED_PROMPTS
from bot.notices import OPERATORS, Notice
from bot.service import Service
from bot.settings import Settings
from bot.store import Store
from bot.turns import now
from tests.bot.slack.conftest import Care, Start
from tests.fakes.loras import shelved
from tests.fakes.slack import ADA, ADMINS, EVE, GRACE, LINUS, PARTNERS, SUPPORT, FakeSlack
from tests.fakes.slack.workspace import Message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "CARE answers support questions"),
        ("help", "CARE answers support questions"),
        ("HELP ", "CARE answers support questions"),
        ("new", "In a channel every thread is a conversation of its own"),
        ("status", "I'm well"),
        ("opt out", "nothing that you write or vote is used for training"),
        ("opt-in", "may be used for training"),
        ("human", "no conversation with me here yet"),
        ("dance", "I don't know that command"),
    ],
)
async def test_every_word_is_answered_to_its_user_alone(care: Care, words: str, told: str) -> None:
    answer = await care.slack.command("/care", words, ADA, SUPPORT)
    assert told in answer.response["text"]
    assert answer.response["response_type"] == "ephemeral"
    assert care.slack.messages(SUPPORT) == []


async def test_new_begins_a_conversation_that_knows_nothing_of_the_last(care: Care) -> None:
    await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "My router is red"))
    told = await care.slack.command("/care", "new", ADA, care.slack.dm(ADA))
    assert "A new conversation" in told.response["text"]
    await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "And now?"))
    assert "My router is red" not in [message.content for message in care.engine.requests[1].messages]
    await care.answer(care.slack.say(ADA, care.slack.dm(ADA), "And then?"))
    assert "And now?" in [message.content for message in care.engine.requests[2].messages]


async def test_opting_out_and_in_again_is_kept(care: Care) -> None:
    await care.slack.command("/care", "opt out", ADA, SUPPORT)
    assert not await care.service.learns_from("slack", ADA)
    await care.slack.command("/care", "opt in", ADA, SUPPORT)
    assert await care.service.learns_from("slack", ADA)


async def test_an_export_comes_as_a_file_in_the_direct_messages(care: Care) -> None:
    await care.answer(care.slack.mention(ADA, SUPPORT, "Why is my bill so high?"))
    await care.slack.command("/care", "export", ADA, SUPPORT)
    [file] = await care.slack.until(lambda: [each for message in care.slack.messages(care.slack.dm(ADA)) for each in message.files])
    kept = json.loads(care.slack.uploads[file["id"]]["content"])
    assert kept["person"] == f"slack:{ADA}"
    assert "Why is my bill so high?" in json.dumps(kept)
    await care.idle()
    assert len(care.turns()) == 1, "its own file is no question"


async def test_forget_me_asks_first_and_then_leaves_nothing(care: Care) -> None:
    await care.answer(care.slack.mention(ADA, SUPPORT, "My card number is 4111"))
    await care.answer(care.slack.mention(GRACE, SUPPORT, "And mine?"))
    await care.slack.command("/care", "forget me", ADA, SUPPORT)
    view = await care.slack.until(lambda: care.slack.open_view(ADA))
    assert len(care.turns()) == 2
    await care.slack.submit(view, {})
    await care.slack.until(lambda: any("is erased" in each.reading for each in care.slack.messages(care.slack.dm(ADA))))
    assert [turn["user_id"] for turn in care.turns()] == [GRACE]


async def test_a_wish_to_be_forgotten_survives_a_stop(start: Start, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(Service, "forget", lambda *_: asyncio.Event().wait())
    async with start() as care:
        await care.answer(slack.mention(ADA, SUPPORT, "My card number is 4111"))
        await care.answer(slack.mention(GRACE, SUPPORT, "And mine?"))
        await slack.command("/care", "forget me", ADA, SUPPORT)
        await slack.submit(await slack.until(lambda: slack.open_view(ADA)), {})
        assert len(care.turns()) == 2
    async with start() as care:
        await care.service.finish_forgetting()
        assert [turn["user_id"] for turn in care.turns()] == [GRACE]
        assert care.store.wishes_to_be_forgotten() == []
        assert care.store.pending_erasures() == []


async def test_strangers_get_no_command(care: Care) -> None:
    body = (await care.slack.command("/care", "status", ADA, SUPPORT)).payload
    told = await _forged(care, {**body, "user_id": EVE, "team_id": "T0PARTNER1"})
    assert "people of this organisation" in told


async def _forged(care: Care, body: dict) -> str:
    delivery = care.slack.outbox.put("slash_commands", body)
    await care.slack.until(lambda: delivery.acked)
    return str(delivery.response)


async def test_who_opens_the_messages_tab_sees_what_may_be_asked(care: Care) -> None:
    care.slack.open_home(ADA)
    prompts = (await care.slack.until(lambda: list(care.slack.workspace.prompts.values())))[0]
    assert [prompt["title"] for prompt in prompts["prompts"]] == [title for title, _ in SUGGESTED_PROMPTS]


async def test_the_admins_hear_of_a_rollback_once(care: Care) -> None:
    await care.service._archive.run(Store.notify, [Notice("n1", "rollback", OPERATORS, "", "s", "lora-1 was taken back.", now())])
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    assert [message.reading for message in care.slack.messages(ADMINS)] == ["lora-1 was taken back."]


async def test_the_nights_report_comes_with_its_chart_and_buttons(care: Care, tmp_path: Path) -> None:
    gates = [{"gate": "safety", "measured": 0.0, "limit": 0.0, "passed": True}]
    (tmp_path / "report.json").write_text(json.dumps({"verdict": "reverted", "lora": "lora-1", "gates": gates}))
    (tmp_path / "report.png").write_bytes(b"\x89PNG\r\n")
    told = Notice("n1", "report", OPERATORS, "", "s", "Kept what was live.\n12 rated turns.", now(), report=str(tmp_path / "report.html"))
    await care.service._archive.run(Store.notify, [told])
    await care.service.postman.go_round()
    report, chart = await care.slack.until(lambda: care.slack.messages(ADMINS) if len(care.slack.messages(ADMINS)) == 2 else [])
    assert "Kept what was live." in report.reading
    assert "safety" in report.reading
    assert report.element(blocks.PROMOTE)
    assert [file["name"] for file in chart.files] == ["report.png"]
    assert chart.thread_ts == report.ts


async def test_who_taught_care_something_is_told_in_their_direct_messages(care: Care) -> None:
    await care.answer(care.slack.mention(GRACE, SUPPORT, "Why is my bill so high?"))
    turn = str(care.turns()[0]["id"])
    await care.service._archive.run(Store.notify, [Notice("n2", "taught", "slack", GRACE, "s", "You taught me this.", now(), turn)])
    await care.service.postman.go_round()
    assert [message.reading for message in care.slack.messages(care.slack.dm(GRACE))] == ["You taught me this."]


async def test_only_operators_promote_and_roll_back(start: Start) -> None:
    async with start(operators=(f"slack:{LINUS}",)) as care:
        buttons = [block.to_dict() for block in blocks.decision_buttons("lora-1", promote=True, rollback=True)]
        ts = await care.connector._workspace.api.post(ADMINS, "A report", buttons)
        report = care.slack.workspace.find(ADMINS, ts)
        care.slack.workspace.channels[ADMINS].members.add(GRACE)
        await care.slack.click(report, blocks.PROMOTE, GRACE)
        await care.slack.until(lambda: any("Only operators" in note.reading for note in care.slack.ephemerals))
        await care.slack.click(report, blocks.ROLLBACK, LINUS)
        await care.slack.until(lambda: any("did not work" in note.reading for note in care.slack.ephemerals))
        assert [note.ephemeral_to for note in care.slack.ephemerals] == [GRACE, LINUS]


async def _report(care: Care, lora: str, **buttons: bool) -> Message:
    """A night's report with these buttons."""
    shown = blocks.decision_buttons(lora, **{"promote": False, "rollback": False, **buttons})
    ts = await care.connector._workspace.api.post(ADMINS, "A report", [*blocks.plain_blocks("A report"), *shown])
    return care.slack.workspace.find(ADMINS, ts)


async def _says(care: Care, report: Message, words: str) -> None:
    await care.slack.until(lambda: any(words in each.reading for each in care.slack.replies(report)))
    await care.slack.until(lambda: words in report.reading)


async def test_an_operators_buttons_do_it_once_and_the_channel_reads_who_did_what(start: Start) -> None:
    async with start(operators=(f"slack:{LINUS}",)) as care:
        shelf = care.service._shelf
        shelved(shelf, "lora-1")
        report = await _report(care, "lora-1", promote=True)
        await care.slack.click(report, blocks.PROMOTE, LINUS)
        await _says(care, report, f"<@{LINUS}> promoted lora-1: it is live now.")
        assert (shelf.live(), report.element(blocks.ROLLBACK)[1]["value"]) == ("lora-1", "lora-1")
        await care.slack.click(report, blocks.ROLLBACK, LINUS)
        await _says(care, report, f"<@{LINUS}> took lora-1 back: the base model is live now.")
        assert (shelf.live(), report.element(blocks.PROMOTE)[1]["value"]) == (None, "lora-1")
        assert "A report" in report.reading


async def test_last_weeks_report_takes_back_nothing_else(start: Start) -> None:
    async with start(operators=(f"slack:{LINUS}",)) as care:
        shelf = care.service._shelf
        for number in (1, 2):
            shelved(shelf, f"lora-{number}", seed=number)
            shelf.promote(f"lora-{number}", by="night", reason="passed")
        report = await _report(care, "lora-1", rollback=True)
        await care.slack.click(report, blocks.ROLLBACK, LINUS)
        await care.slack.until(lambda: any("lora-1 is not live, lora-2 is" in each.reading for each in care.slack.ephemerals))
        assert shelf.live() == "lora-2"


async def test_rolling_back_a_trial_says_that_what_is_live_stays(start: Start) -> None:
    async with start(operators=(f"slack:{LINUS}",)) as care:
        shelf = care.service._shelf
        for number in (1, 2):
            shelved(shelf, f"lora-{number}", seed=number)
        shelf.promote("lora-1", by="night", reason="passed")
        shelf.try_out("lora-2", by="night", reason="passed")
        report = await _report(care, "lora-2", rollback=True)
        await care.slack.click(report, blocks.ROLLBACK, LINUS)
        await _says(care, report, f"<@{LINUS}> ended the trial of lora-2: lora-1 stays live.")
        assert (shelf.canary(), shelf.live()) == (None, "lora-1")


async def test_what_a_gate_refused_is_not_promoted_in_a_channel(start: Start) -> None:
    async with start(operators=(f"slack:{LINUS}",)) as care:
        shelved(care.service._shelf, "lora-1", accepted=False)
        report = await _report(care, "lora-1", promote=True)
        await care.slack.click(report, blocks.PROMOTE, LINUS)
        await care.slack.until(lambda: any("the gates of lora-1 said no" in each.reading for each in care.slack.ephemerals))
        assert care.service._shelf.live() is None


def test_care_listens_to_exactly_what_its_manifest_subscribes_to() -> None:
    settings = Settings(slack_bot_token="xoxb-1", slack_app_token="xapp-1")
    ears = SlackConnector(settings, None)._ears()  # type: ignore[arg-type]
    assert set(ears.events) == {event.partition(".")[0] for event in EVENTS}


async def test_people_of_other_organisations_are_not_answered_unless_allowed(start: Start) -> None:
    async with start() as care:
        asked = care.slack.mention(EVE, PARTNERS, "Why is my bill so high?")
        own = care.slack.mention(ADA, PARTNERS, "Why is mine?")
        await care.answer(own)
        await care.idle()
        assert care.slack.replies(asked) == []
    async with start(slack_external=True) as care:
        asked = care.slack.mention(EVE, PARTNERS, "Why is my bill so high?")
        assert "You asked" in (await care.answer(asked)).reading
