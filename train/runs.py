"""A night's folder under `CARE_HOME/runs`: what is done already, and whether it may be gone on with. Knows no stage.

A run is found by its key, the hash of everything its result depends on, and never by the clock: data or a recipe that changed
make another run, a clock that jumped does not. What is finished bears a COMPLETE file with the key and the hash of every file
beside it; anything else is made again.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from bot.home import AlreadyRunning
from model.manifest import BaseModel
from train.errors import NoRoom
from train.examples import Snapshot
from train.recipe import Recipe

COMPLETE = "COMPLETE"
_RUN = "run.json"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class Loss:
    """The mean loss of one step, in nats a token of the answers."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Run:
    """One night's folder and its key. `merged_with` is the LoRA that was live when it began, where its recipe merges that in."""

    folder: Path
    key: str
    merged_with: str | None = None

    @property
    def lora_id(self) -> str:
        """The name of what this run trains: its night and the begin of its key."""
        return f"{self.folder.name[:10].replace('-', '')}-{self.key[:8]}"

    @property
    def candidate(self) -> Path:
        return self.folder / "candidate"

    @property
    def merged(self) -> Path:
        """What became of the candidate and the live LoRA, where the recipe merges them."""
        return self.folder / "merged"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def finished(self) -> bool:
        return (self.folder / "finished.json").exists()

    def finish(self, verdict: str) -> None:
        """Says that nothing of this run is left to do, and frees what only served to go on with it."""
        write_json(self.folder / "finished.json", {"verdict": verdict})
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def run_key(snapshot: Snapshot, recipe: Recipe, base: BaseModel, *, control: bool) -> str:
    """The hash of everything that decides what comes out of a training."""
    parts = {"format": 1, "snapshot": snapshot.sha256, "recipe": recipe.facts(), "base": asdict(base), "control": control}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def has_unfinished(runs: Path, snapshot: Snapshot) -> bool:
    """Whether a run over these very examples was stopped before its report."""
    for known in runs.glob(f"*/{_RUN}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(known.read_text())["snapshot"] == snapshot.sha256 and not Run(known.parent, "").finished:
                return True
    return False


def find_or_make(runs: Path, key: str, snapshot: Snapshot, today: date, merged_with: str | None = None) -> Run:
    """The run with this key, or a new folder named by the date (`-2`, `-3`, … when that is taken)."""
    for known in sorted(runs.glob(f"*/{_RUN}")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(known.read_text())
            if told["key"] == key:
                return Run(known.parent, key, told.get("merged_with"))
    number = 1
    while (folder := runs / (today.isoformat() if number == 1 else f"{today.isoformat()}-{number}")).exists():
        if not (folder / _RUN).exists():  # a crash between the two lines below
            break
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _RUN, {"key": key, "snapshot": snapshot.sha256, "merged_with": merged_with})
    return Run(folder, key, merged_with)


def mark_complete(folder: Path, key: str, names: Collection[str] | None = None) -> None:
    """Everything in this folder (or the files of these names) is on the disk, and belongs to the run with this key."""
    found = (path for path in sorted(folder.iterdir()) if path.is_file() and path.name != COMPLETE)
    files = {path.name: _sha256(path) for path in found if names is None or path.name in names}
    for name in files:
        _sync(folder / name)
    write_json(folder / COMPLETE, {"key": key, "files": files})


def is_complete(folder: Path, key: str) -> bool:
    """Whether a folder was marked by a run with this key and still holds those bytes."""
    try:
        marked: Mapping[str, object] = json.loads((folder / COMPLETE).read_text())
        files = marked["files"]
        return marked["key"] == key and isinstance(files, dict) and all(_sha256(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def last_checkpoint(checkpoints: Path, key: str) -> Path | None:
    """The newest complete checkpoint; what a crash left half-written is removed."""
    newest: Path | None = None
    for folder in sorted(checkpoints.glob("checkpoint-*"), key=step):
        if is_complete(folder, key):
            newest = folder
        else:
            shutil.rmtree(folder)
    return newest


def step(checkpoint: Path) -> int:
    """After how many steps it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def write_json(path: Path, content: object) -> None:
    """Replaces a file in one go: a reader, or the next night, sees the old or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    _sync(part)
    os.replace(part, path)
    _sync(path.parent)


@contextmanager
def only_night(home: Path) -> Iterator[None]:
    """Held while a night runs; the system frees it when the process ends. Raises AlreadyRunning."""
    home.mkdir(parents=True, exist_ok=True)
    file = os.open(home / "nightly.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = os.pread(file, 20, 0).decode(errors="replace") or "unknown"
            raise AlreadyRunning(
                f"another night runs in CARE_HOME={str(home)!r} (process {who}); let it finish, or stop it first"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


@contextmanager
def room(home: Path) -> Iterator[None]:
    """A disk that is full or read-only, whoever noticed it, as NoRoom."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not _says_no_room(cause):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise NoRoom(
            f"the night could not write under {home} ({cause}); free some space: `care nightly` then goes on where it stopped"
        ) from error


def _says_no_room(error: BaseException) -> bool:
    """safetensors and torch have exceptions of their own for it, with the system's words in them."""
    return getattr(error, "errno", None) in _NO_ROOM or "No space left on device" in str(error) or "os error 28" in str(error)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
