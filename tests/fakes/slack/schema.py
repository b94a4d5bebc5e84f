"""A small language for shapes of JSON, with Slack's own words for what is wrong. Knows no block."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# A check gets a value and its JSON pointer, and gives what is wrong with it.
Check = Callable[[object, str], list[str]]


def wrong(message: str, pointer: str) -> list[str]:
    """One complaint, as Slack phrases them."""
    return [f"{message} [json-pointer:{pointer}]"]


def string(longest: int, shortest: int = 1) -> Check:
    """A string of so many characters."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, str):
            return wrong("must be a string", pointer)
        if len(value) < shortest:
            return wrong(f"must be more than {shortest - 1} characters", pointer)
        return wrong(f"must be less than {longest + 1} characters", pointer) if len(value) > longest else []

    return check


def choice(*values: str) -> Check:
    """One of these strings."""
    return lambda value, pointer: [] if value in values else wrong(f"must be a valid enum value: {', '.join(values)}", pointer)


def boolean(value: object, pointer: str) -> list[str]:
    """true or false."""
    return [] if isinstance(value, bool) else wrong("must be a boolean", pointer)


def integer(lowest: int, highest: int) -> Check:
    """A whole number in this range."""

    def check(value: object, pointer: str) -> list[str]:
        fits = isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest
        return [] if fits else wrong(f"must be an integer from {lowest} to {highest}", pointer)

    return check


def url(value: object, pointer: str) -> list[str]:
    """An address of the web."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return string(3000)(value, pointer)
    return wrong("must be a valid URL", pointer)


def array(item: Check, most: int, least: int = 1) -> Check:
    """A list of so many."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, list):
            return wrong("must be an array", pointer)
        if len(value) < least:
            return wrong(f"no less than {least} items allowed", pointer)
        if len(value) > most:
            return wrong(f"no more than {most} items allowed", pointer)
        return [message for index, one in enumerate(value) for message in item(one, f"{pointer}/{index}")]

    return check


def anything(value: object, pointer: str) -> list[str]:
    """No opinion."""
    return []


@dataclass(frozen=True)
class Shape:
    """An object with these fields and no others. `needs_one` names fields of which one at least must be there."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    needs_one: tuple[str, ...] = ()

    def __call__(self, value: object, pointer: str) -> list[str]:
        if not isinstance(value, dict):
            return wrong("must be an object", pointer)
        known = {**self.required, **self.optional}
        found = [message for name in self.required if name not in value for message in wrong(f"missing required field: {name}", pointer)]
        if self.needs_one and not any(value.get(name) for name in self.needs_one):
            found += wrong(f"must have one of: {', '.join(self.needs_one)}", pointer)
        for name, one in value.items():
            found += known[name](one, f"{pointer}/{name}") if name in known else wrong(f"additional property: {name}", pointer)
        return found


def kinds(shapes: Mapping[str, Shape]) -> Check:
    """An object whose `type` says which of these shapes it has."""

    def check(value: object, pointer: str) -> list[str]:
        if not isinstance(value, dict):
            return wrong("must be an object", pointer)
        kind = value.get("type")
        if kind is None:
            return wrong("missing required field: type", pointer)
        if kind not in shapes:
            return wrong(f"unsupported type: {kind}", f"{pointer}/type")
        return shapes[kind]({name: one for name, one in value.items() if name != "type"}, pointer)

    return check
