"""What an activity has to look like before anybody reads it: every field of the right type, or refused by name. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

from bot.connectors.teams.address import Address
from bot.connectors.teams.names import Name

_HALF = re.compile("[\ud800-\udfff]")
_MESSAGES = frozenset({"message", "messageUpdate", "messageDelete"})
_TEXTS = (
    "id",
    "text",
    "textFormat",
    "locale",
    "name",
    "action",
    "replyToId",
    "timestamp",
    "localTimestamp",
    "localTimezone",
)
_LISTS = ("attachments", "entities", "membersAdded", "membersRemoved", "reactionsAdded", "reactionsRemoved")
_OBJECTS = ("channelData",)


class Unreadable(ValueError):
    """No activity; says which field is wrong, and never what is in it."""


def read(body: bytes, channels: frozenset[str]) -> Mapping[str, Any]:
    """The activity in a body, of one of these channels. Raises Unreadable."""
    try:
        activity = _whole(json.loads(body, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON ({type(error).__name__})") from None
    if not isinstance(activity, dict):
        raise Unreadable("the body must be a JSON object")
    _check_types(activity)
    if activity.get("channelId") not in channels:
        raise Unreadable(f"channelId must be {' or '.join(sorted(channels))}")
    _check_who_and_where(activity)
    return activity


def _check_types(activity: Mapping[str, Any]) -> None:
    for name in ("type", "channelId", "serviceUrl"):
        if not isinstance(activity.get(name), str) or not activity[name]:
            raise Unreadable(f"{name} must be text")
    for names, kind, told in ((_TEXTS, str, "text"), (_LISTS, list, "a list"), (_OBJECTS, dict, "an object")):
        for name in names:
            if activity.get(name) is not None and not isinstance(activity[name], kind):
                raise Unreadable(f"{name} must be {told}")
    for name in _LISTS:
        if not all(isinstance(each, dict) for each in activity.get(name) or ()):
            raise Unreadable(f"{name} must be a list of objects")


def _check_who_and_where(activity: Mapping[str, Any]) -> None:
    sender = activity.get("from")
    if not isinstance(sender, dict):
        raise Unreadable("from must be an object")
    if not isinstance(sender.get("id"), str) or not sender["id"]:
        raise Unreadable("from.id must be text")
    for name in ("name", "aadObjectId"):
        if sender.get(name) is not None and not isinstance(sender[name], str):
            raise Unreadable(f"from.{name} must be text")
    try:
        address = Address.of(activity)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if activity["type"] in _MESSAGES:
        _check_name(address.place, activity.get("id"), "id")
    if activity["type"] == "messageReaction":
        _check_name(address.place, activity.get("replyToId"), "replyToId")
    if activity["type"] == "invoke" and not activity.get("name"):
        raise Unreadable("name must be text")


def _check_name(place: str, message_id: str | None, field: str) -> None:
    try:
        Name(place, message_id or "")
    except ValueError:
        raise Unreadable(f"{field} must be the id of a message") from None


def _whole(value: Any) -> Any:
    """Half characters, which could be neither kept nor sent, become the sign for what is missing."""
    if isinstance(value, str):
        return _HALF.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(each) for name, each in value.items()}
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
