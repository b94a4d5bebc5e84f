"""Long Markdown as several messages, each readable by itself. Pure; knows no platform but the size of its messages."""

import re
from bisect import bisect_left
from typing import Final

# A message holds about 10 kB (measured: `msg_too_long`); what is left is room for escapes that Slack adds.
MESSAGE_BYTES: Final = 9000

_FENCE = re.compile(r"^```[^`\n]{0,100}$", re.M)  # a longer line would stand in every piece again
_CLOSE = "\n```"
_WHOLE = re.compile(r"(?<!`)(`{1,20})[^`\n]{1,500}\1(?!`)|\[[^\[\]\n]*\]\([^()\n]*\)|&#?\w{1,32};|\[[.:]\]")


def split(markdown: str, limit: int = MESSAGE_BYTES) -> list[str]:
    """Pieces of at most `limit` bytes of UTF-8, cut between paragraphs, lines or words, never inside a link or a code span.

    A code block that is cut is closed, and opened again in the next piece. Nothing but space at the cuts is lost.
    """
    pieces, rest, opened = [], markdown, ""
    while _size(opened + rest) > limit:
        at = _cut(rest, limit - _size(opened) - _size(_CLOSE))
        taken, rest = opened + rest[:at], rest[at:]
        opened = _open_fence(taken)
        pieces.append(taken.rstrip() + _CLOSE if opened else taken.rstrip())
        rest = rest.removeprefix("\n") if opened else rest.lstrip()
    return [piece for piece in [*pieces, opened + rest] if piece.strip()]


def _cut(text: str, limit: int) -> int:
    """Where to end a piece of at most `limit` bytes: the best boundary in its second half, any in its first, or in the middle of a word."""
    fits = len(text.encode()[: max(limit, 1)].decode(errors="ignore")) or 1
    whole = [match.span() for match in _WHOLE.finditer(text, 0, min(len(text), fits + limit))]

    def free(at: int) -> bool:
        before = bisect_left(whole, (at, 0)) - 1
        return before < 0 or at >= whole[before][1]

    for boundary, least in (("\n\n", fits // 2), ("\n", fits // 2), (" ", 0), ("\n", 0)):
        at = text.rfind(boundary, least, fits)
        while at > 0 and not free(at):
            at = text.rfind(boundary, least, at)
        if at > 0:
            return at
    at = next((start for start, end in whole if start < fits < end), fits)
    return at or fits


def _open_fence(piece: str) -> str:
    """The line that opens the code block in which a piece ends, or nothing."""
    fences = _FENCE.findall(piece)
    return f"{fences[-1]}\n" if len(fences) % 2 else ""


def _size(text: str) -> int:
    return len(text.encode())
