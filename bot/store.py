"""The store: every SQL statement, one method a question asked. Blocking; knows no platform and no engine.

A method that writes returns only after its commit, and may be called again with the same values without harm.

StoreError
├── StorageFull        the disk is full: nothing was written, try again later
├── StorageUnavailable the database can't be read or written now (I/O error, read-only, locked)
├── DatabaseCorrupt    the file is damaged; it was left as it is and copied aside
├── DatabaseTooNew     a newer CARE wrote it
├── UnknownTurn        there is no such turn or conversation for this person
└── NotYours           it belongs to somebody else
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bot import database
from bot.learning import Learning
from bot.rows import HISTORY_TURNS, REPLACED, TURN_COLUMNS, prompt_to_json, time_to_text, to_head, to_turn
from bot.turns import Conversation, ConversationHead, Question, Rating, Reply, Status, Turn


class StoreError(Exception):
    """Anything the store refuses or fails to do."""


class StorageFull(StoreError):
    """The disk is full; nothing was written."""


class StorageUnavailable(StoreError):
    """The database can't be read or written now."""


class DatabaseCorrupt(StoreError):
    """The database file is damaged."""


class DatabaseTooNew(StoreError):
    """A newer CARE wrote the database."""


class UnknownTurn(StoreError):
    """There is no such turn or conversation for this person."""


class NotYours(StoreError):
    """It belongs to somebody else."""


log = logging.getLogger(__name__)

_AFTER_DAMAGE = "Put a backup in its place, or move it away to start with an empty database"
_BUSY_MILLISECONDS = 5000


class Store(Learning):
    """One connection to `care.db`. Use it from one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Opens or makes the database, migrated, with a backup beside it first; `read_only` as it is. Raises StoreError."""
        self.path = path
        if read_only:
            with _translated(path):
                self._connection = database.connect_read_only(path)
                self._connection.row_factory = sqlite3.Row
            return
        try:
            with _translated(path):
                if damage := database.find_damage(path):
                    raise DatabaseCorrupt(f"{path} is damaged ({damage})")
                self._connection = sqlite3.connect(path, timeout=_BUSY_MILLISECONDS / 1000, check_same_thread=False)
                self._connection.row_factory = sqlite3.Row
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
                    self._connection.execute(f"PRAGMA {pragma}")
                if unknown := database.migrate(self._connection, path):
                    raise DatabaseTooNew(f"{path} was written by a newer CARE (it has {sorted(unknown)}); update CARE")
        except DatabaseCorrupt as error:
            raise DatabaseCorrupt(f"{error}; it was left as it is and {database.keep_aside(path)}. {_AFTER_DAMAGE}") from error

    def close(self) -> None:
        self._connection.close()

    def receive(self, question: Question, turn_id: str, domain: str) -> Turn:
        """Records a question; an event id seen before gives the first turn. Raises NotYours, UnknownTurn."""
        with self._write() as db:
            known = self._select("t.platform = ? AND t.event_id = ?", (question.platform, question.event_id), question.user_id)
            if known:
                return _own(known[0], question.user_id)
            self._require_conversation(question)
            db.execute(
                """
                INSERT INTO turns (id, platform, event_id, conversation_id, user_id, user_name, private, question, prompt,
                                   replaces, domain, status, asked_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'received', ?)
                """,
                (
                    turn_id,
                    question.platform,
                    question.event_id,
                    question.conversation_id,
                    question.user_id,
                    question.user_name,
                    question.private,
                    question.text,
                    prompt_to_json(question.prompt),
                    question.replaces,
                    domain,
                    time_to_text(question.asked_at),
                ),
            )
        return self.turn(turn_id)

    def _require_conversation(self, question: Question) -> None:
        """A private conversation takes questions from its own person only, and replaces only what stands in it."""
        place = (question.platform, question.conversation_id)
        owner = self._connection.execute(
            "SELECT user_id FROM turns WHERE platform = ? AND conversation_id = ? AND private = 1 LIMIT 1", place
        ).fetchone()
        if owner is not None and owner["user_id"] != question.user_id:
            raise NotYours(f"conversation {question.conversation_id!r} belongs to somebody else; start a new one")
        if question.replaces is not None:
            replaced = self.turn(question.replaces).question
            if (replaced.platform, replaced.conversation_id) != place:
                raise UnknownTurn(f"turn {question.replaces!r} is not in conversation {question.conversation_id!r}")

    def begin(self, turn_id: str, reply_ref: str | None) -> None:
        """Answering has begun, into the platform's message `reply_ref` where there is one."""
        with self._write() as db:
            db.execute(
                """
                UPDATE turns SET status = 'answering', reply_ref = coalesce(?, reply_ref)
                WHERE id = ? AND status IN ('received', 'answering')
                """,
                (reply_ref, turn_id),
            )

    def finish(self, turn_id: str, reply: Reply) -> Turn:
        """Keeps the reply, once: a turn that has ended already stays as it is. Raises UnknownTurn."""
        with self._write() as db:
            db.execute(
                """
                UPDATE turns SET status = ?, answer = ?, lora_id = ?, error = ?, finish_reason = ?, prompt_tokens = ?,
                                 completion_tokens = ?, answered_at = ?
                WHERE id = ? AND status IN ('received', 'answering')
                """,
                (
                    reply.status,
                    reply.text,
                    reply.lora_id,
                    reply.error,
                    reply.finish_reason,
                    reply.prompt_tokens,
                    reply.completion_tokens,
                    time_to_text(reply.answered_at),
                    turn_id,
                ),
            )
        return self.turn(turn_id)

    def delivered(self, turn_ids: Sequence[str]) -> None:
        """The replies of these turns are with their readers."""
        with self._write() as db:
            db.executemany(
                "UPDATE turns SET status = 'delivered' WHERE id = ? AND status = 'answered'", [(turn_id,) for turn_id in turn_ids]
            )

    def rate(self, rating: Rating) -> Turn:
        """Keeps the last word of a person on a turn. Raises UnknownTurn, or NotYours for another's private turn."""
        with self._write() as db:
            turn = _own(self.turn(rating.turn_id), rating.user_id)
            db.execute(
                """
                INSERT INTO ratings (turn_id, user_id, verdict, reason, correction, rated_at) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (turn_id, user_id) DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason,
                    correction = excluded.correction, rated_at = excluded.rated_at
                """,
                (rating.turn_id, rating.user_id, rating.verdict, rating.reason, rating.correction, time_to_text(rating.rated_at)),
            )
        return turn

    def delete_conversation(self, platform: str, conversation_id: str, user_id: str) -> int:
        """Erases a person's turns of a conversation with their ratings, also from the write-ahead log; how many."""
        with self._write() as db:
            gone = db.execute(
                "DELETE FROM turns WHERE platform = ? AND conversation_id = ? AND user_id = ?", (platform, conversation_id, user_id)
            ).rowcount
        self._empty_log()
        return gone

    def _empty_log(self) -> None:
        """Takes erased text out of the write-ahead log. Another reader may hold it: then the next checkpoint does it."""
        busy = 1
        with suppress(sqlite3.OperationalError):
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            log.warning("erased text stays in the write-ahead log until its other readers have gone", extra={"database": str(self.path)})

    def turn(self, turn_id: str) -> Turn:
        """One turn with its asker's rating. Raises UnknownTurn."""
        found = self._select("t.id = ?", (turn_id,))
        if not found:
            raise UnknownTurn(f"there is no turn {turn_id!r}")
        return found[0]

    def unfinished(self) -> list[Turn]:
        """Turns that still need an answer or its delivery, oldest first."""
        return self._select("t.status IN ('received', 'answering', 'answered')")

    def history(self, turn: Turn) -> list[Turn]:
        """The answered turns of the conversation before this one, oldest first, without those asked again."""
        return self._select(
            f"""
            t.id IN (
                SELECT id FROM turns WHERE platform = ? AND conversation_id = ? AND status IN ('answered', 'delivered')
                    AND rowid < (SELECT rowid FROM turns WHERE id = ?)
                    AND id IS NOT ? AND id NOT IN ({REPLACED})
                ORDER BY rowid DESC LIMIT {HISTORY_TURNS}
            )
            """,
            (turn.question.platform, turn.question.conversation_id, turn.id, turn.question.replaces),
        )

    def conversation(self, platform: str, conversation_id: str, user_id: str) -> Conversation:
        """A person's conversation with their ratings. Raises UnknownTurn."""
        turns = self._select(
            f"""
            t.platform = ? AND t.conversation_id = ? AND t.user_id = ?
            AND t.id NOT IN ({REPLACED})
            """,
            (platform, conversation_id, user_id),
            user_id,
        )
        if not turns:
            raise UnknownTurn(f"you have no conversation {conversation_id!r}")
        return Conversation(conversation_id, tuple(turns))

    def conversations(self, platform: str, user_id: str, limit: int = 200) -> list[ConversationHead]:
        """A person's conversations, the last used first."""
        with _translated(self.path):
            rows = self._connection.execute(
                """
                SELECT c.conversation_id, t.question AS title, c.updated_at
                FROM (
                    SELECT conversation_id, min(rowid) AS first, max(rowid) AS last, max(asked_at) AS updated_at
                    FROM turns WHERE platform = ? AND user_id = ? GROUP BY conversation_id
                ) c
                JOIN turns t ON t.rowid = c.first ORDER BY c.last DESC LIMIT ?
                """,
                (platform, user_id, limit),
            ).fetchall()
        return [to_head(row) for row in rows]

    def counts(self) -> dict[Status, int]:
        """How many turns there are of each status."""
        rows = self._rows("SELECT status, count(*) AS n FROM turns GROUP BY status")
        return {Status(row["status"]): row["n"] for row in rows}

    def verdicts(self) -> dict[int, int]:
        """How many ratings there are of each verdict."""
        rows = self._rows("SELECT verdict, count(*) AS n FROM ratings GROUP BY verdict")
        return {row["verdict"]: row["n"] for row in rows}

    def probe(self) -> None:
        """Raises StoreError when the database can't be written now."""
        with self._write() as db:
            db.execute("PRAGMA user_version = 1")  # a real page to the disk: a full one shows

    def _select(self, where: str, values: Sequence[object] = (), rater: str | None = None) -> list[Turn]:
        """Turns with the rating of `rater`, or of their asker."""
        with _translated(self.path):
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
        with _translated(self.path):
            return self._connection.execute(sql, values).fetchall()

    def _iterate(self, sql: str) -> Iterator[sqlite3.Row]:
        """Rows one after another: not all of them have to lie in memory at once."""
        with _translated(self.path):
            yield from self._connection.execute(sql)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; commits when the block ends well."""
        with _translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _own(turn: Turn, user_id: str) -> Turn:
    if turn.question.private and turn.question.user_id != user_id:
        raise NotYours(f"turn {turn.id!r} belongs to somebody else")
    return turn


@contextmanager
def _translated(path: Path) -> Iterator[None]:
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
