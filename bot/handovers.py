"""The store's statements on hand-overs: who took a conversation over, what its people wrote since, what was posted. Part of the Store."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from bot.faults import UnknownHandover
from bot.notices import OPERATORS, Notice
from bot.rows import time_to_text, to_expert_reply, to_handover, to_notice
from bot.statements import Statements
from bot.text import digest
from bot.turns import EDITED, ExpertReply, Handover, Turn

_EDITIONS = "platform = ?1 AND (message = ?2 OR substr(message, 1, length(?2 || ?3)) = ?2 || ?3)"


class Handovers(Statements):
    """Methods of `Store`."""

    def hand_over(self, handover: Handover) -> Handover:
        """Hands a conversation over from its newest turn on; one that is handed over already stays with its hand-over."""
        place = (handover.platform, handover.conversation_id)
        with self._write() as db:
            db.execute(
                """
                INSERT INTO handovers (id, platform, conversation_id, user_id, turn_id, begun_at, thread)
                SELECT ?3, ?1, ?2, ?4,
                    (SELECT id FROM turns WHERE platform = ?1 AND conversation_id = ?2 ORDER BY rowid DESC LIMIT 1), ?5, ?6
                WHERE NOT EXISTS (SELECT 1 FROM handovers WHERE platform = ?1 AND conversation_id = ?2 AND ended_at IS NULL)
                """,
                (*place, handover.id, handover.user_id, time_to_text(handover.begun_at), handover.thread),
            )
        standing = self.handed_over(*place)
        assert standing is not None
        return standing

    def handed_over(self, platform: str, conversation_id: str) -> Handover | None:
        """The hand-over that stands for a conversation now."""
        return self._one("platform = ? AND conversation_id = ? AND ended_at IS NULL", (platform, conversation_id))

    def handover(self, handover_id: str) -> Handover:
        """Raises UnknownHandover."""
        found = self._one("id = ?", (handover_id,))
        if found is None:
            raise UnknownHandover(f"there is no hand-over {handover_id!r}; its conversation may have been erased")
        return found

    def handover_at(self, platform: str, message: str) -> Handover | None:
        """The hand-over that was posted to the experts in this message."""
        return self._one("platform = ? AND message = ?", (platform, message))

    def handed_over_in(self, platform: str, thread: str) -> Handover | None:
        """The newest hand-over that was asked for in the thread that begins with this message, also one that has ended."""
        return self._one("platform = ? AND thread = ?", (platform, thread))

    def hand_back(self, handover_id: str, now: datetime) -> Handover:
        """CARE answers again; one that was handed back before stays so. Raises UnknownHandover."""
        with self._write() as db:
            db.execute("UPDATE handovers SET ended_at = coalesce(ended_at, ?) WHERE id = ?", (time_to_text(now), handover_id))
        return self.handover(handover_id)

    def unposted_handovers(self, platform: str) -> list[Handover]:
        """Hand-overs that no expert has seen yet, oldest first; one that ended before has nothing left to tell."""
        rows = self._rows(
            "SELECT * FROM handovers WHERE platform = ? AND message IS NULL AND ended_at IS NULL ORDER BY begun_at, id", (platform,)
        )
        return [to_handover(row) for row in rows]

    def handover_posted(self, handover_id: str, message: str, turns: Sequence[Turn], now: datetime) -> None:
        """The experts have this hand-over in a message, with these turns."""
        with self._write() as db:
            db.execute("UPDATE handovers SET message = ? WHERE id = ?", (message, handover_id))
            db.executemany(
                "UPDATE relays SET sent_at = ? WHERE turn_id = ? AND sent_at IS NULL", [(time_to_text(now), turn.id) for turn in turns]
            )

    def unsent_relays(self, platform: str) -> list[tuple[Handover, Turn]]:
        """What was written in handed-over conversations and the experts have not seen yet, oldest first."""
        rows = self._rows(
            """
            SELECT h.*, r.turn_id AS relayed FROM relays r JOIN handovers h ON h.id = r.handover_id JOIN turns t ON t.id = r.turn_id
            WHERE h.platform = ? AND h.message IS NOT NULL AND r.sent_at IS NULL ORDER BY t.rowid
            """,
            (platform,),
        )
        return [(to_handover(row), self.turn(row["relayed"])) for row in rows]

    def relayed(self, turn_id: str, now: datetime) -> None:
        """The experts have seen this turn."""
        with self._write() as db:
            db.execute("UPDATE relays SET sent_at = ? WHERE turn_id = ?", (time_to_text(now), turn_id))

    def shown_to_experts(self, platform: str, message: str, handover_id: str, turn_id: str | None) -> bool:
        """This message shows experts a hand-over, or one turn of it. False: that was erased meanwhile, and it is to be taken away."""
        with self._write() as db:
            shown = db.execute(
                """
                INSERT INTO expert_posts (platform, message, handover_id, turn_id) SELECT ?1, ?2, id, ?4 FROM handovers
                WHERE id = ?3 AND (?4 IS NULL OR EXISTS (SELECT 1 FROM turns WHERE id = ?4))
                ON CONFLICT (platform, message) DO UPDATE SET handover_id = excluded.handover_id, turn_id = excluded.turn_id
                """,
                (platform, message, handover_id, turn_id),
            ).rowcount
            if not shown:
                db.execute("INSERT INTO removals (platform, message) VALUES (?, ?) ON CONFLICT DO NOTHING", (platform, message))
        return bool(shown)

    def handovers_of(self, platform: str, conversation_id: str) -> list[Handover]:
        """The hand-overs of a conversation that experts have seen, oldest first."""
        rows = self._rows(
            "SELECT * FROM handovers WHERE platform = ? AND conversation_id = ? AND message IS NOT NULL ORDER BY begun_at",
            (platform, conversation_id),
        )
        return [to_handover(row) for row in rows]

    def keep_reply(self, platform: str, reply: ExpertReply) -> None:
        """Keeps an expert's words until they are brought to the asker, once a message."""
        with self._write() as db:
            db.execute(
                """
                INSERT INTO expert_replies (platform, message, handover_id, expert_id, text, said_at, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT DO NOTHING
                """,
                (platform, reply.message, reply.handover_id, reply.expert_id, reply.text, time_to_text(reply.said_at), digest(reply.text)),
            )

    def editions(self, platform: str, message: str) -> dict[str, str]:
        """What an expert's message said, oldest first: a digest by the reply's name, "" for what was withdrawn."""
        rows = self._rows(f"SELECT message, sha256 FROM expert_replies WHERE {_EDITIONS} ORDER BY message", (platform, message, EDITED))
        return {str(row["message"]): str(row["sha256"]) for row in rows}

    def withdraw_replies(self, platform: str, message: str, now: datetime) -> list[ExpertReply]:
        """Its expert deleted the message: nothing of it is brought any more. What it was, without words."""
        said = (platform, message, EDITED)
        with self._write() as db:
            rows = db.execute(f"SELECT * FROM expert_replies WHERE {_EDITIONS} ORDER BY message", said).fetchall()
            db.execute(
                f"UPDATE expert_replies SET text = '', sha256 = '', sent_at = coalesce(sent_at, ?4) WHERE {_EDITIONS}",
                (*said, time_to_text(now)),
            )
        return [to_expert_reply(row) for row in rows]

    def unsent_replies(self, platform: str) -> list[tuple[Handover, ExpertReply]]:
        """What experts wrote and the askers have not seen yet, in the order in which it was written."""
        rows = self._rows("SELECT * FROM expert_replies WHERE platform = ? AND sent_at IS NULL ORDER BY said_at, message", (platform,))
        return [(self.handover(row["handover_id"]), to_expert_reply(row)) for row in rows]

    def reply_sent(self, platform: str, message: str, now: datetime) -> None:
        """The asker has these words; what they were need not be kept any longer."""
        with self._write() as db:
            db.execute(
                "UPDATE expert_replies SET sent_at = ?, text = '' WHERE platform = ? AND message = ?",
                (time_to_text(now), platform, message),
            )

    def untold(self, platform: str, since: datetime) -> list[Notice]:
        """Notices to a platform's people, and those to the operators since then that were not told on this platform; oldest first."""
        rows = self._rows(
            """
            SELECT * FROM notices n WHERE (platform = ?1 AND sent_at IS NULL)
                OR (platform = ?2 AND created_at >= ?3 AND NOT EXISTS (SELECT 1 FROM told WHERE notice_id = n.id AND platform = ?1))
            ORDER BY created_at, id
            """,
            (platform, OPERATORS, time_to_text(since)),
        )
        return [to_notice(row) for row in rows]

    def notice(self, notice_id: str) -> Notice | None:
        """A notice, told or not."""
        rows = self._rows("SELECT * FROM notices WHERE id = ?", (notice_id,))
        return to_notice(rows[0]) if rows else None

    def told(self, notice: Notice, platform: str, now: datetime) -> None:
        """A notice reached its person, or the operators of a platform."""
        with self._write() as db:
            if notice.platform == OPERATORS:
                db.execute(
                    "INSERT INTO told (notice_id, platform, at) SELECT id, ?, ? FROM notices WHERE id = ? ON CONFLICT DO NOTHING",
                    (platform, time_to_text(now), notice.id),
                )
            else:
                db.execute("UPDATE notices SET sent_at = coalesce(sent_at, ?) WHERE id = ?", (time_to_text(now), notice.id))

    def _one(self, where: str, values: Sequence[object]) -> Handover | None:
        rows: list[sqlite3.Row] = self._rows(f"SELECT * FROM handovers WHERE {where} ORDER BY begun_at DESC LIMIT 1", values)
        return to_handover(rows[0]) if rows else None
