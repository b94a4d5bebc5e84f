"""What CARE's Adaptive Cards look like, from plain values. Pure; calls nothing.

Text that people or the model wrote stands in text runs, which no client reads as Markdown. A card says in its data what it is about;
what comes back is a person's, and believed only as far as the message it stands in says the same.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bot.connectors.words import CONFIRMED
from bot.turns import Turn, Verdict

Json = Mapping[str, Any]

ADAPTIVE: Final = "application/vnd.microsoft.card.adaptive"
VERSION: Final = "1.4"

# Verbs: what comes back from a card is told apart by them.
RATE, EXPLAIN = "rate", "explain"
SEND, HAND_BACK = "send_to_asker", "hand_back"
FORGET, KEEP = "forget_me", "keep_me"
PROMOTE, ROLLBACK = "promote", "roll_back"

# Fields of a card's data and of its inputs.
VERB, TURN, VERDICT, HANDOVER, WHO, LORA, NOTICE = "care", "turn", "verdict", "handover", "who", "lora", "notice"
REASON, CORRECTION, WORDS = "reason", "correction", "words"

INPUT_CHARS: Final = 3000
CARD_BYTES: Final = 26_000  # of JSON: Teams takes 28 kB in all
_QUOTED_CHARS, _QUOTED_TURNS = (1200, 600, 300, 150, 60, 20), 10

RATING_ASKED: Final = "Was this answer right?"
EXPLAINS: Final = "👎 Say what was wrong"
_MAY_LEARN = "CARE may learn from this, after personal data is masked."
_THUMB_ALONE = f"{_MAY_LEARN} Leave it empty to send the thumb alone."
_COUNTS = f"It counts as 👎. {_MAY_LEARN}"
_IN_THREAD = "Write below, or mention me in this thread: I bring your words to them, and stay silent there."
_IN_CHAT = "Write below: in this chat only what you send from this card reaches them. I stay silent there."
_FORGET = (
    "**This erases everything CARE has kept of you in Teams**: your questions, its answers to them, your votes and corrections. "
    "What was trained on them is taken out of service, what experts were shown is taken away. "
    "Other messages in Teams itself stay; delete those yourself."
)


def attachment(card: Json) -> dict[str, Any]:
    """A card in a message."""
    return {"contentType": ADAPTIVE, "content": dict(card)}


def message(card: Json, summary: str) -> dict[str, Any]:
    """A message that is a card; `summary` is what a notification shows."""
    return {"type": "message", "summary": summary, "attachments": [attachment(card)]}


def size(shape: Json) -> int:
    """Bytes as sent, at worst."""
    return len(json.dumps(shape))


def shown(card: Json) -> dict[str, Any]:
    """The answer to a button: this card in place of its own."""
    return {"statusCode": 200, "type": ADAPTIVE, "value": dict(card)}


def said(words: str) -> dict[str, Any]:
    """The answer to a button: words for who pressed it, refusals too, and the card stays as it is."""
    return {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": words}


# Votes.


def rating(turn_id: str, *, told: str = "") -> dict[str, Any]:
    """Below an answer where a client has no thumbs; `told` is what became of a vote."""
    wrong = _card(
        [_text("What was wrong, and what should it have said?", wrap=True), *_words(REASON, CORRECTION), _hint(_COUNTS)],
        [_execute("Send", EXPLAIN, {TURN: turn_id})],
    )
    thumbs = [
        _execute(title, RATE, {TURN: turn_id, VERDICT: verdict}, associatedInputs="none", tooltip=tip)
        for title, verdict, tip in (("👍", 1, "Good answer"), ("👎", -1, "Bad answer"))
    ]
    return _card([_hint(told or RATING_ASKED)], [*thumbs, {"type": "Action.ShowCard", "title": EXPLAINS, "card": wrong}])


def confirmed(turn_id: str, verdict: Verdict) -> dict[str, Any]:
    """The same after a vote."""
    return rating(turn_id, told=CONFIRMED[verdict])


def feedback(turn_id: str, verdict: Verdict, *, reason: str = "", correction: str = "") -> dict[str, Any]:
    """Teams' own dialog after a thumb: what was wrong, what should it have said? With what was said of it before."""
    asked: Sequence[Json] = _words(REASON, CORRECTION, reason, correction)
    if verdict == 1:
        asked = [_input(REASON, "What was good about it?", "For example: exactly the number that I needed", reason)]
    send = {"type": "Action.Submit", "title": "Send", "data": {VERB: EXPLAIN, TURN: turn_id, VERDICT: verdict}}
    return _card([_hint(CONFIRMED[verdict]), *asked, _hint(_THUMB_ALONE)], [send])


# Commands.


def forget(user_id: str) -> dict[str, Any]:
    """Asks before everything of a person is erased."""
    return _card(
        [_text("Forget me?", size="Medium", weight="Bolder"), _text(_FORGET, wrap=True), _text("There is no way back.", wrap=True)],
        [
            _execute("Erase everything", FORGET, {WHO: user_id}, style="destructive"),
            _execute("Keep it", KEEP, {WHO: user_id}),
        ],
    )


def plain(text: str) -> dict[str, Any]:
    """A card that has been answered."""
    return _card([_text(text, wrap=True)])


# Hand-overs.


def handover(
    handover_id: str, asker: str, turns: Sequence[Turn], *, told: str = "", ended_by: str | None = None, threaded: bool = True
) -> dict[str, Any]:
    """The conversation as the experts get it, oldest first; `told` is what just happened, `ended_by` who handed it back. `threaded`: it
    stands in a channel, and CARE knows what belongs to it.
    """

    def made(chars: int) -> dict[str, Any]:
        left_out = len(turns) - _QUOTED_TURNS
        quoted = [block for turn in turns[-_QUOTED_TURNS:] for block in _exchange(turn, chars)]
        head = [
            _runs((asker, True), (" asks for a person.", True)),
            _text(_IN_THREAD if threaded else _IN_CHAT, wrap=True),
        ]
        earlier = [_hint(f"{left_out} earlier questions are left out.")] if left_out > 0 else []
        news = [_runs((told, False))] if told else []
        if ended_by is not None:
            return _card([*head[:1], *earlier, *quoted, *news, _runs((f"Handed back to CARE by {ended_by}.", False))])
        reply = _input(WORDS, "Your answer", "Only the asker reads it, and you here", "")
        data = {HANDOVER: handover_id}
        return _card(
            [*head, *earlier, *quoted, *news, reply],
            [
                _execute("Send to the asker", SEND, data, style="positive"),
                _execute("Hand back to CARE", HAND_BACK, data, associatedInputs="none"),
            ],
        )

    return fitting(*(partial(made, chars) for chars in _QUOTED_CHARS))


def _exchange(turn: Turn, chars: int) -> list[Json]:
    asked: list[Json] = [_hint("Asked", separator=True), _runs((cut(turn.question.text, chars), False))]
    replied = turn.reply.text if turn.reply is not None else ""
    return [*asked, _hint("CARE answered"), _runs((cut(replied, chars), False))] if replied else asked


# The operators'.


def order(title: str, verb: str, question: str, data: Json, *, style: str) -> dict[str, Any]:
    """A button that asks before it does it."""
    sure = _card([_text(question, wrap=True)], [_execute(title, verb, data, style=style)])
    return {"type": "Action.ShowCard", "title": f"{title}…", "card": sure}


# Parts.


def card(body: Sequence[Json], actions: Sequence[Json] = ()) -> dict[str, Any]:
    """Elements and buttons as a card."""
    return _card(body, actions)


def fitting(*ways: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The first card that is small enough for a message; the last, if none is."""
    for made in ways:
        found = made()
        if size(found) <= CARD_BYTES:
            break
    return found


def text(words: str, **style: object) -> dict[str, Any]:
    """A line of our own, in Markdown."""
    return _text(words, wrap=True, **style)


def hint(words: str) -> dict[str, Any]:
    """A line of our own, small."""
    return _hint(words)


def runs(*parts: tuple[str, bool], mono: bool = False) -> dict[str, Any]:
    """Somebody else's words, as they are: the text, and whether it is bold."""
    return _runs(*parts, mono=mono)


def image(url: str, alt: str) -> dict[str, Any]:
    return {"type": "Image", "url": url, "altText": alt, "size": "Stretch"}


def cut(words: str, chars: int) -> str:
    """Visibly shorter, where it is too long."""
    return words if len(words) <= chars else f"{words[: chars - 1]}…"


def _card(body: Sequence[Json], actions: Sequence[Json] = ()) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": VERSION,
        "body": list(body),
    }
    return {**made, "actions": list(actions)} if actions else made


def _text(words: str, **style: object) -> dict[str, Any]:
    return {"type": "TextBlock", "text": words, **style}


def _hint(words: str, **style: object) -> dict[str, Any]:
    return _text(words, wrap=True, isSubtle=True, size="Small", **style)


def _runs(*parts: tuple[str, bool], mono: bool = False) -> dict[str, Any]:
    font = {"fontType": "Monospace", "size": "Small"} if mono else {}
    inlines = [{"type": "TextRun", "text": words, **({"weight": "Bolder"} if bold else {}), **font} for words, bold in parts if words]
    return {"type": "RichTextBlock", "inlines": inlines or [{"type": "TextRun", "text": "(no text)", "italic": True}]}


def _words(reason_id: str, correction_id: str, reason: str = "", correction: str = "") -> list[Json]:
    return [
        _input(reason_id, "What was wrong?", "For example: outdated, wrong number, rude", reason),
        _input(correction_id, "What should it have said?", "The answer you would have given", correction),
    ]


def _input(name: str, label: str, placeholder: str, value: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "Input.Text", "id": name, "label": label, "placeholder": placeholder, "isMultiline": True}
    return {**made, "maxLength": INPUT_CHARS, **({"value": cut(value, INPUT_CHARS)} if value else {})}


def _execute(title: str, verb: str, data: Json, **more: object) -> dict[str, Any]:
    """With a fallback for clients that know no Action.Execute: what it sends comes as a message."""
    sent = {VERB: verb, **data}
    fallback = {"type": "Action.Submit", "title": title, "data": sent}
    return {"type": "Action.Execute", "title": title, "verb": verb, "data": sent, "fallback": fallback, **more}
