"""CARE_HOME: the folder that holds all state, and the lock that lets one server use it. Knows no content of it."""

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


class AlreadyRunning(Exception):
    """Another server uses this home."""


class HomeUnusable(Exception):
    """The folder can't be made or written."""


class AddressTaken(Exception):
    """CARE_HOST and CARE_PORT can't be bound."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a server says of itself in the lock file."""

    pid: int
    url: str


class HomeLock:
    """Held while a server runs; the system frees it when the process ends, however it ends."""

    def __init__(self, home: Path) -> None:
        """Makes the folder and takes the lock. Raises AlreadyRunning or HomeUnusable."""
        try:
            home.mkdir(parents=True, exist_ok=True)
            self._file = os.open(home / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeUnusable(
                f"CARE_HOME={str(home)!r} can't be used ({error.strerror}); make it writable or name another folder"
            ) from error
        try:
            _lock(self._file)
        except OSError as error:
            os.close(self._file)
            other = running(home)
            who = f"process {other.pid} at {other.url}" if other else "another process"
            raise AlreadyRunning(f"CARE_HOME={str(home)!r} is in use by {who}; stop that first or set another CARE_HOME") from error

    def announce(self, url: str) -> None:
        """Says where this server listens, for `care status` and `care chat`."""
        text = json.dumps(asdict(Running(os.getpid(), url))).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def _lock(file: int) -> None:
    """Takes the lock; `running` of another process may hold it for a moment."""
    for pause in (0.05, 0.1):
        with suppress(OSError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(pause)
    return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def running(home: Path) -> Running | None:
    """The server that uses this home, if there is one."""
    try:
        with (home / "serve.lock").open("rb") as file:
            if _lockable(file.fileno()):
                return None
            return Running(**json.loads(file.read()))
    except (OSError, ValueError, TypeError):
        return None


def _lockable(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True
