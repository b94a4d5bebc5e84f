"""`make demo-slack`: what it hands to `care serve`."""

import pytest

from deploy.demo.slack import environment
from tests.fakes.slack import FakeSlack


def test_the_demo_passes_nothing_of_somebodys_real_slack_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "a real one")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-a-real-one")
    monkeypatch.setenv("CARE_TOKEN", "a real one")
    handed = environment(FakeSlack())
    assert "a real one" not in handed.values()
    assert handed["SLACK_BOT_TOKEN"] == "xoxb-fake-bot"
    assert handed["SLACK_API_URL"].startswith("http://127.0.0.1:")
