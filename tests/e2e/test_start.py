"""What an operator sees when something is wrong: one clear error, the exit code of the contract, nothing overwritten."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.serving import CARE, ROOT, Server, completion
from tests.e2e.warm import ENGINE, Forked, Warm, warm


def serve(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs `care serve` to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARE_")}
    environment |= {"CARE_HOME": str(home), "CARE_PORT": "0", **settings}
    return subprocess.run([str(CARE), "serve"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def serve_warm(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The same where it comes to the model: what that imports, which takes seconds, is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARE_")}
    return warm(ENGINE).run(["serve"], environment | {"CARE_HOME": str(home), "CARE_PORT": "0", **settings})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where the machine lets us make one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "care-test", str(mount)], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_all_wrong_settings_are_reported_at_once(tmp_path: Path) -> None:
    run = serve(tmp_path, CARE_PORT="99999", CARE_SLOTS="many", CARE_HOST="0.0.0.0")  # noqa: S104
    assert run.returncode == 2
    for variable in ("CARE_PORT='99999'", "CARE_SLOTS='many'", "CARE_HOST='0.0.0.0'"):
        assert variable in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_an_unknown_verb_is_a_usage_error(tmp_path: Path) -> None:
    run = subprocess.run([str(CARE), "fly"], capture_output=True, text=True, timeout=30)
    assert run.returncode == 2
    assert "fly" in run.stderr


def test_a_home_in_use_ends_the_second_server(tmp_path: Path) -> None:
    with Server.scripted(tmp_path / "home") as first:
        run = serve(tmp_path / "home")
        assert run.returncode == 13
        assert f"process {first.process.pid} at {first.url}" in run.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = serve(tmp_path, CARE_PORT=str(taken.getsockname()[1]))
    assert run.returncode == 2
    assert "set another CARE_PORT" in run.stderr


def test_a_command_that_goes_on_although_it_should_not_ends_with_its_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = Warm.start, []

    def beginning(*given: object) -> Forked:
        begun.append(begin(*given))
        assert "listening on" in begun[0].stdout.readline()
        begun[0].stdout.close()  # so that reading on fails, as a test does that has no more time
        return begun[0]

    monkeypatch.setattr(Warm, "start", beginning)
    with pytest.raises(ValueError, match="closed file"):
        serve_warm(tmp_path)
    assert begun[0].wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("model", ["./no/such/folder", "not a hub id!"])
def test_an_unknown_model_is_a_bad_setting(tmp_path: Path, model: str) -> None:
    run = serve_warm(tmp_path, CARE_MODEL=model)
    assert run.returncode == 2
    assert f"CARE_MODEL={model!r}" in run.stderr


def test_a_damaged_model_is_an_integrity_error(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{not json")
    run = serve_warm(tmp_path / "home", CARE_MODEL=str(folder))
    assert run.returncode == 20
    assert str(folder) in run.stderr


def test_a_corrupt_database_is_kept_aside_and_never_overwritten(tmp_path: Path) -> None:
    database = tmp_path / "care.db"
    database.write_bytes(b"not a database at all" * 1000)
    for _ in range(2):
        run = serve(tmp_path)
        assert run.returncode == 20
        assert "Put a backup in its place" in run.stderr
    (aside,) = tmp_path.glob("care.db.corrupt-*")
    assert aside.read_bytes() == database.read_bytes() == b"not a database at all" * 1000


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = serve(tmp_path / "file" / "home")
    assert run.returncode == 14
    assert "CARE_HOME" in run.stderr


def test_a_read_only_disk_stops_the_start(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    run = serve(small_disk / "home")
    assert run.returncode == 14
    assert "make it writable or name another folder" in run.stderr


def test_a_full_disk_stops_the_start(small_disk: Path) -> None:
    (small_disk / "home").mkdir()
    _fill(small_disk)
    run = serve(small_disk / "home")
    assert run.returncode == 14
    assert "free some space" in run.stderr


async def test_a_disk_that_fills_up_refuses_questions_and_recovers(small_disk: Path) -> None:
    with Server.scripted(small_disk / "home") as server:
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            assert await _ask(session) == 200
            _fill(small_disk)
            statuses = [await _ask(session) for _ in range(8)]
            acknowledged = 1 + statuses.count(200)
            assert statuses[-1] == 503
            assert set(statuses) <= {200, 503}
            assert "full" in await _until_not_ready(session)
            (small_disk / "filler").unlink()
            assert await _ask(session) == 200
            await server.ready(session)
        await server.settled()
        assert len(server.rows("SELECT id FROM turns")) == acknowledged + 1


def test_status_says_what_runs_and_what_is_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "CARE_HOME": str(home)}

    def status(*options: str) -> str:
        return subprocess.run([str(CARE), "status", *options], env=environment, capture_output=True, text=True, check=True).stdout

    assert "not running" in status()
    with Server.scripted(home) as server:
        assert f"running at {server.url}" in status()
        assert '"running": true' in status("--json")
    assert "not running" in status()


async def _until_not_ready(session: aiohttp.ClientSession) -> str:
    """Readiness may be a second old."""
    for _ in range(30):
        async with session.get("/readyz") as response:
            if response.status == 503:
                return await response.text()
        await asyncio.sleep(0.1)
    raise AssertionError("ready on a full disk")


def _fill(disk: Path) -> None:
    filler = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(filler, b"\0" * 4096):
            pass
    os.close(filler)


async def _ask(session: aiohttp.ClientSession) -> int:
    async with session.post("/v1/chat/completions", json=completion("why " * 400)) as response:
        await response.read()
        return response.status
