"""The store's statements on learning: reviews, notices, opt-outs, smoke tests, and how each LoRA is rated. Part of the Store."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from bot.notices import Notice
from bot.reviews import NotReviewable, Review, Waiting, require_allowed
from bot.rows import HISTORY_TURNS, REPLACED, TURN_COLUMNS, time_to_text, to_notice, to_turn
from bot.statements import Statements
from bot.turns import RatedTurn, Rating, Turn

_THUMBS_A_PERSON = 3  # on one LoRA: fifty ratings are then seventeen people at least


@dataclass(frozen=True, slots=True)
class Thumbs:
    """How many thumbs a LoRA got, the last word of each person on each turn."""

    up: int
    down: int

    @property
    def n(self) -> int:
        return self.up + self.down


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """Whether the replies made sense, and what was said of them."""

    passed: bool
    said: str


class Learning(Statements):
    """Methods of `Store`."""

    def rated(self) -> tuple[list[RatedTurn], list[str]]:
        """Every turn with a rating, all of its ratings and what came before it; and the ids of turns whose rows make no sense."""
        rows = self._iterate(
            f"SELECT {TURN_COLUMNS} FROM ratings r JOIN turns t ON t.id = r.turn_id ORDER BY t.rowid, r.rated_at, r.user_id"
        )
        found: dict[str, tuple[Turn, tuple[Rating, ...]] | None] = {}
        for turn_id, group in groupby(rows, key=lambda row: str(row["id"])):
            turns = [_readable(row) for row in group]
            whole = [turn for turn in turns if turn is not None]
            ratings = tuple(turn.rating for turn in whole if turn.rating is not None)
            found[turn_id] = (whole[0], ratings) if len(whole) == len(turns) else None
        histories = self._histories({turn_id: known[0] for turn_id, known in found.items() if known is not None})
        rated = [RatedTurn(known[0], known[1], histories[turn_id]) for turn_id, known in found.items() if known and turn_id in histories]
        return rated, sorted(found.keys() - {each.turn.id for each in rated})

    def _histories(self, rated: Mapping[str, Turn]) -> dict[str, tuple[Turn, ...]]:
        """For each turn what `Store.history` says of it, all at once; those with an unreadable turn before them are left out."""
        rows = self._iterate(
            f"""
            SELECT {TURN_COLUMNS} FROM turns t LEFT JOIN ratings r ON r.turn_id = t.id AND r.user_id = t.user_id
            WHERE (t.platform, t.conversation_id) IN (
                SELECT DISTINCT t.platform, t.conversation_id FROM ratings r JOIN turns t ON t.id = r.turn_id
            )
            ORDER BY t.platform, t.conversation_id, t.rowid
            """
        )
        replaced = {row["replaces"] for row in self._rows(REPLACED)}
        found: dict[str, tuple[Turn, ...]] = {}
        for _, group in groupby(rows, key=lambda row: (row["platform"], row["conversation_id"])):
            before: list[Turn | None] = []
            for row in group:
                turn = rated.get(row["id"])
                if turn is not None:
                    history = [each for each in before if each is None or each.id != turn.question.replaces][-HISTORY_TURNS:]
                    if None not in history:
                        found[turn.id] = tuple(each for each in history if each is not None)
                if row["status"] in ("answered", "delivered") and row["id"] not in replaced:
                    before.append(turn or _readable(row))
        return found

    def queue_reviews(self, waiting: Iterable[Waiting], now: datetime) -> None:
        """Exactly these wait for a reviewer from now on, besides what is decided; changed texts lose their decision."""
        waiting = list(waiting)
        with self._write() as db:
            kept = json.dumps([each.turn_id for each in waiting])
            db.execute("DELETE FROM reviews WHERE decision IS NULL AND turn_id NOT IN (SELECT value FROM json_each(?))", (kept,))
            db.executemany(
                "UPDATE reviews SET people = ?, corrects = ? WHERE turn_id = ?",
                [(json.dumps(each.people), each.corrects, each.turn_id) for each in waiting],
            )
            db.executemany(
                """
                INSERT INTO reviews (turn_id, sha256, domain, instruction, input, response, source, why, people, corrects, queued_at)
                SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM turns WHERE id = ?1)
                ON CONFLICT (turn_id) DO UPDATE SET sha256 = excluded.sha256, domain = excluded.domain,
                    instruction = excluded.instruction, input = excluded.input, response = excluded.response,
                    source = excluded.source, why = excluded.why, people = excluded.people,
                    corrects = excluded.corrects, queued_at = excluded.queued_at,
                    decision = NULL, edited = NULL, reviewer = NULL, reviewed_at = NULL
                WHERE reviews.sha256 <> excluded.sha256
                """,
                [
                    (
                        each.turn_id,
                        each.sha256,
                        each.domain,
                        each.instruction,
                        each.input,
                        each.response,
                        each.source,
                        each.why,
                        json.dumps(each.people),
                        each.corrects,
                        time_to_text(now),
                    )
                    for each in waiting
                ],
            )

    def waiting_reviews(self) -> list[Waiting]:
        """What waits for a reviewer, the longest waiting first."""
        rows = self._rows("SELECT * FROM reviews WHERE decision IS NULL ORDER BY queued_at, turn_id")
        return [_to_waiting(row) for row in rows]

    def review(self, review: Review) -> None:
        """Keeps a decision; the same one again changes nothing. Raises NotReviewable."""
        with self._write() as db:
            row = db.execute("SELECT * FROM reviews WHERE turn_id = ?", (review.turn_id,)).fetchone()
            if row is None:
                raise NotReviewable(f"turn {review.turn_id!r} does not wait for a review; it was deleted, or its rating withdrawn")
            if row["decision"] is not None and (row["decision"], row["edited"]) != (review.decision, review.edited):
                raise NotReviewable(f"turn {review.turn_id!r} was {row['decision']} by {row['reviewer']} already")
            require_allowed(_to_waiting(row), review)
            db.execute(
                """
                UPDATE reviews SET decision = ?, edited = ?, reviewer = ?, reviewed_at = ?
                WHERE turn_id = ? AND decision IS NULL
                """,
                (review.decision, review.edited, review.reviewer, time_to_text(review.reviewed_at), review.turn_id),
            )

    def reviews(self) -> list[Review]:
        """Every decision."""
        rows = self._rows("SELECT * FROM reviews WHERE decision IS NOT NULL ORDER BY turn_id")
        return [
            Review(
                row["turn_id"],
                row["sha256"],
                row["decision"],
                row["reviewer"],
                datetime.fromisoformat(row["reviewed_at"]),
                row["edited"],
            )
            for row in rows
        ]

    def opt_out(self, platform: str, user_id: str, now: datetime) -> None:
        """Nothing that this person asks, rates or corrects is learned from any more, what they said before included."""
        with self._write() as db:
            db.execute(
                "INSERT INTO opt_outs (platform, user_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (platform, user_id, time_to_text(now)),
            )
            person = f"{platform}:{user_id}"
            db.execute("DELETE FROM reviews WHERE EXISTS (SELECT 1 FROM json_each(people) WHERE value = ?)", (person,))

    def opt_in(self, platform: str, user_id: str) -> None:
        """This person takes part again."""
        with self._write() as db:
            db.execute("DELETE FROM opt_outs WHERE platform = ? AND user_id = ?", (platform, user_id))

    def opted_out(self) -> frozenset[str]:
        """Everybody who does not take part, as "platform:user"."""
        return frozenset(f"{row['platform']}:{row['user_id']}" for row in self._rows("SELECT platform, user_id FROM opt_outs"))

    def notify(self, notices: Iterable[Notice]) -> None:
        """Puts notices into the outbox; what was told the same person before stays told."""
        with self._write() as db:
            db.executemany(
                """
                INSERT INTO notices (id, kind, platform, user_id, subject, turn_id, text, report, created_at)
                SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE ?6 IS NULL OR EXISTS (SELECT 1 FROM turns WHERE id = ?6)
                ON CONFLICT DO NOTHING
                """,
                [
                    (
                        each.id,
                        each.kind,
                        each.platform,
                        each.user_id,
                        each.subject,
                        each.turn_id,
                        each.text,
                        each.report,
                        time_to_text(each.created_at),
                    )
                    for each in notices
                ],
            )

    def unsent_notices(self, platform: str, user_id: str) -> list[Notice]:
        """What somebody has not been told yet, oldest first."""
        rows = self._rows(
            "SELECT * FROM notices WHERE sent_at IS NULL AND platform = ? AND user_id = ? ORDER BY created_at, id", (platform, user_id)
        )
        return [to_notice(row) for row in rows]

    def notices_sent(self, ids: Sequence[str], now: datetime) -> None:
        """These have reached their reader."""
        with self._write() as db:
            db.executemany("UPDATE notices SET sent_at = coalesce(sent_at, ?) WHERE id = ?", [(time_to_text(now), each) for each in ids])

    def smoke_test(self, lora_id: str) -> SmokeTest | None:
        """How a LoRA's smoke test ended; None: it has had none."""
        rows = self._rows("SELECT passed, said FROM smoke_tests WHERE lora_id = ?", (lora_id,))
        return SmokeTest(bool(rows[0]["passed"]), rows[0]["said"]) if rows else None

    def keep_smoke_test(self, lora_id: str, *, passed: bool, said: str, now: datetime) -> None:
        with self._write() as db:
            db.execute(
                """
                INSERT INTO smoke_tests (lora_id, passed, said, at) VALUES (?, ?, ?, ?)
                ON CONFLICT (lora_id) DO UPDATE SET passed = excluded.passed, said = excluded.said, at = excluded.at
                """,
                (lora_id, passed, said, time_to_text(now)),
            )

    def thumbs(self, lora_id: str | None) -> Thumbs:
        """The standing thumbs on answers of a LoRA (None: the base), of each person the last few.

        Without those of people who have opted out, of questions that only people answered, and of answers for which a caller of the API
        chose the model.
        """
        [row] = self._rows(
            """
            SELECT count(*) FILTER (WHERE verdict = 1) AS up, count(*) FILTER (WHERE verdict = -1) AS down
            FROM (
                SELECT r.verdict, row_number() OVER (PARTITION BY t.platform, r.user_id ORDER BY r.rated_at DESC, t.id) AS place
                FROM turns t JOIN ratings r ON r.turn_id = t.id
                WHERE t.lora_id IS ? AND coalesce(t.answer, '') <> ''
                    AND r.verdict <> 0 AND coalesce(json_extract(t.prompt, '$.model'), '') = ''
                    AND NOT EXISTS (SELECT 1 FROM opt_outs o WHERE o.platform = t.platform AND o.user_id = r.user_id)
            )
            WHERE place <= ?
            """,
            (lora_id, _THUMBS_A_PERSON),
        )
        return Thumbs(row["up"], row["down"])

    def withdraw_notices(self, lora_id: str) -> None:
        """Nobody is told any more that they taught a LoRA that was taken back; who was told already stays told."""
        with self._write() as db:
            db.execute("DELETE FROM notices WHERE kind = 'taught' AND report = ? AND sent_at IS NULL", (lora_id,))

    def user_names(self) -> frozenset[str]:
        """How the platforms show the people who asked anything."""
        return frozenset(row["user_name"] for row in self._rows("SELECT DISTINCT user_name FROM turns WHERE user_name IS NOT NULL"))


def _readable(row: sqlite3.Row) -> Turn | None:
    """None for what a row can't be read as: damaged by hand, or by a disk."""
    try:
        return to_turn(row)
    except (ValueError, KeyError, TypeError):
        return None


def _to_waiting(row: sqlite3.Row) -> Waiting:
    people = tuple(json.loads(row["people"]))
    shown = row["turn_id"], row["domain"], row["instruction"], row["input"], row["response"]
    return Waiting(*shown, row["source"], row["why"], people, row["corrects"])
