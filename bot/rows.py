"""Database rows as types and back. Knows the columns, asks nothing of the database."""

import json
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime

from bot.notices import Notice
from bot.turns import ConversationHead, ExpertReply, Handover, Prompt, Question, Rating, Reply, Status, Turn
from model.chat import Message
from model.engine import Sampling

TURN_COLUMNS = """
    t.id, t.platform, t.event_id, t.conversation_id, t.user_id, t.user_name, t.message, t.edition, t.private,
    t.question, t.prompt, t.replaces, t.domain,
    t.status, t.answer, t.lora_id, t.reply_ref, t.error, t.finish_reason, t.prompt_tokens, t.completion_tokens,
    t.asked_at, t.answered_at,
    r.user_id AS rater, r.verdict, r.reason, r.correction, r.author_id, r.by_reaction, r.rated_at
"""
_TITLE_LENGTH = 80
_STATUS = {status.value: status for status in Status}  # five times as fast as Status(…), and a night reads every rated turn
# How far back a prompt may look; trimming to the context window happens in the engine.
HISTORY_TURNS = 40
# Turns that were asked again; one whose new answer failed or was stopped still counts.
REPLACED = "SELECT replaces FROM turns WHERE replaces IS NOT NULL AND status NOT IN ('failed', 'cancelled')"


def to_turn(row: sqlite3.Row) -> Turn:
    return Turn(
        id=row["id"],
        question=_question(row),
        domain=row["domain"],
        status=_STATUS[row["status"]],
        reply=_reply(row),
        reply_ref=row["reply_ref"],
        rating=_rating(row),
    )


def to_head(row: sqlite3.Row) -> ConversationHead:
    title = " ".join(row["title"].split())
    shortened = title if len(title) <= _TITLE_LENGTH else f"{title[:_TITLE_LENGTH]}…"
    return ConversationHead(row["conversation_id"], shortened, _time(row["updated_at"]))


def _time(text: str) -> datetime:
    """Always UTC; so is a time without a zone, as SQLite's own functions write it. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)


def time_to_text(time: datetime) -> str:
    """UTC, ISO-8601, always of the same width, so that text order is time order."""
    return time.isoformat(timespec="microseconds")


def prompt_to_json(prompt: Prompt | None) -> str | None:
    return None if prompt is None else json.dumps(asdict(prompt), ensure_ascii=False)


def _prompt(text: str | None) -> Prompt | None:
    if text is None:
        return None
    raw = json.loads(text)
    messages = tuple(Message(**message) for message in raw["messages"])
    if not messages or not all(isinstance(message.content, str) for message in messages):
        raise ValueError("a prompt needs messages of text")
    stop = tuple(raw["sampling"].pop("stop"))
    return Prompt(messages, Sampling(**raw["sampling"], stop=stop), raw["model"])


def _question(row: sqlite3.Row) -> Question:
    return Question(
        platform=row["platform"],
        event_id=row["event_id"],
        conversation_id=row["conversation_id"],
        user_id=row["user_id"],
        text=row["question"],
        asked_at=_time(row["asked_at"]),
        private=bool(row["private"]),
        replaces=row["replaces"],
        prompt=_prompt(row["prompt"]),
        user_name=row["user_name"],
        message=row["message"],
        edition=row["edition"],
    )


def _reply(row: sqlite3.Row) -> Reply | None:
    if row["answered_at"] is None:
        return None
    return Reply(
        text=row["answer"] or "",
        lora_id=row["lora_id"],
        status=_STATUS[row["status"]],
        answered_at=_time(row["answered_at"]),
        error=row["error"],
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
    )


def _rating(row: sqlite3.Row) -> Rating | None:
    if row["rater"] is None:
        return None
    return Rating(
        row["id"],
        row["rater"],
        row["verdict"],
        _time(row["rated_at"]),
        row["reason"],
        row["correction"],
        row["author_id"],
        bool(row["by_reaction"]),
    )


def to_handover(row: sqlite3.Row) -> Handover:
    return Handover(
        row["id"],
        row["platform"],
        row["conversation_id"],
        row["user_id"],
        row["turn_id"],
        _time(row["begun_at"]),
        row["message"],
        _time(row["ended_at"]) if row["ended_at"] is not None else None,
        row["thread"],
    )


def to_expert_reply(row: sqlite3.Row) -> ExpertReply:
    return ExpertReply(row["message"], row["handover_id"], row["expert_id"], row["text"], _time(row["said_at"]))


def to_notice(row: sqlite3.Row) -> Notice:
    return Notice(
        row["id"],
        row["kind"],
        row["platform"],
        row["user_id"],
        row["subject"],
        row["text"],
        datetime.fromisoformat(row["created_at"]),
        row["turn_id"],
        row["report"],
    )
