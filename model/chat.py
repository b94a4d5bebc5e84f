"""A chat as the model reads it: messages, and which of them still fit. Pure; knows no tokenizer and no template."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from model.errors import ContextLengthExceeded

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. `content` is plain text; markup of the chat template has no meaning in it."""

    role: Role
    content: str


def defuse(text: str, control_tokens: Iterable[str]) -> str:
    """Break up the template's control tokens in what a person wrote, so that nobody can end their own message
    and speak as the system: `<|im_end|>` becomes `< |im_end|>`, which reads the same and encodes as plain text.
    The tokens must not hold white space themselves."""
    for token in control_tokens:
        while token in text:  # breaking up one may leave another that overlapped it
            text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text


def trim(messages: Sequence[Message], count: Callable[[Sequence[Message]], int], limit: int) -> tuple[Message, ...]:
    """The messages that fit into `limit` tokens, as `count` counts them, with the oldest turns left out first.

    The leading system prompt and the last question (with whatever follows it) always stay.
    Raises ContextLengthExceeded when those alone are too long.
    """
    head, history, question = _parts(messages)
    starts = [at for at, message in enumerate(history) if at == 0 or message.role == "user"] + [len(history)]

    def kept(start: int) -> tuple[Message, ...]:
        return (*head, *history[start:], *question)

    first = bisect_left(starts, True, key=lambda start: count(kept(start)) <= limit)
    if first == len(starts):
        raise ContextLengthExceeded(count(kept(len(history))), limit)
    return kept(starts[first])


def _parts(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message], Sequence[Message]]:
    """Leading system messages, the turns before the last question, and the last question with what follows it."""
    head = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    users = [i for i, message in enumerate(messages) if message.role == "user"]
    last = users[-1] if users else len(messages)
    return messages[:head], messages[head:last], messages[last:]
