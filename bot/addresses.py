"""The store's statements on how people can be reached, and on ratings that name no answer. Part of the Store.

An address is what a connector needs to write somewhere unasked, or after a restart; only that connector can read it.
"""

from dataclasses import dataclass
from datetime import datetime

from bot.rows import time_to_text
from bot.statements import Statements
from bot.turns import Verdict


@dataclass(frozen=True, slots=True)
class UnattributedRating:
    """What a person thinks of an answer of a conversation, and nobody knows of which: kept, and never learned from."""

    platform: str
    conversation_id: str
    user_id: str
    verdict: Verdict
    reason: str | None
    rated_at: datetime


class Addresses(Statements):
    """Methods of `Store`."""

    def reached(self, platform: str, place: str, address: str, user_id: str | None, now: datetime, *, greet: bool = False) -> None:
        """This is how a place is written to now; `user_id` where only that person reads there. `greet`: a new one is owed a welcome."""
        with self._write() as db:
            db.execute(
                """
                INSERT INTO addresses (platform, place, address, user_id, reached_at, owes_welcome) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (platform, place) DO UPDATE SET address = excluded.address, user_id = excluded.user_id,
                    reached_at = excluded.reached_at
                """,
                (platform, place, address, user_id, time_to_text(now), greet),
            )

    def welcomed(self, platform: str, place: str) -> None:
        """This place was greeted, or can't be."""
        with self._write() as db:
            db.execute("UPDATE addresses SET owes_welcome = 0 WHERE platform = ? AND place = ?", (platform, place))

    def unwelcomed(self, platform: str) -> list[str]:
        """How the places are written to that are still to be greeted."""
        return [str(row["address"]) for row in self._rows("SELECT address FROM addresses WHERE platform = ? AND owes_welcome", (platform,))]

    def out_of_reach(self, platform: str, place: str) -> None:
        """Nothing can be written there any more."""
        with self._write() as db:
            db.execute("DELETE FROM addresses WHERE platform = ? AND place = ?", (platform, place))

    def address(self, platform: str, place: str) -> str | None:
        """How a place is written to."""
        return self._address("place = ?", platform, place)

    def personal_address(self, platform: str, user_id: str) -> str | None:
        """How a person is written to alone: where they were reached last."""
        return self._address("user_id = ?", platform, user_id)

    def any_address(self, platform: str) -> str | None:
        """Where the platform was reached last, whoever reads there."""
        return self._address("1 = ?", platform, 1)

    def _address(self, where: str, platform: str, value: object) -> str | None:
        rows = self._rows(
            f"SELECT address FROM addresses WHERE platform = ? AND {where} ORDER BY reached_at DESC, place LIMIT 1", (platform, value)
        )
        return str(rows[0]["address"]) if rows else None

    def rated_nothing(self, rating: UnattributedRating) -> None:
        """Keeps a rating that names no answer; the same words again are one rating."""
        said = (rating.platform, rating.user_id, rating.conversation_id, rating.verdict, rating.reason)
        with self._write() as db:
            db.execute(
                """
                DELETE FROM unattributed_ratings
                WHERE platform = ? AND user_id = ? AND conversation_id = ? AND verdict = ? AND reason IS ?
                """,
                said,
            )
            db.execute(
                """
                INSERT INTO unattributed_ratings (platform, user_id, conversation_id, verdict, reason, rated_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                (*said, time_to_text(rating.rated_at)),
            )
