"""Reviews: what waits for a person to say whether CARE may learn it, and who may say so. Pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

DOWN = "rated down"  # the source of an answer that somebody voted down without saying what would have been right
MOST_EDITED = 4_000  # characters: no longer answer is learned
Decision = Literal["approved", "edited", "rejected"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An answer that somebody must look at before it is trained on, redacted, and why.

    `people` ("platform:user") asked, rated or corrected it: none of them may review it. `corrects` is the answer that a correction stands
    in place of; a turn's answer does not change, so that a decision on its correction is one on both.
    """

    turn_id: str
    domain: str
    instruction: str
    input: str
    response: str
    source: str
    why: str
    people: tuple[str, ...]
    corrects: str | None = None

    @property
    def bad(self) -> bool:
        """Whether whoever approves it says that the answer is bad: it is to be unlearned."""
        return self.source == DOWN

    @property
    def sha256(self) -> str:
        """A decision is about these very texts, as good or as bad ones; what was changed later waits again."""
        shown = (self.instruction, self.input, self.response, *((self.source,) if self.bad else ()))
        return hashlib.sha256("\0".join(shown).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Review:
    """A decision: `edited` is what to learn instead."""

    turn_id: str
    sha256: str
    decision: Decision
    reviewer: str
    reviewed_at: datetime
    edited: str | None = None


class NotReviewable(Exception):
    """This person can't decide on this, or it does not wait any more; the message says why."""


def require_allowed(waiting: Waiting, review: Review) -> None:
    """Raises NotReviewable."""
    if review.reviewer in waiting.people:
        raise NotReviewable(f"{review.reviewer} asked, rated or corrected turn {waiting.turn_id!r}; somebody else has to review it")
    if review.sha256 != waiting.sha256:
        raise NotReviewable(f"turn {waiting.turn_id!r} has changed since it was shown; look at it again")
    if review.decision == "edited" and waiting.bad:
        raise NotReviewable(
            f"turn {waiting.turn_id!r} was voted down: approve it if its answer is bad, or reject it; a correction says what is right"
        )
    if (review.decision == "edited") != bool(review.edited and review.edited.strip()):
        raise NotReviewable(f"turn {waiting.turn_id!r}: an edit needs its new text, and only an edit has one")
    if review.edited is not None and len(review.edited) > MOST_EDITED:
        raise NotReviewable(f"turn {waiting.turn_id!r}: an edit of {len(review.edited)} characters is too long; {MOST_EDITED} at most")
