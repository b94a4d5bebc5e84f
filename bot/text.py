"""Text that people send, made safe to keep: valid Unicode without control characters. Pure."""

import hashlib
import re

# Everything of categories Cc and the lone halves of surrogate pairs, but not tab and line feed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class BadText(ValueError):
    """The text can't be kept or is empty."""


def clean(text: str) -> str:
    """The text with plain line ends and without control characters; may be empty. Raises BadText for half characters."""
    if _SURROGATE.search(text):
        raise BadText("is not valid Unicode (it holds half of a surrogate pair)")
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_question(text: str) -> str:
    """A cleaned text that says something. Raises BadText."""
    cleaned = clean(text).strip()
    if not cleaned:
        raise BadText("is empty; write a question")
    return cleaned


def digest(text: str) -> str:
    """Knows a text again that is not kept."""
    return hashlib.sha256(text.encode()).hexdigest()
