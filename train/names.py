"""Names of people as the platforms show them, wherever they stand in a text. Knows no model."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from train.examples import Example

_WORD = re.compile(r"[^\W_]+")
_FEWEST_LETTERS = 3  # two letters are a word too often
_MOST_BETWEEN = 3  # characters between two parts of a name
_MOST_WORDS = 5


class Names:
    """Knows names of one or more words, and which words are usual: anybody may call themselves "The Router".

    A name of several words is found in any case, one word only with its capital, and a usual word only inside a sentence.
    """

    def __init__(self, names: Iterable[str], usual: Iterable[str] = ()) -> None:
        self._usual = frozenset(usual)
        self._by_first: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._single: set[str] = set()
        for name in names:
            words = tuple(word.casefold() for word in _WORD.findall(name))
            if 1 < len(words) <= _MOST_WORDS and not self._usual.issuperset(words):
                self._by_first[words[0]].add(words)
            if len(words) <= _MOST_WORDS:
                self._single.update(word for word in words if len(word) >= _FEWEST_LETTERS)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where names stand, in order, none within another."""
        if not self._single:
            return
        found = list(_WORD.finditer(text))
        at = 0
        while at < len(found):
            length = self._length(text, found, at)
            if length:
                yield found[at].start(), found[at + length - 1].end()
            at += max(1, length)

    def _length(self, text: str, found: Sequence[re.Match[str]], at: int) -> int:
        """How many words from here on are a name."""
        word = found[at].group()
        first = word.casefold()
        longest = max((len(name) for name in self._by_first.get(first, ()) if _follows(text, found[at : at + len(name)], name)), default=0)
        if longest or first not in self._single or not word[0].isupper():
            return longest
        return int(first not in self._usual or _inside(text, found[at]))


def _follows(text: str, found: Sequence[re.Match[str]], name: Sequence[str]) -> bool:
    return [each.group().casefold() for each in found] == list(name) and all(
        later.start() - earlier.end() <= _MOST_BETWEEN for earlier, later in pairwise(found)
    )


def _inside(text: str, word: re.Match[str]) -> bool:
    """Whether a word does not begin a sentence."""
    return text[: word.start()].rstrip()[-1:] not in ("", ".", "!", "?", ":", "\n")


def usual_words(examples: Iterable[Example]) -> frozenset[str]:
    """The words that answers are made of anyway: those that stand in small letters in what ships with CARE."""
    return frozenset(word for example in examples for word in _WORD.findall(f"{example.instruction} {example.response}") if word.islower())
