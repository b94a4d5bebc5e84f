"""`care chat`: questions and ratings from a terminal."""

import os
import subprocess
from pathlib import Path

from tests.e2e.serving import CARE, Server


def chat(home: Path, *lines: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What a terminal shows for these lines."""
    environment = {**os.environ, "CARE_HOME": str(home), **settings}
    return subprocess.run([str(CARE), "chat"], input="\n".join(lines), env=environment, capture_output=True, text=True, timeout=60)


def test_a_terminal_asks_rates_and_corrects(tmp_path: Path) -> None:
    with Server.scripted(tmp_path / "home") as server:
        run = chat(
            server.home, "Why is it slow?", "/down too vague", "And now?", "/up", "/new", "Fresh start?", "/down wrong", "/correct Say yes."
        )
        assert run.returncode == 0
        assert run.stdout.splitlines() == ["You asked: Why is it slow? Bye.", "You asked: And now? Bye.", "You asked: Fresh start? Bye."]
        assert "CARE is a machine" in run.stderr
        assert run.stderr.count("Thanks, saved.") == 4
        rows = server.rows(
            "SELECT verdict, reason, correction, conversation_id FROM turns JOIN ratings ON turn_id = id ORDER BY turns.rowid"
        )
    assert [(row["verdict"], row["reason"], row["correction"]) for row in rows] == [
        (-1, "too vague", None),
        (1, None, None),
        (-1, "wrong", "Say yes."),
    ]
    assert rows[0]["conversation_id"] == rows[1]["conversation_id"] != rows[2]["conversation_id"]


def test_a_terminal_needs_a_running_server(tmp_path: Path) -> None:
    run = chat(tmp_path / "home", "Why?")
    assert run.returncode == 14
    assert "start one with `care serve`" in run.stderr


def test_a_terminal_says_what_is_wrong_and_goes_on(tmp_path: Path) -> None:
    with Server.scripted(tmp_path / "home", settings={"CARE_TOKEN": "open-sesame-42"}) as server:
        assert "CARE_TOKEN is set" in chat(server.home, "Why?").stderr
        run = chat(server.home, "/up", "/dance", "word " * 600, "Still there?", CARE_TOKEN="open-sesame-42")
    assert "There is no answer to rate yet." in run.stderr
    assert "context window" in run.stderr
    assert run.stdout.splitlines() == ["You asked: Still there? Bye."]
