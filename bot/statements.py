"""What the parts of the store share: one connection, its transactions, and turns out of rows. Knows no question."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.faults import DatabaseCorrupt, StorageFull, StorageUnavailable, UnknownTurn
from bot.rows import TURN_COLUMNS, to_turn
from bot.turns import Turn

log = logging.getLogger(__name__)


class Statements:
    """`Store` opens the connection."""

    path: Path
    _connection: sqlite3.Connection

    def turn(self, turn_id: str) -> Turn:
        """One turn with its asker's rating. Raises UnknownTurn."""
        found = self._select("t.id = ?", (turn_id,))
        if not found:
            raise UnknownTurn(f"there is no turn {turn_id!r}")
        return found[0]

    def _select(self, where: str, values: Sequence[object] = (), rater: str | None = None) -> list[Turn]:
        """Turns with the rating of `rater`, or of their asker."""
        with translated(self.path):
            rows = self._connection.execute(
                f"""
                SELECT {TURN_COLUMNS} FROM turns t
                LEFT JOIN ratings r ON r.turn_id = t.id AND r.user_id = coalesce(?, t.user_id)
                WHERE {where} ORDER BY t.rowid
                """,
                (rater, *values),
            ).fetchall()
        return [to_turn(row) for row in rows]

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with translated(self.path):
            return self._connection.execute(sql, values).fetchall()

    def _iterate(self, sql: str) -> Iterator[sqlite3.Row]:
        """Rows one after another: not all of them have to lie in memory at once."""
        with translated(self.path):
            yield from self._connection.execute(sql)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; commits when the block ends well."""
        with translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:  # something went wrong, in the block or in the commit
                    self._connection.execute("ROLLBACK")

    def empty_log(self) -> bool:
        """Takes erased text out of the write-ahead log; False: another reader holds it, and a later call has to do it."""
        busy = 1
        with suppress(sqlite3.OperationalError):
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            log.warning("erased text stays in the write-ahead log until its other readers have gone", extra={"database": str(self.path)})
        return not busy


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as the store's own."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise StorageFull(f"the disk under {path} is full; free some space and try again") from error
        raise StorageUnavailable(f"{path}: {error}; check the disk and its permissions") from error
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DatabaseCorrupt(f"{path} is damaged ({error})") from error
        raise
