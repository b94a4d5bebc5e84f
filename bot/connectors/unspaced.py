"""Where text of languages that put no spaces between words can be let out piece by piece. Pure; knows no Markdown.

A piece ends only between two characters of such a language, and never where a domain name could still be growing: what is judged
piece by piece is judged as the whole would be. Where pieces end hangs on nothing but what stands in front.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from bot.connectors.links import TOP_LEVEL, UNSPACED

_BETWEEN = re.compile(rf"(?<=[{UNSPACED}])(?=[{UNSPACED}])")
_ONLY = re.compile(rf"[{UNSPACED}]+")
_NO_LABEL = re.compile(r"[^\w-]")
_LETTERS = re.compile(r"[^\W\d_]*")
_DOTS: Final = ".．｡。"
_LONG: Final = 80  # a label of so many characters is no top-level domain, however few it becomes when it is normalized
_BEGINNINGS: Final = frozenset(name[:end] for name in TOP_LEVEL for end in range(len(name) + 1))


def inert(piece: str) -> bool:
    """Whether there is nothing in it but such characters."""
    return _ONLY.fullmatch(piece) is not None


def ends(text: str, looked: int) -> Iterator[int]:
    """Where pieces end, from `looked` on."""
    begun = 0
    for between in _BETWEEN.finditer(text, looked):
        if _ends(text[max(begun, between.start() - _LONG) : between.start()]):
            begun = between.start()
            yield begun


def _ends(before: str) -> bool:
    label = _NO_LABEL.split(before)[-1]
    if len(label) == len(before) or before[-len(label) - 1] not in _DOTS:
        return True  # what comes is the first label of a name as well, and that one matters to nobody
    letters = _LETTERS.match(unicodedata.normalize("NFKC", label).lower())
    return letters is not None and letters[0][:-1] not in _BEGINNINGS
