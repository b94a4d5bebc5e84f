"""The store's statements that erase a person, or give them all that is kept of them. Part of the Store."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.rows import time_to_text
from bot.threads import Threads, tombstone
from bot.turns import new_id

# Platforms deliver an event again for hours, at most a few days: what is older can't come back.
_MAY_COME_AGAIN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is gone from the database, and what else held its words: `examples` by id ("turn/…").

    Those are what was asked, what was asked after it in the same conversation, and what the person corrected. `person` is "" where only
    a message or a conversation was deleted.
    """

    id: str
    at: datetime
    person: str
    examples: frozenset[str]
    turns: int
    ratings: int


class Erasing(Threads):
    """Methods of `Store`."""

    def erase_person(self, platform: str, user_id: str, erasure_id: str, now: datetime) -> Erasure:
        """Erases all that a person said and that was said to them, also from the write-ahead log. Their opt-out stays.

        The erasure is pending, by name, until `erasure_done`: what is left to do outside of the database is then still known.
        """
        who = (platform, user_id)
        with self._write() as db:
            db.execute("DELETE FROM erasures WHERE person = ? AND examples IS NULL", (f"{platform}:{user_id}",))
            examples = [f"turn/{row['id']}" for row in db.execute(_TAINTED, {"platform": platform, "user": user_id})]
            names = self._names_that_may_come_again(platform, user_id, now - _MAY_COME_AGAIN)
            db.execute(f"DELETE FROM newest WHERE {_THEIRS_TO_GO_ON}", who)
            db.execute(_TAKE_FROM_EXPERTS, who)
            db.execute(_KEEP_WAYS_TO_REMOVALS, who)
            self._erase_reviews(f"{platform}:{user_id}")
            ratings = self._erase_ratings(platform, user_id)
            turns = db.execute("DELETE FROM turns WHERE platform = ? AND user_id = ?", who).rowcount
            db.execute("DELETE FROM expert_replies WHERE platform = ? AND expert_id = ?", who)
            for table in ("handovers", "notices", "introduced", "addresses", "unattributed_ratings"):
                db.execute(f"DELETE FROM {table} WHERE platform = ? AND user_id = ?", who)
            db.executemany(
                "INSERT INTO forgotten (sha256, at) VALUES (?, ?) ON CONFLICT DO NOTHING", [(each, time_to_text(now)) for each in names]
            )
            erased = Erasure(erasure_id, now, f"{platform}:{user_id}", frozenset(examples), turns, ratings)
            self._note(erased)
        self.empty_log()
        return erased

    def wish_to_be_forgotten(self, platform: str, user_id: str, erasure_id: str, now: datetime) -> None:
        """This person is to be erased: by the next start at the latest. One wish a person is enough."""
        person = f"{platform}:{user_id}"
        with self._write() as db:
            db.execute(
                """
                INSERT INTO erasures (id, at, person_sha256, turns, ratings, person) SELECT ?1, ?2, ?3, 0, 0, ?4
                WHERE NOT EXISTS (SELECT 1 FROM erasures WHERE person = ?4 AND examples IS NULL)
                """,
                (erasure_id, time_to_text(now), hashlib.sha256(person.encode()).hexdigest(), person),
            )

    def wishes_to_be_forgotten(self) -> list[tuple[str, str]]:
        """Who is still to be erased, by platform and user id, in the order of their wishes."""
        rows = self._rows("SELECT person FROM erasures WHERE person IS NOT NULL AND examples IS NULL ORDER BY at, id")
        people = [str(row["person"]).partition(":") for row in rows]
        return [(platform, user_id) for platform, _, user_id in people]

    def forget_message(self, platform: str, message: str, now: datetime) -> list[str]:
        """Erases what was asked in a message with all that hangs on it; which messages carried the replies, to be taken away.

        The message is not recorded again, should its event come late or twice.
        """
        asked = (platform, message)
        with self._write() as db:
            carriers = db.execute(
                """
                SELECT r.message FROM replies r JOIN turns t ON t.id = r.turn_id WHERE t.platform = ? AND t.message = ?
                UNION SELECT reply_ref FROM turns WHERE platform = ? AND message = ? AND reply_ref IS NOT NULL
                UNION SELECT e.message FROM expert_posts e JOIN turns t ON t.id = e.turn_id WHERE t.platform = ? AND t.message = ?
                """,
                (*asked, *asked, *asked),
            ).fetchall()
            self._leave_files("own.platform = ? AND own.message = ?", asked, now)
            db.executemany(
                "INSERT INTO removals (platform, message) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(platform, row["message"]) for row in carriers],
            )
            events = db.execute("SELECT event_id FROM turns WHERE platform = ? AND message = ?", asked).fetchall()
            gone = db.execute("DELETE FROM turns WHERE platform = ? AND message = ?", asked).rowcount
            known = [tombstone("event", platform, row["event_id"]) for row in events]  # a platform may send it under another name
            self._keep_tombstones([tombstone("message", platform, message), *known], now)
        if gone:  # otherwise nothing of it can be in the log, and other readers would hold up everybody
            self.empty_log()
        return sorted(row["message"] for row in carriers)

    def to_take_away(self, platform: str) -> list[str]:
        """The messages that carried replies to what was deleted, and may still stand there."""
        return [str(row["message"]) for row in self._rows("SELECT message FROM removals WHERE platform = ? ORDER BY message", (platform,))]

    def way_to_removal(self, platform: str, message: str) -> str | None:
        """How the place of such a message is written to, where its person was forgotten since."""
        return self._first("SELECT address FROM removals WHERE platform = ? AND message = ? AND address IS NOT NULL", (platform, message))

    def taken_away(self, platform: str, message: str) -> None:
        """That message is gone."""
        with self._write() as db:
            db.execute("DELETE FROM removals WHERE platform = ? AND message = ?", (platform, message))

    def delete_conversation(self, platform: str, conversation_id: str, user_id: str, now: datetime) -> int:
        """Erases a person's turns of a conversation with their ratings, also from the write-ahead log; how many."""
        theirs = (platform, conversation_id, user_id)
        with self._write() as db:
            self._leave_files("own.platform = ? AND own.conversation_id = ? AND own.user_id = ?", theirs, now)
            gone = db.execute("DELETE FROM turns WHERE platform = ? AND conversation_id = ? AND user_id = ?", theirs).rowcount
        self.empty_log()
        return gone

    def pending_erasures(self) -> list[Erasure]:
        """Erasures that are not known to be finished outside of the database, oldest first."""
        rows = self._rows("SELECT * FROM erasures WHERE person IS NOT NULL AND examples IS NOT NULL ORDER BY at, id")
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
        self.empty_log()

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
                SELECT r.turn_id, r.verdict, r.reason, r.correction, r.author_id, r.by_reaction, r.rated_at
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
            "answers_in_handovers": self._dicts(
                "SELECT message, text, said_at, sent_at FROM expert_replies WHERE platform = ? AND expert_id = ? ORDER BY said_at, message",
                who,
            ),
            "ratings_of_no_answer": self._dicts(
                """
                SELECT conversation_id, verdict, reason, rated_at
                FROM unattributed_ratings WHERE platform = ? AND user_id = ? ORDER BY rowid
                """,
                who,
            ),
            "addresses": self._dicts(
                "SELECT place, address, reached_at FROM addresses WHERE platform = ? AND user_id = ? ORDER BY place", who
            ),
            "conversations_gone_on_with": self._dicts(
                f"SELECT place, conversation_id FROM newest WHERE {_THEIRS_TO_GO_ON} ORDER BY place", who
            ),
            "introduced_at": self._first("SELECT at FROM introduced WHERE platform = ? AND user_id = ?", who),
            "opted_out_at": self._first("SELECT at FROM opt_outs WHERE platform = ? AND user_id = ?", who),
        }

    def _leave_files(self, own: str, values: Sequence[str], now: datetime) -> None:
        """What nights made of these turns, and of those after them, is still to be cleared away. Within a transaction."""
        rows = self._connection.execute(
            f"""
            SELECT DISTINCT t.id FROM turns own JOIN turns t ON t.platform = own.platform AND t.conversation_id = own.conversation_id
                AND t.rowid >= own.rowid JOIN ratings r ON r.turn_id = t.id WHERE {own}
            """,
            values,
        ).fetchall()
        if rows:
            self._note(Erasure(new_id(), now, "", frozenset(f"turn/{row['id']}" for row in rows), 0, 0))

    def _note(self, erasure: Erasure) -> None:
        """Within a transaction."""
        self._connection.execute(
            "INSERT INTO erasures (id, at, person_sha256, turns, ratings, person, examples) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                erasure.id,
                time_to_text(erasure.at),
                hashlib.sha256(erasure.person.encode()).hexdigest(),
                erasure.turns,
                erasure.ratings,
                erasure.person,
                json.dumps(sorted(erasure.examples)),
            ),
        )

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


# What goes on where they asked, or where nobody else reads: a conversation that was only begun has no turn to know it by.
_THEIRS_TO_GO_ON = """
    platform = ?1 AND (
        conversation_id IN (SELECT conversation_id FROM turns WHERE platform = ?1 AND user_id = ?2)
        OR place IN (SELECT place FROM addresses WHERE platform = ?1 AND user_id = ?2)
        OR EXISTS (
            SELECT 1 FROM turns WHERE platform = ?1 AND user_id = ?2 AND private = 1
                AND substr(turns.conversation_id || '/', 1, length(newest.place) + 1) = newest.place || '/'
        )
    )
"""

# What experts were shown of them.
_TAKE_FROM_EXPERTS = """
    INSERT INTO removals (platform, message) SELECT platform, message FROM expert_posts
    WHERE platform = ?1 AND (
        handover_id IN (SELECT id FROM handovers WHERE platform = ?1 AND user_id = ?2)
        OR turn_id IN (SELECT id FROM turns WHERE platform = ?1 AND user_id = ?2)
    )
    ON CONFLICT DO NOTHING
"""

# Answers that wait to be taken away out of a chat that will be reached no more.
_KEEP_WAYS_TO_REMOVALS = """
    UPDATE removals SET address = found.address FROM addresses found
    WHERE removals.platform = ?1 AND found.platform = ?1 AND found.user_id = ?2
        AND substr(removals.message, 1, length(found.place) + 1) = found.place || '/'
"""

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
