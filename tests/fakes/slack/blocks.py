"""What Slack takes as blocks, views, stream chunks and metadata. Source: Slack's Block Kit reference. Knows nothing of messages."""

from collections import Counter
from collections.abc import Iterable

from tests.fakes.slack.elements import (
    ID,
    IN_ACTIONS,
    IN_CONTEXT,
    IN_CONTEXT_ACTIONS,
    IN_INPUT,
    IN_SECTION,
    RICH_TEXT,
    plain,
    text,
)
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.schema import Check, Shape, anything, array, boolean, choice, kinds, string, url, wrong
from tests.fakes.slack.workspace import Json, elements

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
MARKDOWN_CHARS = 12_000  # of all markdown blocks of a message together
METADATA_BYTES = 8_000

_ANYWHERE: dict[str, Shape] = {
    "section": Shape(
        {},
        {"block_id": ID, "text": text(3000), "fields": array(text(2000), 10), "accessory": IN_SECTION, "expand": boolean},
        ("text", "fields"),
    ),
    "divider": Shape({}, {"block_id": ID}),
    "image": Shape(
        {"alt_text": string(2000)},
        {"block_id": ID, "image_url": url, "slack_file": anything, "title": plain(2000)},
        ("image_url", "slack_file"),
    ),
    "actions": Shape({"elements": array(IN_ACTIONS, 25)}, {"block_id": ID}),
    "context": Shape({"elements": array(IN_CONTEXT, 10)}, {"block_id": ID}),
    "header": Shape({"text": plain(150)}, {"block_id": ID}),
    "input": Shape(
        {"label": plain(2000), "element": IN_INPUT}, {"block_id": ID, "hint": plain(2000), "optional": boolean, "dispatch_action": boolean}
    ),
    "rich_text": Shape({"elements": array(RICH_TEXT, 1000)}, {"block_id": ID}),
}
_CELL = kinds({"raw_text": Shape({"text": string(3000)}), "rich_text": Shape({"elements": array(RICH_TEXT, 100)}, {"block_id": ID})})
_COLUMN = Shape({}, {"align": choice("left", "center", "right"), "is_wrapped": boolean})
_MESSAGE_ONLY: dict[str, Shape] = {
    "markdown": Shape({"text": string(MARKDOWN_CHARS)}, {"block_id": ID}),
    "context_actions": Shape({"elements": array(IN_CONTEXT_ACTIONS, 5)}, {"block_id": ID}),
    "table": Shape({"rows": array(array(_CELL, 20), 100)}, {"block_id": ID, "column_settings": array(_COLUMN, 20)}),
}
_BLOCKS = {"message": kinds({**_ANYWHERE, **_MESSAGE_ONLY}), "view": kinds(_ANYWHERE)}

_VIEW_COMMON: dict[str, Check] = {"callback_id": string(255, 0), "private_metadata": string(3000, 0), "external_id": string(255, 0)}
_MODAL: dict[str, Check] = {
    "submit": plain(24),
    "close": plain(24),
    "clear_on_close": boolean,
    "notify_on_close": boolean,
    "submit_disabled": boolean,
}
_VIEWS = {
    "modal": Shape({"title": plain(24), "blocks": array(_BLOCKS["view"], VIEW_BLOCKS)}, {**_VIEW_COMMON, **_MODAL}),
    "home": Shape({"blocks": array(_BLOCKS["view"], VIEW_BLOCKS)}, _VIEW_COMMON),
}
_CHUNKS = kinds(
    {
        "markdown_text": Shape({"text": string(12_000)}),
        "plan_update": Shape({"title": string(256)}),
        "task_update": Shape(
            {"id": ID, "title": string(256, 0), "status": choice("pending", "in_progress", "complete", "error")},
            {"details": string(256), "output": string(256), "sources": anything},
        ),
        "blocks": Shape({"blocks": array(_BLOCKS["message"], MESSAGE_BLOCKS)}),
    }
)


def checked_blocks(blocks: list[Json], surface: str = "message") -> list[Json]:
    """The blocks, if Slack would take them in a message. Raises Refused."""
    if not all(isinstance(block, dict) for block in blocks):
        raise Refused("invalid_blocks_format")
    found = array(_BLOCKS[surface], MESSAGE_BLOCKS, 0)(blocks, "/blocks") or _clashes(blocks, "/blocks")
    if found:
        raise Refused("invalid_blocks", *found)
    if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > MARKDOWN_CHARS:
        raise Refused("msg_blocks_too_long")
    return blocks


def checked_view(view: Json, allowed: tuple[str, ...]) -> Json:
    """The view, if Slack would open it. Raises Refused."""
    found = kinds({kind: _VIEWS[kind] for kind in allowed})(view, "/view")
    if not found:
        found = _clashes(view["blocks"], "/view/blocks")
        if view["type"] == "modal" and "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
            found += wrong("missing required field: submit", "/view")
    if found:
        raise Refused("invalid_arguments", *found)
    return view


def checked_chunks(chunks: list[Json]) -> tuple[str, list[Json]]:
    """The text and blocks of stream chunks. Raises Refused."""
    found = array(_CHUNKS, 100, 0)(chunks, "/chunks")
    if found:
        raise Refused("invalid_chunks", *found)
    words = "".join(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")
    return words, [block for chunk in chunks if chunk["type"] == "blocks" for block in checked_blocks(chunk["blocks"])]


def checked_metadata(metadata: Json | None) -> Json | None:
    """Message metadata, if Slack would keep it. Raises Refused."""
    if not metadata:
        return None
    if Shape({"event_type": string(255), "event_payload": anything})(metadata, "/metadata") or not isinstance(
        metadata["event_payload"], dict
    ):
        raise Refused("invalid_metadata_format")
    if len(str(metadata).encode()) > METADATA_BYTES:
        raise Refused("metadata_too_large")
    return metadata


def _clashes(blocks: list[Json], pointer: str) -> list[str]:
    """Ids that stand twice."""
    blocks_twice = _twice(block.get("block_id") for block in blocks)
    found = [message for name in blocks_twice for message in wrong(f"block_id {name} already exists", pointer)]
    for index, block in enumerate(blocks):
        actions = _twice(element["action_id"] for _, element in elements([block]))
        found += [message for name in actions for message in wrong(f"action_id {name} already exists", f"{pointer}/{index}")]
    return found


def _twice(names: Iterable[str | None]) -> list[str]:
    return [name for name, count in Counter(names).items() if name and count > 1]
