"""What people ask, what CARE replies, what they think of it. Plain frozen values; knows no platform and no storage."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal
from uuid import uuid4

from model.chat import Message
from model.engine import Sampling

Verdict = Literal[1, -1, 0]

BASE = "base"  # asks for the base model, where a LoRA id could stand


class Status(StrEnum):
    """Where a turn is in its life: received → answering → answered → delivered, or cancelled, or failed."""

    RECEIVED = "received"
    ANSWERING = "answering"
    ANSWERED = "answered"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """No more text is coming."""
        return self not in (Status.RECEIVED, Status.ANSWERING)


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a caller of the API wants its question answered, where that differs from CARE's own way.

    `messages` replace the stored conversation; `model` is BASE or a LoRA id, None for the live LoRA.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asked. `event_id` is the platform's own id of it: the same one twice is one question.

    So is the same `edition` of the same `message`, the platform's name of the message that asked.
    """

    platform: str
    event_id: str
    conversation_id: str
    user_id: str
    text: str
    asked_at: datetime
    private: bool = True  # only its asker may rate it
    replaces: str | None = None  # the turn that this question asks again
    prompt: Prompt | None = None
    user_name: str | None = None  # as the platform shows it; masked before anything is learned
    message: str | None = None
    edition: str = ""  # "" as it was first written; later ones sort after it

    def is_changed_by(self, text: str, edition: str) -> bool:
        """Whether an edition of its message is a later one that says something else."""
        return text != self.text and edition > self.edition


@dataclass(frozen=True, slots=True)
class Rating:
    """What a person thinks of a turn: 1, -1, or 0 for withdrawn. Their last word wins."""

    turn_id: str
    user_id: str
    verdict: Verdict
    rated_at: datetime
    reason: str | None = None
    correction: str | None = None
    author_id: str | None = None  # who wrote the correction, where that was somebody else
    by_reaction: bool = False  # a reaction to the answer set it, and goes with the reaction


@dataclass(frozen=True, slots=True)
class Reply:
    """What went back: the text, the LoRA that wrote it (None: the base), and how it ended."""

    text: str
    lora_id: str | None
    status: Status
    answered_at: datetime
    error: str | None = None
    finish_reason: Literal["stop", "length", "cancelled"] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its reply: the thing a rating points at."""

    id: str
    question: Question
    domain: str
    status: Status
    reply: Reply | None = None
    reply_ref: str | None = None  # the platform's name of the message that carries the reply
    rating: Rating | None = None  # of the person who asked


@dataclass(frozen=True, slots=True)
class Handover:
    """A conversation that people took over: CARE keeps silent in it until `ended_at`."""

    id: str
    platform: str
    conversation_id: str
    user_id: str  # who asked for a human
    turn_id: str | None  # the newest turn of the conversation then
    begun_at: datetime
    message: str | None = None  # the platform's name of the experts' post; None: still to be posted
    ended_at: datetime | None = None
    thread: str | None = None  # the message that the thread begins with in which they asked; None: nobody knows


EDITED = " edited "  # in the name of an expert's reply: the message, and when it was edited


@dataclass(frozen=True, slots=True)
class ExpertReply:
    """What an expert wrote to the asker of a hand-over, in a message of the platform: the same message twice is one reply."""

    message: str
    handover_id: str
    expert_id: str
    text: str
    said_at: datetime


@dataclass(frozen=True, slots=True)
class RatedTurn:
    """A turn with every rating it got, the last word of each person, and the answered turns before it in its conversation."""

    turn: Turn
    ratings: tuple[Rating, ...]
    history: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The ordered turns of one thread, oldest first, without those that were asked again."""

    id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class ConversationHead:
    """A conversation in a list: its first question and its last sign of life."""

    id: str
    title: str
    updated_at: datetime


def new_id() -> str:
    """An id for a turn or a hand-over."""
    return uuid4().hex


def now() -> datetime:
    return datetime.now(UTC)
