"""What a platform sent, read whatever is missing from it. Pure; knows no platform."""

import json
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def parsed(body: bytes | str) -> dict[str, Any]:
    """The JSON object in a body; an empty one where it holds none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text(value: Json, *path: str) -> str:
    """A text somewhere inside; "" where it is not, or is no text."""
    found = _at(value, path)
    return found if isinstance(found, str) else ""


def inner(value: Json, *path: str) -> Json:
    """An object somewhere inside; an empty one where it is not."""
    found = _at(value, path)
    return found if isinstance(found, Mapping) else {}


def _at(value: Json, path: tuple[str, ...]) -> Any:
    found: Any = value
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
