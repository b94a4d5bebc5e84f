"""What CARE tells people in Teams unasked, and what operators order below a night's report."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot import settings
from bot.connectors.nights import read
from bot.connectors.teams import cards, orders
from bot.connectors.teams.report import report_card, who_did
from bot.notices import OPERATORS, Notice
from bot.store import Store
from bot.turns import now
from model.history import Change
from tests.bot.teams.conftest import Care, Start
from tests.fakes.loras import shelved
from tests.fakes.teams import ADA, ADMINS, GRACE, LINUS, SUPPORT, FakeTeams, Message
from tests.fakes.teams import cards as teams_cards
from train.draw import card as draw_card
from train.runs import Loss

PASSED = [{"gate": "safety", "measured": 0.0, "limit": 0.0, "passed": True}]
FOUND: dict[str, object] = {
    "verdict": "kept",
    "lora": "lora-1",
    "compared_with": "base",
    "gates": [
        {"gate": "better on the new data", "measured": 0.12, "limit": 0.0, "passed": True, "interval": None},
        {"gate": "safety", "measured": 1.0, "limit": 0.0, "passed": False, "interval": None},
    ],
    "scores": {
        "base": [{"item": "a", "domain": "banking", "loss": 2.0}, {"item": "b", "domain": "medical", "loss": 1.0}],
        "candidate": [{"item": "a", "domain": "banking", "loss": 1.0}, {"item": "b", "domain": "medical", "loss": 1.5}],
    },
    "samples": {"a": {"base": "Call <at>Everyone</at>", "candidate": "Block the card in the app."}},
    "questions": {"a": "My card is [lost](https://evil.example)"},
    "taught": [{"turn_id": "t", "question": "How do I block my card?"}],
}


def told(folder: Path, text: str = "Kept what was live: a gate said no.\n12 rated turns.") -> Notice:
    return Notice("n1", "report", OPERATORS, "", "s", text, now(), report=str(folder / "report.html"))


def written(folder: Path, **found: object) -> Notice:
    """A night's report with a chart."""
    (folder / "report.json").write_text(json.dumps(FOUND | found))
    draw_card([], [Loss(step, 2.0 - step / 400) for step in range(1, 200)], folder / "card.png")
    return told(folder)


async def reported(care: Care, folder: Path, **found: object) -> Message:
    """The admin channel's post of a night."""
    await care.answer(await care.teams.say(ADA, "Hello"))
    await care.service._archive.run(Store.notify, [written(folder, **found)])
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    [post] = care.teams.posts(ADMINS)
    return post


async def below(care: Care, post: Message, words: str) -> Message:
    """What CARE says in a post's thread."""
    return (await care.teams.until(lambda: [e for e in care.teams.posts(ADMINS) if e.place == post.place and words in e.text]))[0]


def shown(folder: Path, **found: object) -> str:
    notice = written(folder, **found)
    return json.dumps(report_card(notice, read(notice)), ensure_ascii=False)


def test_the_verdict_comes_first_then_the_chart_then_the_gates_then_what_was_won_and_lost(tmp_path: Path) -> None:
    sent = shown(tmp_path)
    order = [
        "Kept what was live",
        "12 rated turns",
        "data:image/png",
        "NOT PASSED",
        "Taught",
        "Won most",
        "+1.00",
        "My card is",
        "Lost most",
        "-0.50",
    ]
    places = [sent.index(each) for each in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("verdict", "gates", "buttons"),
    [
        ("kept", FOUND["gates"], []),
        ("reverted", FOUND["gates"], []),
        ("control", PASSED, []),
        ("reverted", PASSED, [cards.PROMOTE]),
        ("promoted", PASSED, [cards.ROLLBACK]),
    ],
)
def test_what_was_promoted_can_be_rolled_back_and_what_passed_and_was_taken_back_promoted(
    tmp_path: Path, verdict: str, gates: object, buttons: list[str]
) -> None:
    notice = written(tmp_path, verdict=verdict, gates=gates)
    found = [each["verb"] for each in teams_cards.actions(report_card(notice, read(notice))) if "verb" in each]
    assert found == buttons


def test_a_report_that_is_gone_or_damaged_leaves_the_notice(tmp_path: Path) -> None:
    assert read(told(tmp_path)) is None
    (tmp_path / "report.json").write_text('{"verdict": 3')
    assert read(told(tmp_path)) is None
    assert "12 rated turns" in json.dumps(report_card(told(tmp_path), None))


async def test_the_admin_channel_gets_the_night_once_as_a_card_with_its_chart(care: Care, tmp_path: Path) -> None:
    post = await reported(care, tmp_path)
    assert "Kept what was live" in post.reading
    assert "NOT PASSED" in post.reading
    [image] = [each for each in teams_cards.walk(post.cards[0]) if each["type"] == "Image"]
    assert image["url"].startswith("data:image/png;base64,")


async def test_a_report_waits_until_teams_is_known(care: Care, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.postman._AGAIN_SECONDS", (0.0,))
    await care.service._archive.run(Store.notify, [written(tmp_path)])
    await care.service.postman.go_round()
    assert care.teams.posts(ADMINS) == []
    await care.teams.install(GRACE)
    await care.service.postman.go_round()
    assert len(care.teams.posts(ADMINS)) == 1


async def test_without_an_admin_channel_the_report_has_no_place(start: Start, tmp_path: Path) -> None:
    async with start(teams_admin_channel=None) as care:
        await care.answer(await care.teams.say(ADA, "Hello"))
        await care.service._archive.run(Store.notify, [written(tmp_path)])
        await care.service.postman.go_round()
        assert care.teams.posts(ADMINS) == []


@pytest.mark.parametrize("kind", ["rollback", "report"])
async def test_the_admins_hear_of_a_rollback_once(care: Care, kind: str) -> None:
    await care.answer(await care.teams.say(ADA, "Hello"))
    notice = Notice("n1", kind, OPERATORS, "", "s", "lora-1 was taken back.", now())  # type: ignore[arg-type]
    await care.service._archive.run(Store.notify, [notice])
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    assert ["lora-1 was taken back." in each.reading for each in care.teams.posts(ADMINS)] == [True]


@pytest.mark.parametrize("met", [True, False])
async def test_who_taught_care_something_is_told_in_their_personal_chat(care: Care, met: bool) -> None:
    """Also those who know CARE from a channel only."""
    chat = care.teams.personal(GRACE) if met else SUPPORT
    await care.answer(await care.teams.say(GRACE, "Why is my bill so high?", in_=chat))
    turn = str(care.turns()[0]["id"])
    notice = Notice("n2", "taught", "teams", GRACE.id, "s", "You taught me <this>.\nSee it.", now(), turn)
    await care.service._archive.run(Store.notify, [notice])
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    posts = [each.text for each in care.teams.posts(care.teams.personal(GRACE)) if "You taught me" in each.text]
    assert posts == ["You taught me &lt;this&gt;.<br>See it."]


async def test_who_has_left_is_not_told_again_and_again(care: Care) -> None:
    await care.answer(await care.teams.say(GRACE, "Why is my bill so high?"))
    care.teams.block(GRACE)
    await care.service._archive.run(Store.notify, [Notice("n2", "taught", "teams", GRACE.id, "s", "You taught me this.", now())])
    await care.service.postman.go_round()
    calls = len(care.teams.calls)
    await care.service.postman.go_round()
    assert len(care.teams.calls) == calls


# Orders.


@pytest.mark.parametrize("operator", [LINUS.id, LINUS.aad_id])
async def test_an_operators_buttons_do_it_and_the_report_says_who_did_what(start: Start, tmp_path: Path, operator: str) -> None:
    async with start(operators=(f"teams:{operator}",)) as care:
        shelf = care.service._shelf
        shelved(shelf, "lora-1")
        post = await reported(care, tmp_path, verdict="reverted", gates=PASSED)
        pressed = await care.teams.press(LINUS, post, cards.PROMOTE)
        assert pressed.said == orders.UNDER_WAY
        await below(care, post, "Linus Torvalds promoted lora-1: it is live now.")
        await care.teams.until(lambda: "Linus Torvalds promoted lora-1" in post.reading)
        assert shelf.live() == "lora-1"
        assert "12 rated turns" in post.reading, "the report stays"
        await care.idle()
        await care.teams.press(LINUS, post, cards.ROLLBACK)
        await below(care, post, "Linus Torvalds took lora-1 back: the base model is live now.")
        await care.teams.until(lambda: "took lora-1 back" in post.reading)
        assert shelf.live() is None
        assert cards.PROMOTE in json.dumps(post.cards)


async def test_an_operators_object_id_may_be_copied_in_capitals(start: Start, tmp_path: Path) -> None:
    read_ = settings.load({"CARE_OPERATORS": f"teams:{LINUS.aad_id.upper()}"})
    assert LINUS.aad_id.upper() != LINUS.aad_id
    async with start(operators=read_.operators) as care:
        shelved(care.service._shelf, "lora-1")
        post = await reported(care, tmp_path, verdict="reverted", gates=PASSED)
        assert (await care.teams.press(LINUS, post, cards.PROMOTE)).said == orders.UNDER_WAY
        await below(care, post, "Linus Torvalds promoted lora-1: it is live now.")


async def test_an_order_after_a_restart_finds_its_report(start: Start, teams: FakeTeams, tmp_path: Path) -> None:
    async with start(operators=(f"teams:{LINUS.id}",)) as care:
        shelved(care.service._shelf, "lora-1")
        post = await reported(care, tmp_path, verdict="reverted", gates=PASSED)
    async with start(operators=(f"teams:{LINUS.id}",)) as care:
        await teams.press(LINUS, post, cards.PROMOTE)
        await teams.until(lambda: "Linus Torvalds promoted lora-1" in post.reading)
        assert "12 rated turns" in post.reading


async def test_only_operators_promote_and_roll_back(start: Start, tmp_path: Path) -> None:
    async with start(operators=(f"teams:{LINUS.id}", f"slack:{GRACE.id}", f"teams:{GRACE.name}")) as care:
        shelf = care.service._shelf
        shelved(shelf, "lora-1")
        shelf.promote("lora-1", by="night", reason="passed")
        post = await reported(care, tmp_path, verdict="promoted", gates=PASSED)
        stands = copy.deepcopy(post.cards)
        pressed = await care.teams.press(GRACE, post, cards.ROLLBACK)
        refused = f"Only operators may do that: CARE_OPERATORS lists who is one. You would be teams:{GRACE.aad_id} there."
        assert (pressed.status, pressed.said) == (200, refused)
        for verb in (cards.PROMOTE, cards.ROLLBACK):
            for chat, place in ((post.chat, post.place), (care.teams.personal(GRACE), None)):
                action = {"type": "Action.Execute", "verb": verb, "data": {cards.LORA: "lora-1", cards.NOTICE: "n1"}}
                forged = {"action": action}
                told_ = await care.teams.invoke(GRACE, "adaptiveCard/action", forged, chat, place, replyToId=post.id)
                assert refused in json.dumps(told_.response)
        await care.idle()
        assert shelf.live() == "lora-1"
        assert post.cards == stands


async def test_an_order_that_is_told_twice_is_carried_out_once(start: Start, tmp_path: Path) -> None:
    async with start(operators=(f"teams:{LINUS.id}",)) as care:
        shelved(care.service._shelf, "lora-1")
        post = await reported(care, tmp_path, verdict="reverted", gates=PASSED)
        pressed = await care.teams.press(LINUS, post, cards.PROMOTE)
        await care.teams.redeliver(pressed.deliveries[0])
        await below(care, post, "promoted lora-1")
        await care.idle()
        assert sum("promoted lora-1" in each.text for each in care.teams.posts(ADMINS)) == 1


async def test_last_weeks_report_takes_back_nothing_else(start: Start, tmp_path: Path) -> None:
    async with start(operators=(f"teams:{LINUS.id}",)) as care:
        shelf = care.service._shelf
        for number in (1, 2):
            shelved(shelf, f"lora-{number}", seed=number)
            shelf.promote(f"lora-{number}", by="night", reason="passed")
        post = await reported(care, tmp_path, verdict="promoted", gates=PASSED)
        await care.teams.press(LINUS, post, cards.ROLLBACK)
        await below(care, post, "lora-1 is not live, lora-2 is")
        assert shelf.live() == "lora-2"


async def test_what_a_gate_refused_is_not_promoted_in_a_channel(start: Start, tmp_path: Path) -> None:
    async with start(operators=(f"teams:{LINUS.id}",)) as care:
        shelved(care.service._shelf, "lora-1", accepted=False)
        post = await reported(care, tmp_path, verdict="reverted", gates=PASSED)
        await care.teams.press(LINUS, post, cards.PROMOTE)
        await below(care, post, "the gates of lora-1 said no")
        assert care.service._shelf.live() is None


@pytest.mark.parametrize("lora", [None, 7, True, [], {}, "", "x" * 5000, "../../etc", "nobody"])
async def test_an_operators_order_with_a_lora_that_is_none_changes_nothing(start: Start, tmp_path: Path, lora: object) -> None:
    async with start(operators=(f"teams:{LINUS.id}",)) as care:
        post = await reported(care, tmp_path, verdict="promoted", gates=PASSED)
        for verb in (cards.PROMOTE, cards.ROLLBACK):
            action = {"type": "Action.Execute", "verb": verb, "data": {cards.LORA: lora, cards.NOTICE: lora}}
            sent = await care.teams.invoke(LINUS, "adaptiveCard/action", {"action": action}, post.chat, post.place, replyToId=post.id)
            assert sent.status in (200, 400)
            if sent.status == 200:
                await below(care, post, "did not work")
        await care.idle()
        assert care.service._shelf.live() is None


def test_when_stands_in_who_did_what() -> None:
    change = Change(datetime(2026, 11, 25, 23, 5, tzinfo=UTC), "promote", "lora-1", None, "teams:29:1", "")
    assert who_did("Linus", change) == "Linus promoted lora-1: it is live now. 2026-11-25 23:05 UTC"
