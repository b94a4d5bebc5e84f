"""What a person is told whose question can't be answered. Pure; knows no platform."""

from bot.domains import Domains
from model.errors import Busy, ContextLengthExceeded, EngineError

_BUSY = "So many people are asking at the moment that I can't take another question. Please ask me again in a minute."
_UNABLE = "I can't answer at the moment: my language model is not running. The people who run CARE find the reason in its log."


def words(error: EngineError, domains: Domains, question: str) -> str:
    """One or two sentences, after the emergency notice where the question calls for it."""
    told = _BUSY if isinstance(error, Busy) else _UNABLE
    if isinstance(error, ContextLengthExceeded):
        told = f"That is too long for me: it has {error.tokens} tokens, I can read {error.limit} at once. Please ask again in fewer words."
    return f"{domains.emergency_notice}\n\n{told}" if domains.is_emergency(question) else told
