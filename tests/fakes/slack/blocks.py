"""What Slack takes as blocks, views and stream chunks. Knows nothing of messages."""

from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.workspace import Json

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100


def checked_blocks(blocks: list[Json], surface: str) -> list[Json]:
    """The blocks, if Slack would take them on this surface. Raises Refused."""
    if len(blocks) > (MESSAGE_BLOCKS if surface == "message" else VIEW_BLOCKS):
        raise Refused("invalid_blocks", "no more than 50 items allowed [json-pointer:/blocks]")
    return blocks


def checked_view(view: Json, kinds: tuple[str, ...]) -> Json:
    """The view, if Slack would open it. Raises Refused."""
    if view.get("type") not in kinds or not isinstance(view.get("blocks"), list):
        raise Refused("invalid_arguments", "invalid view [json-pointer:/view]")
    return {**view, "blocks": checked_blocks(view["blocks"], "view")}


def checked_chunks(chunks: list[Json]) -> tuple[str, list[Json]]:
    """The text and blocks of stream chunks. Raises Refused."""
    words, blocks = "", []
    for chunk in chunks:
        if chunk.get("type") == "markdown_text" and isinstance(chunk.get("text"), str):
            words += chunk["text"]
        elif chunk.get("type") == "blocks":
            blocks += checked_blocks(chunk["blocks"], "message")
        elif chunk.get("type") not in ("task_update", "plan_update"):
            raise Refused("invalid_chunks")
    return words, blocks
