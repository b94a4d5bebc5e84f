"""What earlier nights found out about texts, by their hash: a night looks only at what is new. Holds no text and knows no rule.

The file may be deleted at any time; what can't be read or written is worked out again.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_CHUNK = 500  # keys in one question
_WRITE_AT_ONCE = 20_000  # texts: a night that is killed loses no more than these
_WAIT_SECONDS = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS made_by (version TEXT PRIMARY KEY NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS found (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) STRICT;
"""


class Memo:
    """Remembers in a SQLite file, or, without one, nothing."""

    def __init__(self, path: Path | None = None, version: str = "") -> None:
        """What was remembered under another `version` (of the rules) is forgotten."""
        self._connection = _open(path, version) if path is not None else None
        self._used: dict[str, set[bytes]] = {}

    def of(self, kind: str, texts: Sequence[str], find: Callable[[str], bytes]) -> list[bytes]:
        """What `find` says of each text; `kind` names it, and equal texts have equal answers. Each text is looked at once."""
        keys = [hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest() for text in texts]
        wanted = set(keys)
        self._used[kind] = self._used.get(kind, set()) | wanted
        known = self._read(kind, sorted(wanted))
        new: dict[bytes, bytes] = {}
        for key, text in zip(keys, texts, strict=True):
            if key not in known:
                known[key] = new[key] = find(text)
                if len(new) == _WRITE_AT_ONCE:
                    self._write(kind, new)
                    new = {}
        self._write(kind, new)
        return [known[key] for key in keys]

    def close(self) -> None:
        """Forgets what nobody has asked for since it was opened, once that is the larger part."""
        if self._connection is None:
            return
        with suppress(sqlite3.Error):
            [(kept,)] = self._connection.execute("SELECT count(*) FROM found")
            if kept > 2 * sum(map(len, self._used.values())):
                self._connection.execute("CREATE TEMP TABLE used (kind TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (kind, key)) STRICT")
                for kind, keys in self._used.items():
                    self._connection.executemany("INSERT INTO used VALUES (?, ?)", [(kind, key) for key in keys])
                self._connection.execute("DELETE FROM found WHERE (kind, key) NOT IN (SELECT kind, key FROM used)")
        self._connection.close()
        self._connection = None

    def _read(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        if self._connection is not None:
            try:
                for part in (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK)):
                    marks = ", ".join("?" * len(part))
                    found.update(
                        self._connection.execute(f"SELECT key, value FROM found WHERE kind = ? AND key IN ({marks})", (kind, *part))
                    )
            except sqlite3.Error as error:
                self._give_up(error)
        return found

    def _write(self, kind: str, found: dict[bytes, bytes]) -> None:
        if self._connection is None or not found:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", [(kind, *each) for each in found.items()])
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: sqlite3.Error) -> None:
        """Goes on without: a night is slower then, not wrong."""
        log.warning("nothing is remembered for the next night", extra={"error": str(error)})
        assert self._connection is not None
        self._connection.close()
        self._connection = None


def _open(path: Path, version: str) -> sqlite3.Connection | None:
    """None where there is no room for it, or another night holds it."""
    for last in (False, True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _ready(path, version)
        except (sqlite3.Error, OSError) as error:
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            if last or not damaged:
                log.warning("nothing is remembered for the next night", extra={"path": str(path), "error": str(error)})
                return None
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
    return None


def _ready(path: Path, version: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # what a power cut damages is made anew
        connection.executescript(_SCHEMA)
        if connection.execute("SELECT version FROM made_by").fetchall() != [(version,)]:
            connection.executescript("BEGIN IMMEDIATE; DELETE FROM found; DELETE FROM made_by")
            connection.execute("INSERT INTO made_by VALUES (?)", (version,))
            connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
