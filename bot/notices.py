"""Notices: what the night and the watch have to say to people, kept until a platform has said it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["report", "rollback", "taught"]

# Notices to whoever operates CARE, on any platform, have this instead of a platform and a person.
OPERATORS = "operators"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one person, or to the operators; the same `subject` is told the same person once.

    `turn_id` is the turn it is about: with the turn goes the notice. `report` is the path of a night's report.
    """

    id: str
    kind: Kind
    platform: str
    user_id: str
    subject: str
    text: str
    created_at: datetime
    turn_id: str | None = None
    report: str | None = None
