"""What one person wrote to another, as messages. Pure."""

import html
import re
from typing import Any

from bot.connectors.cutting import split
from bot.connectors.teams import cards

_PIECE_BYTES = 9000
_HEAD_CHARS = 300
_URL = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]")


def worded(head: str, text: str, *, bold: bool = True) -> list[dict[str, Any]]:
    """What one person wrote to another, as it is: all of it, in as many messages as it takes. Only addresses become links."""
    head = cards.cut(head, _HEAD_CHARS)
    first = f"<b>{_plain(head)}</b>" if bold else _linked(head)
    return [shape for piece in split(text, _PIECE_BYTES) or [""] for shape in _fitting(first, piece)]


def _fitting(first: str, piece: str) -> list[dict[str, Any]]:
    """Marks that are escaped are longer than they were."""
    shape = {"type": "message", "textFormat": "xml", "text": "<br>".join([first, *_lines(piece)])}
    if cards.size(shape) <= cards.CARD_BYTES:
        return [shape]
    middle = len(piece) // 2
    at = max(piece.rfind("\n", 1, middle), piece.rfind(" ", 1, middle), 0) or middle
    return [*_fitting(first, piece[:at]), *_fitting(first, piece[at:])]


def _lines(text: str) -> list[str]:
    return [_linked(line) for line in text.splitlines()]


def _linked(line: str) -> str:
    made, at = [], 0
    for found in _URL.finditer(line):
        url = html.escape(found[0])
        made += [_plain(line[at : found.start()]), f'<a href="{url}">{url}</a>']
        at = found.end()
    return "".join([*made, _plain(line[at:])])


def _plain(text: str) -> str:
    return html.escape(text, quote=False)
