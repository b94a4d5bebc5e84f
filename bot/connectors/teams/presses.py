"""What Teams sends when somebody presses something, as values. Pure; whatever is missing or wrong is refused with what it is.

The body of an invoke is written by a client: who it is from and where it stands is Teams' word, everything else is a person's.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.connectors import inside
from bot.connectors.teams import cards, events
from bot.connectors.teams.address import Address
from bot.connectors.teams.names import Name
from bot.connectors.teams.sdk import InvokeRefused
from bot.turns import Verdict

Json = Mapping[str, Any]

TOO_LONG = f"Please use at most {cards.INPUT_CHARS} characters."
_THUMBS: Mapping[str, Verdict] = {"like": 1, "dislike": -1}


@dataclass(frozen=True, slots=True)
class Presser:
    """Who pressed something, and where."""

    event_id: str  # the same for the same press that comes again
    user: str
    user_name: str
    directory_id: str | None
    address: Address
    message: Name | None  # the one that it stands in; None: the client does not say
    at: str  # when, so that later ones sort after it

    @property
    def place(self) -> str:
        return self.address.place


@dataclass(frozen=True, slots=True)
class Press:
    """A button of a card."""

    by: Presser
    verb: str
    data: Json

    def text(self, name: str) -> str:
        """A field; "" where it is not, or is no text."""
        return inside.text(self.data, name).strip()

    def words(self, name: str) -> str | None:
        """What was entered. Raises InvokeRefused."""
        return entered(self.data, name)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A thumb of the feedback loop, with what was said."""

    by: Presser
    verdict: Verdict
    reason: str | None = None
    correction: str | None = None
    turn_id: str | None = None  # the answer that the dialog was opened for; None: Teams' own, which does not say


def presser(activity: Json) -> Presser:
    """Raises InvokeRefused."""
    user = events.user(activity)
    if not user:
        raise InvokeRefused(400, "from.id must be the person who pressed it")
    try:
        address = Address.of(activity)
    except ValueError as error:
        raise InvokeRefused(400, str(error)) from None
    moment = inside.text(activity, "localTimestamp") or inside.text(activity, "timestamp") or inside.text(activity, "id")
    same = json.dumps([address.place, user, moment, activity.get("name"), activity.get("value")], sort_keys=True, default=str)
    return Presser(
        event_id=hashlib.sha256(same.encode(errors="surrogatepass")).hexdigest(),
        user=user,
        user_name=inside.text(activity, "from", "name") or "Somebody",
        directory_id=inside.text(activity, "from", "aadObjectId") or None,
        address=address,
        message=named(address.place, inside.text(activity, "replyToId")),
        at=events.moment(activity),
    )


def named(place: str, message_id: str) -> Name | None:
    """A message by its id, where that is one."""
    try:
        return Name(place, message_id)
    except ValueError:
        return None


def press(activity: Json) -> Press:
    """The button of an `adaptiveCard/action`. Raises InvokeRefused."""
    by = presser(activity)
    action = _object(_object(activity, "value"), "action", "value.action")
    if action.get("type", "Action.Execute") != "Action.Execute":
        raise InvokeRefused(400, "value.action.type must be Action.Execute")
    verb = action.get("verb")
    if not isinstance(verb, str) or not verb:
        raise InvokeRefused(400, "value.action.verb must be text")
    data = action.get("data", {})
    if not isinstance(data, Mapping):
        raise InvokeRefused(400, "value.action.data must be an object")
    return Press(by, verb, data)


def thumb(activity: Json) -> Feedback:
    """The thumb of a `message/fetchTask`. Raises InvokeRefused."""
    by = presser(activity)
    value = _object(activity, "value")
    return Feedback(by, _verdict(_action_value(_object(value, "data", "value.data") if "actionName" not in value else value)))


def feedback(activity: Json) -> Feedback:
    """The thumb and the words of a `message/submitAction`. Raises InvokeRefused."""
    by = presser(activity)
    value = _action_value(_object(activity, "value"))
    verdict = _verdict(value)
    said = _said(value.get("feedback"))
    reason = entered(said, cards.REASON) or _comment(said)
    return Feedback(by, verdict, reason, entered(said, cards.CORRECTION), inside.text(said, cards.TURN) or None)


def entered(data: Json, name: str) -> str | None:
    """What somebody wrote into a field. Raises InvokeRefused where that is too long, or no text."""
    found = data.get(name)
    if found is None:
        return None
    if not isinstance(found, str):
        raise InvokeRefused(400, f"{name} must be text")
    if len(found) > cards.INPUT_CHARS:
        raise InvokeRefused(400, TOO_LONG)
    return found.strip() or None


def _comment(said: Json) -> str | None:
    """What somebody wrote into Teams' own dialog, which has no limit that we could set: cut visibly. Raises InvokeRefused."""
    found = said.get("feedbackText")
    if found is not None and not isinstance(found, str):
        raise InvokeRefused(400, "feedbackText must be text")
    return cards.cut((found or "").strip(), cards.INPUT_CHARS) or None


def verdict(data: Json) -> Verdict:
    """The verdict in a card's data. Raises InvokeRefused."""
    found = data.get(cards.VERDICT)
    if isinstance(found, bool) or found not in (1, -1, "1", "-1"):
        raise InvokeRefused(400, f"{cards.VERDICT} must be 1 or -1")
    return 1 if int(found) == 1 else -1


def _action_value(value: Json) -> Json:
    if value.get("actionName") != "feedback":
        raise InvokeRefused(400, "actionName must be feedback")
    return _object(value, "actionValue")


def _verdict(value: Json) -> Verdict:
    reaction = value.get("reaction")
    found = _THUMBS.get(reaction) if isinstance(reaction, str) else None
    if found is None:
        raise InvokeRefused(400, "reaction must be like or dislike")
    return found


def _said(found: object) -> Json:
    """What was said with a thumb: JSON as text, as Teams sends it; an object, or the words alone, as other clients do."""
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return found
    if not isinstance(found, str):
        raise InvokeRefused(400, "feedback must be text")
    try:
        read = json.loads(found)
    except (ValueError, RecursionError):
        read = None
    return read if isinstance(read, Mapping) else {"feedbackText": found}


def _object(of: Json, name: str, shown: str = "") -> Json:
    found = of.get(name)
    if not isinstance(found, Mapping):
        raise InvokeRefused(400, f"{shown or name} must be an object")
    return found
