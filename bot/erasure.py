"""The store's statements that erase a person, or give them all that is kept of them. Part of the Store."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.rows import time_to_text
from bot.statements import Statements
from bot.threads import tombstone

# Platforms deliver an event again for hours, at most a few days: what is older can't come back.
_MAY_COME_AGAIN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Erasure:
    """A person who is gone from the database, and what else held their words: `examples` by id ("turn/…").

    Those are what they asked, what others asked after them in the same conversation, and what they corrected.
    """

    id: str
    at: datetime
    person: str
    examples: frozenset[str]
    turns: int
    ratings: int


class Erasing(Statements):
    """Methods of `Store`."""

    def erase_person(self, platform: str, user_id: str, erasure_id: str, now: datetime) -> Erasure:
        """Erases all that a person said and that was said to them, also from the write-ahead log. Their opt-out stays.

        The erasure is pending, by name, until `erasure_done`: what is left to do outside of the database is then still known.
        """
        who = (platform, user_id)
        with self._write() as db:
            examples = sorted(f"turn/{row['id']}" for row in db.execute(_TAINTED, {"platform": platform, "user": user_id}))
            names = self._names_that_may_come_again(platform, user_id, now - _MAY_COME_AGAIN)
            db.execute(
                "DELETE FROM newest WHERE platform = ?1 AND conversation_id IN "
                "(SELECT conversation_id FROM turns WHERE platform = ?1 AND user_id = ?2)",
                who,
            )
            self._erase_reviews(f"{platform}:{user_id}")
            ratings = self._erase_ratings(platform, user_id)
            turns = db.execute("DELETE FROM turns WHERE platform = ? AND user_id = ?", who).rowcount
            for table in ("handovers", "notices", "introduced"):
                db.execute(f"DELETE FROM {table} WHERE platform = ? AND user_id = ?", who)
            db.executemany(
                "INSERT INTO forgotten (sha256, at) VALUES (?, ?) ON CONFLICT DO NOTHING", [(each, time_to_text(now)) for each in names]
            )
            person = f"{platform}:{user_id}"
            db.execute(
                """
                INSERT INTO erasures (id, at, person_sha256, turns, ratings, person, examples) VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
                (
                    erasure_id,
                    time_to_text(now),
                    hashlib.sha256(person.encode()).hexdigest(),
                    turns,
                    ratings,
                    person,
                    json.dumps(examples),
                ),
            )
        self._empty_log()
        return Erasure(erasure_id, now, person, frozenset(examples), turns, ratings)

    def pending_erasures(self) -> list[Erasure]:
        """Erasures that are not known to be finished outside of the database, oldest first."""
        rows = self._rows("SELECT * FROM erasures WHERE person IS NOT NULL ORDER BY at, id")
        return [
            Erasure(
                row["id"],
                datetime.fromisoformat(row["at"]),
                row["person"],
                frozenset(json.loads(row["examples"])),
                row["turns"],
                row["ratings"],
            )
            for row in rows
        ]

    def erasure_done(self, erasure_id: str, receipt: str, now: datetime) -> None:
        """Nothing is left to do: the receipt stays, without a name."""
        with self._write() as db:
            db.execute(
                "UPDATE erasures SET person = NULL, examples = NULL, receipt = ?, finished_at = ? WHERE id = ? AND person IS NOT NULL",
                (receipt, time_to_text(now), erasure_id),
            )
        self._empty_log()

    def kept_of(self, platform: str, user_id: str) -> Mapping[str, object]:
        """All that the database has of a person."""
        who = (platform, user_id)
        return {
            "turns": self._dicts(
                """
                SELECT id, conversation_id, event_id, message, edition, private, user_name, question, prompt, replaces, domain, status,
                       answer, lora_id, reply_ref, error, asked_at, answered_at
                FROM turns WHERE platform = ? AND user_id = ? ORDER BY rowid
                """,
                who,
            ),
            "ratings": self._dicts(
                """
                SELECT r.turn_id, r.verdict, r.reason, r.correction, r.author_id, r.rated_at
                FROM ratings r JOIN turns t ON t.id = r.turn_id WHERE t.platform = ? AND r.user_id = ? ORDER BY r.rated_at, r.turn_id
                """,
                who,
            ),
            "taught_by_others": self._dicts(
                """
                SELECT r.turn_id, r.correction, r.rated_at
                FROM ratings r JOIN turns t ON t.id = r.turn_id WHERE t.platform = ? AND r.author_id = ? ORDER BY r.rated_at, r.turn_id
                """,
                who,
            ),
            "reviews": self._dicts(
                "SELECT turn_id, decision, edited, reviewed_at FROM reviews WHERE reviewer = ? ORDER BY reviewed_at, turn_id",
                (f"{platform}:{user_id}",),
            ),
            "notices": self._dicts(
                "SELECT kind, turn_id, text, created_at, sent_at FROM notices WHERE platform = ? AND user_id = ? ORDER BY created_at, id",
                who,
            ),
            "handovers": self._dicts(
                "SELECT conversation_id, begun_at, ended_at FROM handovers WHERE platform = ? AND user_id = ? ORDER BY begun_at, id", who
            ),
            "introduced_at": self._first("SELECT at FROM introduced WHERE platform = ? AND user_id = ?", who),
            "opted_out_at": self._first("SELECT at FROM opt_outs WHERE platform = ? AND user_id = ?", who),
        }

    def _names_that_may_come_again(self, platform: str, user_id: str, since: datetime) -> list[str]:
        rows = self._connection.execute(
            "SELECT event_id, message FROM turns WHERE platform = ? AND user_id = ? AND asked_at >= ?",
            (platform, user_id, time_to_text(since)),
        ).fetchall()
        events = [tombstone("event", platform, row["event_id"]) for row in rows]
        return events + [tombstone("message", platform, row["message"]) for row in rows if row["message"] is not None]

    def _erase_reviews(self, person: str) -> None:
        """What shows their words waits to be made anew without them; decisions about others' words stay, without the name."""
        db = self._connection
        db.execute(
            "DELETE FROM reviews WHERE (reviewer = ?1 AND edited IS NOT NULL) OR EXISTS (SELECT 1 FROM json_each(people) WHERE value = ?1)",
            (person,),
        )
        db.execute("UPDATE reviews SET reviewer = 'forgotten' WHERE reviewer = ?", (person,))

    def _erase_ratings(self, platform: str, user_id: str) -> int:
        """What they said of others' turns; a colleague's correction in their words loses those."""
        own = "turn_id IN (SELECT id FROM turns WHERE platform = ?1)"
        db = self._connection
        db.execute(f"UPDATE ratings SET correction = NULL, author_id = NULL WHERE author_id = ?2 AND {own}", (platform, user_id))
        return db.execute(f"DELETE FROM ratings WHERE user_id = ?2 AND {own}", (platform, user_id)).rowcount

    def _dicts(self, sql: str, values: tuple[str, ...]) -> list[dict[str, object]]:
        return [dict(row) for row in self._rows(sql, values)]

    def _first(self, sql: str, values: tuple[str, ...]) -> str | None:
        rows = self._rows(sql, values)
        return str(rows[0][0]) if rows else None


# Turns whose training rows hold words of a person. Only rated turns ever became one.
_TAINTED = """
    WITH own AS (SELECT id, conversation_id, rowid AS place FROM turns WHERE platform = :platform AND user_id = :user)
    SELECT id FROM own
    UNION
    SELECT t.id FROM turns t JOIN own ON own.conversation_id = t.conversation_id AND t.rowid > own.place WHERE t.platform = :platform
    UNION
    SELECT t.id FROM turns t JOIN ratings r ON r.turn_id = t.id
        WHERE t.platform = :platform AND r.correction IS NOT NULL AND (r.user_id = :user OR r.author_id = :user)
    UNION
    SELECT turn_id FROM reviews WHERE edited IS NOT NULL AND reviewer = :platform || ':' || :user
"""
