"""Short messages of CARE's own in a thread, that are no answers. Pure.

They have a block id of their own: whoever looks in a thread for an answer that a crash left there knows them by it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bot.connectors.slack.api import Block
from bot.connectors.slack.calls import Plain
from bot.connectors.slack.mrkdwn import mrkdwn_escape

NOTE: Final = "care_note"
# What a notification shows; a whole answer has no place there.
_NOTIFICATION_LENGTH = 150


def note(mrkdwn: str) -> list[Block]:
    """A note from text of our own."""
    return [{"type": "section", "block_id": NOTE, "text": {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}}]


def marked(blocks: Sequence[Block]) -> list[Block]:
    """Blocks from elsewhere as a note."""
    first = _plain(blocks[0])
    return [{**first, "block_id": NOTE}, *blocks[1:]]


def notification(text: str) -> str:
    """A line for who sees no blocks, pinging nobody."""
    line = " ".join(text.split())
    return mrkdwn_escape(line if len(line) <= _NOTIFICATION_LENGTH else f"{line[:_NOTIFICATION_LENGTH]}…")


def is_note(block_ids: Sequence[str]) -> bool:
    return NOTE in block_ids


def _plain(block: Block) -> Mapping[str, Any]:
    return block.to_dict() if isinstance(block, Plain) else block
