"""What CARE says on every platform alike. Plain Markdown; knows no platform."""

from collections.abc import Mapping
from typing import Final

from bot.operations import ServiceStatus
from model.history import Change

_BASE = "the base model"
AI_LABEL = "AI answer, can be wrong."
SUGGESTED_PROMPTS: Final = (
    ("My internet is down", "My internet is down. What can I try before I call?"),
    ("Block a lost card", "I lost my bank card. What do I do first?"),
    ("Prepare for an appointment", "How do I prepare for a doctor's appointment?"),
    ("What can you do?", "What can you help me with?"),
)
NEW_BEGUN = "A new conversation: I look back at nothing that we said before."
NOTHING_ASKED = "What do you want to know? Write your question after my name."
ENDED = "This conversation was handed back to CARE: what you write here does not reach the asker any more."
NO_FILES = "Only your words reach the asker: I can't bring files or pictures."
ASKER_GONE = "The asker's conversation is not there any more: what you wrote could not be brought to them."
CONFIRMED: Final[Mapping[int, str]] = {
    1: "👍 Noted. Good answers may teach CARE tonight.",
    -1: "👎 Noted. What you say should have stood here may teach CARE tonight.",
    0: "Your vote is withdrawn.",
}


def did(change: Change) -> str:
    """What became of an order, in words that are true during a trial too."""
    if change.action == "withdraw":
        return f"ended the trial of {change.lora_id}: {change.before or _BASE} stays live."
    if change.action == "rollback":
        return f"took {change.before} back: {change.lora_id or _BASE} is live now."
    return f"promoted {change.lora_id}: it is live now."


def status_text(status: ServiceStatus) -> str:
    """A look at CARE, for everybody."""
    busy = f"{status.running} answers are being written, {status.waiting} questions wait."
    well = "I'm well." if status.ready else f"I'm not ready: {status.detail}."
    version = "what I was taught in the nights" if status.live is not None else "the base model alone"
    return f"{well} {busy}\nModel `{status.model}`, answering with {version}" + (f" (`{status.live}`)." if status.live else ".")
