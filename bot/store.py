"""The store: every SQL statement, one method a question asked. Blocking; knows no platform and no engine.

A method that writes returns only after its commit, and may be called again with the same values without harm. What it refuses
stands in `bot/faults.py`.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bot import database
from bot.addresses import Addresses
from bot.erasure import Erasing
from bot.faults import (
    DatabaseCorrupt,
    DatabaseTooNew,
    Forgotten,
    NotYours,
    OptedOut,
    StorageFull,
    StorageUnavailable,
    StoreError,
    UnknownHandover,
    UnknownTurn,
)
from bot.handovers import Handovers
from bot.learning import Learning
from bot.rows import HISTORY_TURNS, REPLACED, prompt_to_json, time_to_text, to_head
from bot.statements import translated
from bot.threads import NEXT_NUMBER
from bot.turns import Conversation, ConversationHead, Question, Rating, Reply, Status, Turn

__all__ = [
    "DatabaseCorrupt",
    "DatabaseTooNew",
    "Forgotten",
    "NotYours",
    "OptedOut",
    "StorageFull",
    "StorageUnavailable",
    "Store",
    "StoreError",
    "UnknownHandover",
    "UnknownTurn",
]

_AFTER_DAMAGE = "Put a backup in its place, or move it away to start with an empty database"
_BUSY_MILLISECONDS = 5000


class Store(Learning, Handovers, Addresses, Erasing):
    """One connection to `care.db`. Use it from one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Opens or makes the database, migrated, with a backup beside it first; `read_only` as it is. Raises StoreError."""
        self.path = path
        if read_only:
            with translated(path):
                self._connection = database.connect_read_only(path)
                self._connection.row_factory = sqlite3.Row
            return
        try:
            with translated(path):
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
        """Records a question; an event, or a message in this edition or a later one, that was seen before gives the first turn.

        In a conversation that is handed over it is kept for the experts, and cancelled. An edited question that is asked again has its
        answer where the first one's is. Raises NotYours, UnknownTurn, Forgotten.
        """
        with self._write() as db:
            known = self._select(
                "t.platform = ? AND t.event_id = ? OR t.platform = ? AND t.message = ? AND t.edition >= ?",
                (question.platform, question.event_id, question.platform, question.message, question.edition),
                question.user_id,
            )
            if known:
                return _own(known[0], question.user_id)
            self._require_remembered(question)
            self._require_conversation(question)
            handover = self.handed_over(question.platform, question.conversation_id)
            db.execute(
                """
                INSERT INTO turns (id, platform, event_id, conversation_id, user_id, user_name, message, edition, private, question, prompt,
                                   replaces, domain, status, asked_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                (
                    turn_id,
                    question.platform,
                    question.event_id,
                    question.conversation_id,
                    question.user_id,
                    question.user_name,
                    question.message,
                    question.edition,
                    question.private,
                    question.text,
                    prompt_to_json(question.prompt),
                    question.replaces,
                    domain,
                    Status.RECEIVED if handover is None else Status.CANCELLED,
                    time_to_text(question.asked_at),
                ),
            )
            if handover is not None:
                db.execute("INSERT INTO relays (turn_id, handover_id) VALUES (?, ?)", (turn_id, handover.id))
            elif question.replaces is not None and question.edition:
                self._take_place(turn_id, question.replaces)
        return self.turn(turn_id)

    def _take_place(self, turn_id: str, replaced: str) -> None:
        """The messages of an answer belong to the turn that answers anew; nothing brings the old one any more. Within a transaction."""
        self._connection.execute(
            "UPDATE turns SET reply_ref = (SELECT reply_ref FROM turns WHERE id = ?) WHERE id = ?", (replaced, turn_id)
        )
        self._connection.execute("UPDATE replies SET turn_id = ? WHERE turn_id = ?", (turn_id, replaced))
        self._connection.execute("UPDATE turns SET status = 'delivered' WHERE id = ? AND status = 'answered'", (replaced,))

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

    def shown(self, turn_id: str, reply_ref: str) -> None:
        """The answer to come has the platform's message `reply_ref`."""
        with self._write() as db:
            db.execute("UPDATE turns SET reply_ref = ? WHERE id = ? AND status IN ('received', 'answering')", (reply_ref, turn_id))
            db.execute(
                f"""
                INSERT INTO replies (platform, message, turn_id, number) SELECT platform, ?, id, {NEXT_NUMBER} FROM turns WHERE id = ?
                ON CONFLICT (platform, message) DO UPDATE SET turn_id = excluded.turn_id, number = excluded.number
                WHERE replies.turn_id <> excluded.turn_id
                """,
                (reply_ref, turn_id),
            )

    def begin(self, turn_id: str) -> None:
        """The engine has been asked."""
        with self._write() as db:
            db.execute("UPDATE turns SET status = 'answering' WHERE id = ? AND status = 'received'", (turn_id,))

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
        with self._write():
            turn = _own(self.turn(rating.turn_id), rating.user_id)
            self._keep(rating)
        return turn

    def correct(self, rating: Rating) -> Turn:
        """`rate` for those to whom the turn was shown by its own platform: experts whom a conversation was handed over to."""
        with self._write():
            turn = self.turn(rating.turn_id)
            self._keep(rating)
        return turn

    def _keep(self, rating: Rating) -> None:
        """Within a transaction."""
        self._connection.execute(
            """
            INSERT INTO ratings (turn_id, user_id, verdict, reason, correction, author_id, by_reaction, rated_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (turn_id, user_id) DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason,
                correction = excluded.correction, author_id = excluded.author_id, by_reaction = excluded.by_reaction,
                rated_at = excluded.rated_at
            """,
            (
                rating.turn_id,
                rating.user_id,
                rating.verdict,
                rating.reason,
                rating.correction,
                rating.author_id,
                rating.by_reaction,
                time_to_text(rating.rated_at),
            ),
        )

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
        with translated(self.path):
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

    def last_asked(self, platform: str) -> dict[bool, datetime]:
        """When somebody asked last, in private (True) and among others (False)."""
        rows = self._rows("SELECT private, max(asked_at) AS at FROM turns WHERE platform = ? GROUP BY private", (platform,))
        return {bool(row["private"]): datetime.fromisoformat(row["at"]) for row in rows}

    def verdicts(self) -> dict[int, int]:
        """How many ratings there are of each verdict."""
        rows = self._rows("SELECT verdict, count(*) AS n FROM ratings GROUP BY verdict")
        return {row["verdict"]: row["n"] for row in rows}

    def probe(self) -> None:
        """Raises StoreError when the database can't be written now."""
        with self._write() as db:
            db.execute("PRAGMA user_version = 1")  # a real page to the disk: a full one shows


def _own(turn: Turn, user_id: str) -> Turn:
    if turn.question.private and turn.question.user_id != user_id:
        raise NotYours(f"turn {turn.id!r} belongs to somebody else")
    return turn
