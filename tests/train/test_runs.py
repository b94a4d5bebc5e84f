"""A run is gone on with only if what it depends on is equal, and only from what was finished."""

import errno
import json
from datetime import date
from pathlib import Path

import pytest
from safetensors import SafetensorError

from bot.home import AlreadyRunning
from tests.fakes.loras import BASE
from train.errors import NoRoom
from train.examples import Snapshot
from train.recipe import load
from train.runs import find_or_make, has_unfinished, is_complete, last_checkpoint, mark_complete, only_night, room, run_key

SNAPSHOT = Snapshot(Path("x.jsonl"), "a" * 64)
TODAY = date(2026, 3, 1)


def test_the_key_changes_with_everything_the_result_depends_on() -> None:
    recipe = load("embedded")
    keys = {
        run_key(SNAPSHOT, recipe, BASE, control=False),
        run_key(Snapshot(SNAPSHOT.path, "b" * 64), recipe, BASE, control=False),
        run_key(SNAPSHOT, recipe.model_copy(update={"seed": 1}), BASE, control=False),
        run_key(SNAPSHOT, recipe, type(BASE)("scripted", "c" * 64, "b" * 64, "nf4"), control=False),
        run_key(SNAPSHOT, recipe, BASE, control=True),
    }
    assert len(keys) == 5
    assert run_key(Snapshot(Path("elsewhere"), "a" * 64), recipe, BASE, control=False) in keys


def test_a_clock_that_jumps_finds_the_same_run_again(tmp_path: Path) -> None:
    run = find_or_make(tmp_path, "k1", SNAPSHOT, TODAY)
    assert find_or_make(tmp_path, "k1", SNAPSHOT, date(1999, 1, 1)) == run
    assert find_or_make(tmp_path, "k2", SNAPSHOT, TODAY).folder.name == "2026-03-01-2"
    assert find_or_make(tmp_path, "k3", SNAPSHOT, TODAY).folder.name == "2026-03-01-3"
    assert run.lora_id == "20260301-k1"


def test_a_run_is_unfinished_until_its_report(tmp_path: Path) -> None:
    run = find_or_make(tmp_path, "k1", SNAPSHOT, TODAY)
    assert has_unfinished(tmp_path, SNAPSHOT)
    assert not has_unfinished(tmp_path, Snapshot(Path("y"), "b" * 64))
    run.checkpoints.mkdir()
    run.finish("kept")
    assert not has_unfinished(tmp_path, SNAPSHOT)
    assert not run.checkpoints.exists()


def test_a_damaged_run_is_passed_over(tmp_path: Path) -> None:
    run = find_or_make(tmp_path, "k1", SNAPSHOT, TODAY)
    (run.folder / "run.json").write_text("[")
    assert find_or_make(tmp_path, "k1", SNAPSHOT, TODAY).folder.name == "2026-03-01-2"
    assert find_or_make(tmp_path, "k1", SNAPSHOT, TODAY).folder.name == "2026-03-01-2"


def checkpoint(folder: Path, step: int, key: str | None) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "weights").write_text(str(step))
    if key is not None:
        mark_complete(made, key)
    return made


def test_the_newest_complete_checkpoint_counts_and_half_written_ones_go(tmp_path: Path) -> None:
    nine, ten = checkpoint(tmp_path, 9, "k"), checkpoint(tmp_path, 10, "k")
    half, other = checkpoint(tmp_path, 11, None), checkpoint(tmp_path, 12, "another key")
    assert last_checkpoint(tmp_path, "k") == ten
    assert (nine.exists(), half.exists(), other.exists()) == (True, False, False)
    (ten / "weights").write_text("damaged")
    assert last_checkpoint(tmp_path, "k") == nine
    assert last_checkpoint(tmp_path / "none", "k") is None


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"key": "k"}', '{"key": "k", "files": 3}', '{"key": "k", "files": {"gone": "x"}}'])
def test_a_marker_that_makes_no_sense_marks_nothing(tmp_path: Path, marker: str) -> None:
    (tmp_path / "COMPLETE").write_text(marker)
    assert not is_complete(tmp_path, "k")


def test_a_second_night_at_the_same_time_is_refused_by_the_first_ones_process(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with only_night(home), pytest.raises(AlreadyRunning, match=r"another night runs .* \(process \d+\)"), only_night(home):
        pass
    with only_night(home):
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("PytorchStreamWriter failed writing file: No space left on device"),
    ],
)
def test_a_full_disk_is_said_as_one_whoever_noticed(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(NoRoom, match="free some space"), room(tmp_path):
        raise error


def test_a_full_disk_behind_another_error_is_found(tmp_path: Path) -> None:
    error = ValueError("could not save")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(NoRoom), room(tmp_path):
        raise error


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), room(tmp_path):
        json.loads(str(1 // 0))
