import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot import doctor
from bot.checks import Check
from bot.commands import doctor as command
from bot.settings import Settings
from bot.store import Store
from bot.turns import Question


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "var", port=0)


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is looked at by tests of model/device.py."""
    monkeypatch.setattr(doctor, "_device", lambda *_, **__: iter(()))


def looked_at(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in doctor.general_checks(settings)}


def test_a_new_machine_is_fine(settings: Settings) -> None:
    found = looked_at(settings)
    assert {check.state for name, check in found.items() if name != "disk"} == {"ok"}
    assert list(found)[:2] == ["python", "address"]
    assert not settings.home.exists()


def test_a_damaged_database_is_found_and_left_alone(settings: Settings) -> None:
    settings.home.mkdir()
    settings.database.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    found = looked_at(settings)["database"]
    assert found.state == "failed"
    assert "backup" in (found.next_step or "")


def test_turns_are_counted(settings: Settings) -> None:
    settings.home.mkdir()
    Store(settings.database).close()
    assert looked_at(settings)["database"].detail.endswith("0 turns")


def test_whether_messages_come_in_shows_by_what_came(settings: Settings) -> None:
    assert [check.state for check in doctor.arrivals(settings, "slack", otherwise="paste it again")] == ["warning", "warning"]
    settings.home.mkdir()
    store = Store(settings.database)
    asked = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    store.receive(Question("slack", "e1", "T/C/1", "U1", "Why?", asked, private=False), "t1", "other")
    store.close()
    direct, channels = doctor.arrivals(settings, "slack", otherwise="paste it again")
    assert (direct.state, direct.next_step) == ("warning", "paste it again")
    assert (channels.state, channels.detail) == ("ok", "the last question came at 2026-03-01 09:30 UTC")


def test_a_taken_port_is_named(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = replace(settings, port=other.getsockname()[1])
        assert "can't be bound" in looked_at(taken)["address"].detail


def test_a_home_that_cant_be_written_is_named(settings: Settings) -> None:
    found = looked_at(replace(settings, home=Path("/proc/care")))
    assert found["home"].state == "failed"


def test_a_live_lora_that_is_gone_is_found(settings: Settings) -> None:
    settings.loras.mkdir(parents=True)
    (settings.loras / "live").symlink_to("2026-01-01-gone")
    found = looked_at(settings)["loras"]
    assert found.state == "failed"
    assert "rollback" in (found.next_step or "")


@pytest.mark.parametrize(
    ("model", "state", "said"),
    [("/nowhere/model", "failed", "config.json"), ("some/model", "warning", "not here yet")],
)
def test_a_model_that_is_not_here_is_told(settings: Settings, model: str, state: str, said: str) -> None:
    found = looked_at(replace(settings, model=model))["files"]
    assert (found.state, said in found.detail) == (state, True)


def test_a_misspelt_variable_is_told_with_what_was_meant(tmp_path: Path) -> None:
    (found,) = doctor.settings_checks(["CARE_PROT"], tmp_path / ".env")
    assert (found.state, found.next_step) == ("warning", "did you mean CARE_PORT?")


def test_secrets_that_others_can_read_are_told(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("CARE_TOKEN=secret")
    dotenv.chmod(0o644)
    assert [check.next_step for check in doctor.settings_checks([], dotenv) if check.state == "warning"] == [f"chmod 600 {dotenv}"]


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str, **environment: str) -> Result:
    monkeypatch.chdir(tmp_path)
    for name, value in {"CARE_HOME": str(tmp_path / "var"), "CARE_PORT": "0", **environment}.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(command.doctor, arguments)


def test_the_table_is_aligned_and_ends_with_the_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = run(monkeypatch, tmp_path, CARE_MODEL="/nowhere/model")
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 14
    assert lines[-1].startswith("1 of ")
    assert len({line.index("  ", 8) for line in lines if line.startswith("  ok    python")}) == 1
    assert any("→ name a folder" in line for line in lines)


def test_json_holds_every_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = run(monkeypatch, tmp_path, "--json")
    assert shown.exit_code == 0
    assert {"section", "name", "state", "detail", "next_step"} == set(json.loads(shown.stdout)[0])


def test_bad_settings_are_told_and_end_with_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = run(monkeypatch, tmp_path, CARE_SLOTS="many", CARE_QUEUE="-1")
    assert shown.exit_code == 2
    assert "CARE_SLOTS" in shown.stdout
    assert "CARE_QUEUE" in shown.stdout
