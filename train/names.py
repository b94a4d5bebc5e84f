"""Names of people as the platforms show them, wherever they stand in a text. Knows no model."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from bot.turns import RatedTurn

_WORD = re.compile(r"[^\W_]+")
_FEWEST_LETTERS = 3  # two letters are a word too often
_MOST_BETWEEN = 3  # characters between two parts of a name
# Names that are words too count only with a capital inside a sentence.
_WORDS_TOO = frozenset(
    _WORD.findall(
        """bill will mark may april june july august grace hope rose faith joy penny rich frank art sue pat drew chase grant guy
        jack gene rob dean cliff dale glen reed miles max ray dawn summer autumn olive ivy lily violet ruby pearl amber crystal
        skip chip bob buck carol angel christian brook forest hunter mason carter cooper baker smith miller taylor cook king
        bishop knight page price young long short brown black white green gray banks stone field hill ford lane wood woods bush
        berry day law love bell ball key case wise sharp swift app phone bank card care support help user test guest admin
        customer agent team info sales service"""
    )
)


class Names:
    """Knows names of one or more words. A whole name is found in any case, a part of one only with its capital."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_first: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._parts: set[str] = set()
        for name in names:
            words = tuple(word.casefold() for word in _WORD.findall(name))
            if sum(map(len, words)) >= _FEWEST_LETTERS:
                self._by_first[words[0]].add(words)
                self._parts.update(word for word in words if len(word) >= _FEWEST_LETTERS and len(words) > 1)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where names stand, in order, none within another."""
        if not self._by_first:
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
        known = [name for name in self._by_first.get(first, ()) if _follows(text, found[at : at + len(name)], name)]
        longest = max(map(len, known), default=0)
        if longest > 1 or (longest == 1 and (first not in _WORDS_TOO or _capital_inside(text, found[at]))):
            return longest
        return int(first in self._parts and word[0].isupper() and (first not in _WORDS_TOO or _capital_inside(text, found[at])))


def _follows(text: str, found: Sequence[re.Match[str]], name: Sequence[str]) -> bool:
    return [each.group().casefold() for each in found] == list(name) and all(
        later.start() - earlier.end() <= _MOST_BETWEEN for earlier, later in pairwise(found)
    )


def _capital_inside(text: str, word: re.Match[str]) -> bool:
    """Whether a word has a capital that does not come from the begin of a sentence."""
    before = text[: word.start()].rstrip()[-1:]
    return word.group()[0].isupper() and before not in ("", ".", "!", "?", ":")


def names_of_people(rated: Sequence[RatedTurn]) -> set[str]:
    """The names that platforms show, and what programs call their users where that is a name: letters, with a capital."""
    shown: set[str] = set()
    users: set[str] = set()
    for each in rated:
        users.update(rating.user_id for rating in each.ratings)
        for turn in (each.turn, *each.history):
            users.add(turn.question.user_id)
            shown.add(turn.question.user_name or "")
    return shown - {""} | {user for user in users if re.fullmatch(r"[A-ZÀ-Þ][^\W\d_]+(?:[ .-][^\W\d_]+)*", user)}
