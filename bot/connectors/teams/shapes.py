"""What CARE sends to Teams, as plain JSON: streams, answers, notes. Pure; knows no card's inside."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from bot.connectors import words

Json = Mapping[str, Any]
Feedback = Literal["custom", "default"]

LOOKING: Final = "Looking into it…"
FEEDBACK: Final[Mapping[str, Feedback]] = {"dialog": "custom", "comment": "default"}  # with a card there is no loop
NEW: Final = "new"
HUMAN: Final = "human"
OPT_OUT: Final = "Write `opt out` to keep what you write out of training, `help` for everything else that I do."
NOT_FILES: Final = "I can't open files or pictures."
INFORMATIVE_CHARS: Final = 1000
# Teams shows three suggested actions; the last says what there is at all.
_STARTERS: Final = (*words.SUGGESTED_PROMPTS[:2], words.SUGGESTED_PROMPTS[-1])
_ACTION_CHARS: Final = 50  # a button's title, before a client cuts it

AI_LABEL: Final[Json] = {
    "type": "https://schema.org/Message",
    "@type": "Message",
    "@context": "https://schema.org",
    "additionalType": ["AIGeneratedContent"],
}


def note(text: str) -> dict[str, Any]:
    """A message of CARE's own, that is no answer."""
    return {"type": "message", "textFormat": "markdown", "text": text}


def informative(text: str, sequence: int, stream_id: str | None) -> dict[str, Any]:
    """The line of a stream in which nothing is written yet; without an id its beginning."""
    return _typing(text[:INFORMATIVE_CHARS], "informative", sequence, stream_id)


def chunk(text: str, sequence: int, stream_id: str) -> dict[str, Any]:
    """All that is written so far."""
    return _typing(text, "streaming", sequence, stream_id)


def ended(activity: Json, stream_id: str) -> dict[str, Any]:
    """A message as the end of a stream."""
    info = {"streamId": stream_id, "streamType": "final"}
    return {
        **activity,
        "entities": [{"type": "streaminfo", **info}, *activity.get("entities", ())],
        "channelData": {**info, **activity.get("channelData", {})},
    }


def answer(
    text: str,
    *,
    generated: bool = True,
    feedback: Feedback | None = None,
    actions: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """A reply, or a part of it. `generated`: with Teams' AI label. `actions`: titles and what they say."""
    shape = note(text)
    if generated:
        shape["entities"] = [dict(AI_LABEL)]
    if feedback is not None:
        shape["channelData"] = {"feedbackLoop": {"type": feedback}}
    if actions:
        shape["suggestedActions"] = suggested(actions)
    return shape


def suggested(actions: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Buttons below a message of a personal chat; pressed, they say something as if the person had written it."""
    return {"to": [], "actions": [{"type": "imBack", "title": title[:_ACTION_CHARS], "value": said} for title, said in actions]}


def next_steps(*, human: bool) -> list[tuple[str, str]]:
    """What to do after an answer."""
    return [("New conversation", NEW), *([("Talk to a person", HUMAN)] if human else [])]


def welcome(notice: str, *, human: bool) -> dict[str, Any]:
    """For a personal chat: what CARE is, with questions to begin with. Without marks: not every client reads them where it suggests."""
    person = " Write `human` to talk to a person." if human else ""
    said = f"Hello! I answer support questions: ask me anything.\n\n{notice}{person} {OPT_OUT}"
    return {**note(said.replace("`", '"')), "suggestedActions": suggested(_STARTERS)}


def group_welcome(notice: str) -> dict[str, Any]:
    """For a team or a group chat."""
    return note(f"Hello! I answer support questions: mention me with yours.\n\n{notice} {OPT_OUT}")


def introduction(notice: str, *, human: bool) -> str:
    """What somebody is told once, below an answer."""
    person = " Write `human` to talk to a person." if human else ""
    return f"\n\n---\n\n{notice}{person} {OPT_OUT}"


def place_text(place: int) -> str:
    """Where a question stands in the queue; place 1 is the next one, 0 no place yet."""
    if place == 0:
        return LOOKING
    if place == 1:
        return "You're next in line…"
    return f"{place - 1} {'question' if place == 2 else 'questions'} before yours…"


def files_declined(*, asked: bool) -> str:
    """`asked`: there is a text to answer as well."""
    return f"{NOT_FILES} {'I answer what you wrote.' if asked else 'Please describe in words what you need.'}"


def _typing(text: str, kind: str, sequence: int, stream_id: str | None) -> dict[str, Any]:
    info: dict[str, Any] = {"streamType": kind, "streamSequence": sequence}
    if stream_id is not None:
        info["streamId"] = stream_id
    return {"type": "typing", "text": text, "entities": [{"type": "streaminfo", **info}], "channelData": info}
