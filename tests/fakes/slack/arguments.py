"""What arguments a Web API method takes, and reading them from a request. Knows nothing of what methods do."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import Json

Value = Any  # as it came: a string from a form, anything from JSON


def text(name: str, value: Value) -> str:
    """A string. A form has nothing else, JSON may have numbers."""
    if isinstance(value, bool | dict | list):
        raise Refused("invalid_arguments", f"must be a string [json-pointer:/{name}]")
    return str(value)


def flag(name: str, value: Value) -> bool:
    """true, false, 1 or 0."""
    known = {"true": True, "1": True, "false": False, "0": False}
    if str(value).lower() not in known:
        raise Refused("invalid_arguments", f"must be a boolean [json-pointer:/{name}]")
    return known[str(value).lower()]


def number(name: str, value: Value) -> int:
    """A whole number."""
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise Refused("invalid_arguments", f"must be an integer [json-pointer:/{name}]") from error


def listing(name: str, value: Value) -> list[Value]:
    """A JSON array, in JSON or as a string of JSON."""
    found = _unpacked(name, value)
    if not isinstance(found, list):
        raise Refused("invalid_arguments", f"must be an array [json-pointer:/{name}]")
    return found


def mapping(name: str, value: Value) -> Json:
    """A JSON object, in JSON or as a string of JSON."""
    found = _unpacked(name, value)
    if not isinstance(found, dict):
        raise Refused("invalid_arguments", f"must be an object [json-pointer:/{name}]")
    return found


def names(name: str, value: Value) -> list[str]:
    """Ids with commas between."""
    return [part.strip() for part in text(name, value).split(",") if part.strip()]


def _unpacked(name: str, value: Value) -> Value:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise Refused("invalid_arguments", f"must be JSON [json-pointer:/{name}]") from error


Reader = Callable[[str, Value], Value]
EVERYWHERE: Mapping[str, Reader] = {"team_id": text}  # taken by every method: bolt's client adds it to each call


@dataclass(frozen=True)
class Method:
    """One method: who may call it, with what, and what it does."""

    run: Callable[..., Awaitable[Json]]
    scopes: tuple[str, ...] = ()  # any of them will do; none needed when empty
    required: Mapping[str, Reader] = field(default_factory=dict)
    optional: Mapping[str, Reader] = field(default_factory=dict)
    token: str = "xoxb-"  # the kind of token it wants
    empty: tuple[str, ...] = ()  # required arguments that may be empty
    limit: int = 0  # calls a minute before Slack says 429, when rates are limited

    def read(self, given: Json) -> Json:
        """The arguments, each as its type. Raises Refused."""
        known = {**self.required, **self.optional, **EVERYWHERE}
        strange = sorted(set(given) - set(known))
        if strange:
            raise Refused("invalid_arguments", *(f"unexpected argument: {name}" for name in strange))
        missing = [name for name in self.required if given.get(name) is None or (given[name] == "" and name not in self.empty)]
        if missing:
            raise Refused("invalid_arguments", *(f"missing required field: {name}" for name in missing))
        return {name: known[name](name, value) for name, value in given.items() if value is not None}
