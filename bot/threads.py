"""The store's statements on a platform's messages: which asked, which answer, which conversation goes on where. Part of the Store."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from bot.faults import Forgotten
from bot.rows import time_to_text
from bot.statements import Statements
from bot.turns import Question, Rating, Status, Turn


def tombstone(kind: str, *parts: str) -> str:
    """What is kept of something that was forgotten: enough to know it again, nothing of what it said."""
    return hashlib.sha256("\0".join((kind, *parts)).encode()).hexdigest()


# Of a turn: where the next of the messages that carry its reply stands among them.
NEXT_NUMBER = "(SELECT coalesce(max(number), -1) + 1 FROM replies WHERE turn_id = turns.id)"


class Threads(Statements):
    """Methods of `Store`."""

    def asked_in(self, platform: str, message: str) -> Turn | None:
        """The newest turn that was asked in this message."""
        found = self._select("t.platform = ? AND t.message = ?", (platform, message))
        return found[-1] if found else None

    def answered_by(self, platform: str, message: str) -> Turn | None:
        """The turn whose reply is, partly at least, in this message."""
        found = self._select("t.id = (SELECT turn_id FROM replies WHERE platform = ? AND message = ?)", (platform, message))
        return found[0] if found else None

    def carried(self, turn_id: str) -> list[str]:
        """The names of the messages that carry a reply, in order."""
        rows = self._rows("SELECT message FROM replies WHERE turn_id = ? ORDER BY number, message", (turn_id,))
        return [str(row["message"]) for row in rows]

    def carries(self, platform: str, message: str, turn_id: str) -> None:
        """This message carries a reply, or a part of it; of several turns the newest counts. For a turn that is gone it goes too."""
        with self._write() as db:
            db.execute(
                f"""
                INSERT INTO replies (platform, message, turn_id, number) SELECT ?1, ?2, id, {NEXT_NUMBER} FROM turns WHERE id = ?3
                ON CONFLICT (platform, message) DO UPDATE SET turn_id = excluded.turn_id, number = excluded.number
                WHERE (SELECT rowid FROM turns WHERE id = excluded.turn_id) > (SELECT rowid FROM turns WHERE id = replies.turn_id)
                """,
                (platform, message, turn_id),
            )
            db.execute(
                """
                INSERT INTO removals (platform, message) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE id = ?3)
                ON CONFLICT DO NOTHING
                """,
                (platform, message, turn_id),
            )

    def carries_no_more(self, platform: str, message: str) -> None:
        """This message is gone."""
        with self._write() as db:
            for table in ("replies", "removals"):
                db.execute(f"DELETE FROM {table} WHERE platform = ? AND message = ?", (platform, message))

    def known(self, platform: str, conversation_id: str, user_id: str | None = None) -> bool:
        """Whether CARE has been asked anything in this conversation, or for a person; with `user_id`, by them."""
        where = "platform = ?1 AND conversation_id = ?2 AND (?3 IS NULL OR user_id = ?3)"
        asked = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE {where}" for table in ("turns", "handovers"))
        return bool(self._rows(f"{asked} LIMIT 1", (platform, conversation_id, user_id)))

    def thread(self, platform: str, conversation_id: str) -> list[Turn]:
        """Everything that anybody asked in a conversation, oldest first, but for what was asked again."""
        return self._select(
            """
            t.platform = ? AND t.conversation_id = ?
            AND t.id NOT IN (SELECT replaces FROM turns WHERE replaces IS NOT NULL)
            """,
            (platform, conversation_id),
        )

    def meant(self, platform: str, message: str, *, author_id: str, reply: str | None = None) -> Turn | None:
        """The answer that somebody means who names a message.

        It is in that message, or the newest of the thread that begins with it, or of the conversation that was handed over there.
        `reply` is the message of that thread with the better words, by `author_id`: it corrects what others asked before it. It may have
        been taken for a question itself, and be answered. Names of one thread's messages sort as they were written.
        """
        carried = self.answered_by(platform, message)
        if carried is not None:
            return carried
        turns = self.thread(platform, message)
        if turns and reply is not None:
            turns = [turn for turn in turns if (turn.question.message or "") < reply and turn.question.user_id != author_id]
            return _newest_answered(turns)
        return _newest_answered(turns or self._handed_over_at(platform, message))

    def _handed_over_at(self, platform: str, message: str) -> list[Turn]:
        """The turns of the conversation that the experts have in a message, or those that were asked in it."""
        return self._select(
            """
            (t.platform, t.conversation_id) IN (SELECT platform, conversation_id FROM handovers WHERE platform = ? AND message = ?)
            OR t.platform = ? AND t.message = ?
            """,
            (platform, message, platform, message),
        )

    def begin_new(self, platform: str, place: str, conversation_id: str) -> None:
        """From now on this conversation goes on in this place."""
        with self._write() as db:
            db.execute(
                """
                INSERT INTO newest (platform, place, conversation_id) VALUES (?, ?, ?)
                ON CONFLICT (platform, place) DO UPDATE SET conversation_id = excluded.conversation_id
                """,
                (platform, place, conversation_id),
            )

    def newest(self, platform: str, place: str) -> str | None:
        """The conversation that goes on in this place."""
        rows = self._rows("SELECT conversation_id FROM newest WHERE platform = ? AND place = ?", (platform, place))
        return str(rows[0]["conversation_id"]) if rows else None

    def is_introduced(self, platform: str, user_id: str) -> bool:
        """Whether a person was told what CARE is."""
        return bool(self._rows("SELECT 1 FROM introduced WHERE platform = ? AND user_id = ?", (platform, user_id)))

    def introduced(self, platform: str, user_id: str, now: datetime, turn_id: str | None = None) -> None:
        """This person was told; below the answer of a turn, it counts only while that turn is kept: they may be forgotten meanwhile."""
        with self._write() as db:
            db.execute(
                """
                INSERT INTO introduced (platform, user_id, at) SELECT ?1, ?2, ?3
                WHERE ?4 IS NULL OR EXISTS (SELECT 1 FROM turns WHERE id = ?4) ON CONFLICT DO NOTHING
                """,
                (platform, user_id, time_to_text(now), turn_id),
            )

    def current_vote(self, turn_id: str, user_id: str) -> Rating | None:
        """What a person thinks of a turn now; None also once they took it back."""
        found = self._select("t.id = ?", (turn_id,), user_id)
        rating = found[0].rating if found else None
        return rating if rating is not None and rating.verdict != 0 else None

    def _keep_tombstones(self, hashes: Iterable[str], now: datetime) -> None:
        """Within a transaction."""
        self._connection.executemany(
            "INSERT INTO forgotten (sha256, at) VALUES (?, ?) ON CONFLICT (sha256) DO UPDATE SET at = excluded.at",
            [(each, time_to_text(now)) for each in hashes],
        )

    def _require_remembered(self, question: Question) -> None:
        """Raises Forgotten. Within a transaction."""
        names = [tombstone("event", question.platform, question.event_id)]
        if question.message is not None:
            names.append(tombstone("message", question.platform, question.message))
        marks = ", ".join("?" * len(names))
        if self._connection.execute(f"SELECT 1 FROM forgotten WHERE sha256 IN ({marks})", names).fetchone() is not None:
            raise Forgotten(f"event {question.event_id!r} was forgotten on request; it is not recorded again")


def _newest_answered(turns: list[Turn]) -> Turn | None:
    """The newest where none was answered."""
    answered = [turn for turn in turns if turn.status in (Status.ANSWERED, Status.DELIVERED)]
    found = answered or turns
    return found[-1] if found else None
