"""Whether an Adaptive Card is one that Teams shows, and what is in it. Knows nothing of messages."""

from collections import Counter
from collections.abc import Iterator

from tests.fakes.teams.refusals import Refused
from tests.fakes.teams.world import Json

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
_ALL = {"type", "id", "isVisible", "separator", "spacing", "height", "requires", "fallback", "lang", "rtl", "grid.area"}
_BOX = {"style", "bleed", "minHeight", "verticalContentAlignment", "selectAction", "backgroundImage"}
_INPUT = {"label", "isRequired", "errorMessage", "value", "placeholder", "inlineAction", "labelPosition", "labelWidth"}
ELEMENTS: dict[str, set[str]] = {  # element → its own fields; those that must be there end in "!"
    "TextBlock": {"text!", "color", "fontType", "horizontalAlignment", "isSubtle", "maxLines", "size", "weight", "wrap", "style"},
    "RichTextBlock": {"inlines!", "horizontalAlignment"},
    "Image": {"url!", "altText", "backgroundColor", "horizontalAlignment", "size", "style", "width", "selectAction", "msteams"},
    "ImageSet": {"images!", "imageSize"},
    "Container": {"items!", *_BOX},
    "ColumnSet": {"columns!", "horizontalAlignment", *_BOX},
    "Column": {"items", "width", *_BOX},
    "FactSet": {"facts!"},
    "ActionSet": {"actions!", "horizontalAlignment"},
    "Table": {"columns", "rows", "firstRowAsHeader", "showGridLines", "gridStyle", "horizontalCellContentAlignment", *_BOX},
    "TableRow": {"cells", "style"},
    "TableCell": {"items!", *_BOX},
    "Input.Text": {"isMultiline", "maxLength", "regex", "style", *_INPUT},
    "Input.Number": {"min", "max", *_INPUT},
    "Input.Date": {"min", "max", *_INPUT},
    "Input.Time": {"min", "max", *_INPUT},
    "Input.Toggle": {"title!", "valueOn", "valueOff", "wrap", *_INPUT},
    "Input.ChoiceSet": {"choices", "isMultiSelect", "style", "wrap", *_INPUT},
}
_ACTION = {"type", "id", "title", "iconUrl", "style", "fallback", "tooltip", "isEnabled", "mode", "requires"}
ACTIONS: dict[str, set[str]] = {
    "Action.Execute": {"verb", "data", "associatedInputs"},
    "Action.Submit": {"data", "associatedInputs", "msteams"},
    "Action.OpenUrl": {"url!"},
    "Action.ShowCard": {"card!"},
    "Action.ToggleVisibility": {"targetElements!"},
}
_CARD = {"type", "$schema", "version", "body", "actions", "fallbackText", "speak", "lang", "rtl", "msteams", "refresh", "metadata", *_BOX}
MAX_ACTIONS = 6
_CHILDREN = ("body", "items", "columns", "rows", "cells", "images", "actions", "inlines")


def check(card: object) -> Json:
    """The card; raises Refused unless Teams shows it."""
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise _bad("type is not AdaptiveCard")
    if card.get("version") not in VERSIONS:
        raise _bad(f"version {card.get('version')!r} is not one of {VERSIONS}")
    _check_card(card)
    doubled = [name for name, times in Counter(str(thing["id"]) for thing in walk(card) if thing.get("id")).items() if times > 1]
    if doubled:
        raise _bad(f"id {doubled[0]!r} twice")
    return card


def walk(thing: object) -> Iterator[Json]:
    """Every element and action in a card, inner cards included."""
    if isinstance(thing, list):
        for each in thing:
            yield from walk(each)
    elif isinstance(thing, dict):
        if thing.get("type") != "AdaptiveCard":
            yield thing
        for name in (*_CHILDREN, "card", "selectAction", "inlineAction"):
            yield from walk(thing.get(name))


def inputs(card: Json) -> list[Json]:
    """Every input of a card."""
    return [thing for thing in walk(card) if str(thing.get("type")).startswith("Input.")]


def actions(card: Json) -> list[Json]:
    """Every action of a card."""
    return [thing for thing in walk(card) if str(thing.get("type")).startswith("Action.")]


def _bad(what: str) -> Refused:
    return Refused(400, "BadArgument", f"Adaptive Card: {what}")


def _check_card(card: Json) -> None:
    _check_fields(card, _CARD, "AdaptiveCard")
    if not card.get("body") and not card.get("actions"):
        raise _bad("it is empty")
    for element in card.get("body", []):
        _check_element(element)
    _check_actions(card.get("actions", []))


def _check_fields(thing: Json, known: set[str], name: str) -> None:
    names = {field.removesuffix("!") for field in known}
    for field in thing:
        if field not in names:
            raise _bad(f"{name} has no {field!r}")
    for field in known:
        if field.endswith("!") and thing.get(field[:-1]) in (None, "", []):
            raise _bad(f"{name} without {field[:-1]!r}")


def _check_element(element: object) -> None:
    kind = element.get("type") if isinstance(element, dict) else None
    if not isinstance(element, dict) or kind not in ELEMENTS:
        raise _bad(f"unknown element {kind!r}")
    _check_fields(element, ELEMENTS[kind] | _ALL, kind)
    if fault := _fault(element, kind):
        raise _bad(fault)
    if kind.startswith("Input."):
        _check_input(element, kind)
    for inner in _inside(element, kind):
        _check_element(inner)
    if kind == "ActionSet":
        _check_actions(element["actions"])
    for name in ("selectAction", "inlineAction"):
        if name in element:
            _check_action(element[name])


def _fault(element: Json, kind: str) -> str | None:
    if kind == "TextBlock" and not isinstance(element["text"], str):
        return "TextBlock.text is no text"
    if kind == "Image" and not element["url"].startswith(("https://", "data:image/")):
        return f"Image.url {element['url'][:40]!r}"
    if kind == "FactSet" and not all(isinstance(fact, dict) and set(fact) == {"title", "value"} for fact in element["facts"]):
        return "facts have title and value"
    return None


def _inside(element: Json, kind: str) -> list[object]:
    """The elements in an element; a table's columns are widths only, its rows need no type."""
    if kind == "Table":
        return [{"type": "TableRow", **row} for row in element.get("rows", [])]
    return [inner for name in ("items", "columns", "cells", "images") for inner in element.get(name, [])]


def _check_input(element: Json, kind: str) -> None:
    if not isinstance(element.get("id"), str) or not element["id"]:
        raise _bad(f"{kind} without id")
    if element.get("isRequired") and not element.get("errorMessage"):
        raise _bad(f"{element['id']!r} is required and has no errorMessage")
    for choice in element.get("choices", []):
        if set(choice) != {"title", "value"} or not all(isinstance(value, str) for value in choice.values()):
            raise _bad("choices have title and value")


def _check_actions(found: object) -> None:
    if not isinstance(found, list) or len(found) > MAX_ACTIONS:
        raise _bad(f"more than {MAX_ACTIONS} actions")
    for action in found:
        _check_action(action)


def _check_action(action: object) -> None:
    kind = action.get("type") if isinstance(action, dict) else None
    if not isinstance(action, dict) or kind not in ACTIONS:
        raise _bad(f"unknown action {kind!r}")
    _check_fields(action, ACTIONS[kind] | _ACTION, kind)
    if action.get("style") not in (None, "default", "positive", "destructive"):
        raise _bad(f"action style {action['style']!r}")
    if "data" in action and not isinstance(action["data"], dict | str):
        raise _bad("action data is neither an object nor a text")
    if kind == "Action.Execute" and not isinstance(action.get("verb"), str):
        raise _bad("Action.Execute without verb")
    if kind == "Action.OpenUrl" and not action["url"].startswith(("https://", "http://", "mailto:", "tel:", "msteams:")):
        raise _bad(f"url {action['url'][:40]!r}")
    if kind == "Action.ShowCard":
        inner = action["card"]
        if not isinstance(inner, dict) or inner.get("type") != "AdaptiveCard":
            raise _bad("ShowCard without a card")
        _check_card(inner)
