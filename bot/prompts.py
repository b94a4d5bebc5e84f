"""What a turn asks the model, as messages. Pure; serving and training both use it, so that a LoRA learns what it will be asked."""

from collections.abc import Sequence

from bot.turns import Turn
from model.chat import Message


def chat(system_prompt: str, turn: Turn, history: Sequence[Turn]) -> tuple[Message, ...]:
    """The caller's own context, or the conversation so far; the fixed system prompt leads, unless a caller of the API brought one."""
    system = Message("system", system_prompt)
    if turn.question.prompt is not None:
        messages = turn.question.prompt.messages
        return messages if messages[0].role == "system" else (system, *messages)
    before = [
        message
        for past in history
        if past.reply is not None
        for message in (Message("user", past.question.text), Message("assistant", past.reply.text))
    ]
    return (system, *before, Message("user", turn.question.text))
