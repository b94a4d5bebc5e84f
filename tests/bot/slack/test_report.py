import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.connectors.nights import read
from bot.connectors.slack.report import report_blocks
from bot.notices import OPERATORS, Notice
from bot.store import Store
from tests.bot.slack.conftest import Care
from tests.fakes.slack import ADMINS

FOUND = {
    "verdict": "kept",
    "lora": "2026-11-25-ab12",
    "compared_with": "base",
    "gates": [
        {"gate": "better on the new data", "measured": 0.12, "limit": 0.0, "passed": True, "interval": None},
        {"gate": "safety", "measured": 1.0, "limit": 0.0, "passed": False, "interval": None},
    ],
    "scores": {
        "base": [{"item": "a", "domain": "banking", "loss": 2.0}, {"item": "b", "domain": "medical", "loss": 1.0}],
        "candidate": [{"item": "a", "domain": "banking", "loss": 1.0}, {"item": "b", "domain": "medical", "loss": 1.5}],
    },
    "samples": {"a": {"base": "Call <!here>", "candidate": "Block the card in the app."}},
    "questions": {"a": "My card is <!channel> lost"},
    "taught": [{"turn_id": "t", "question": "How do I block my card?"}],
}


def told(folder: Path, text: str = "Kept what was live: a gate said no.\n12 rated turns.") -> Notice:
    return Notice("n", "report", OPERATORS, "", "s", text, datetime(2026, 11, 25, tzinfo=UTC), report=str(folder / "report.html"))


def shown(folder: Path, found: dict[str, object], text: str = "Kept what was live: a gate said no.\n12 rated turns.") -> str:
    (folder / "report.json").write_text(json.dumps(found))
    notice = told(folder, text)
    return json.dumps([block.to_dict() for block in report_blocks(notice, read(notice))], ensure_ascii=False)


def test_the_verdict_comes_first_then_the_gates_then_what_was_won_and_lost(tmp_path: Path) -> None:
    sent = shown(tmp_path, FOUND)
    order = ["Kept what was live", "12 rated turns", "NOT PASSED", "Taught", "Won most", "+1.00", "My card is", "Lost most", "-0.50"]
    places = [sent.index(each) for each in order]
    assert places == sorted(places)
    assert "&lt;!here&gt;" in sent
    assert not any(each in sent for each in ("<!here>", "<!channel>"))


def test_what_was_promoted_can_be_rolled_back_and_what_passed_and_was_taken_back_promoted(tmp_path: Path) -> None:
    passed = [{"gate": "safety", "measured": 0.0, "limit": 0.0, "passed": True}]
    for verdict, gates, button in (
        ("kept", FOUND["gates"], None),
        ("reverted", FOUND["gates"], None),
        ("control", passed, None),
        ("reverted", passed, "care_promote"),
        ("promoted", passed, "care_rollback"),
    ):
        sent = shown(tmp_path, FOUND | {"verdict": verdict, "gates": gates})
        assert [each for each in ("care_promote", "care_rollback") if each in sent] == ([button] if button else [])


def test_the_chart_comes_along(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(FOUND))
    (tmp_path / "report.png").write_bytes(b"png")
    report = read(told(tmp_path))
    assert report is not None
    assert report.chart == b"png"


def test_a_report_that_is_gone_or_damaged_leaves_the_notice(tmp_path: Path) -> None:
    notice = told(tmp_path)
    assert read(notice) is None
    (tmp_path / "report.json").write_text('{"verdict": 3')
    assert read(notice) is None
    assert "12 rated turns" in json.dumps([block.to_dict() for block in report_blocks(notice, None)])


def test_endless_texts_fit(tmp_path: Path) -> None:
    gates = [{"gate": "g" * 60, "measured": 1.0, "limit": 1.0, "passed": True}] * 100
    samples = {"a": {"base": "&" * 9000, "candidate": "<" * 9000}}
    shown(tmp_path, FOUND | {"gates": gates, "samples": samples, "taught": [{"question": "&" * 9000}] * 9}, "v" * 400 + "\n" + "x" * 9000)


@pytest.mark.parametrize("refused", [False, True])
async def test_the_admin_channel_gets_the_night_once_with_its_chart_if_slack_takes_it(care: Care, tmp_path: Path, refused: bool) -> None:
    (tmp_path / "report.json").write_text(json.dumps(FOUND))
    (tmp_path / "report.png").write_bytes(b"png")
    if refused:
        care.slack.scopes.discard("files:write")
    await care.service._archive.run(Store.notify, [told(tmp_path)])
    await care.service.postman.go_round()
    await care.service.postman.go_round()
    last = "files.getUploadURLExternal" if refused else "files.completeUploadExternal"
    await care.slack.until(lambda: any(call.method == last for call in care.slack.calls))
    posts = [message for message in care.slack.messages(ADMINS) if message.blocks]
    assert len(posts) == 1
    assert "Kept what was live" in posts[0].reading
    assert "NOT PASSED" in json.dumps(posts[0].blocks)
