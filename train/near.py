"""Texts that are nearly the same, by MinHash (Broder 1997) over runs of characters, and phrases that rows share. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from datasketch import MinHash, MinHashLSH

_PERMUTATIONS = 128
_RUN = 5  # characters: short questions have too few words to compare by


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"[^\W_]+", text.casefold())


def runs_of_words(text: str, n: int) -> set[str]:
    """Every run of `n` words."""
    found = words(text)
    return {" ".join(found[at : at + n]) for at in range(len(found) - n + 1)}


def groups(texts: Sequence[str], threshold: float) -> list[int]:
    """For each text the number of its group: texts whose similarity (Jaccard) reaches the threshold, and those alike to these.

    Candidates come from locality-sensitive hashing and are compared in full, so that chance puts nobody into a group.
    """
    runs = [_runs(text) for text in texts]
    index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
    group = list(range(len(texts)))
    for number, mine in enumerate(runs):
        signature = _signature(mine)
        for other in sorted(index.query(signature)):
            if _jaccard(mine, runs[other]) >= threshold:
                _join(group, number, other)
        index.insert(number, signature)
    return [_root(group, number) for number in range(len(texts))]


def joined(*groupings: Sequence[int]) -> list[int]:
    """Groups of rows that are alike by any of several groupings."""
    group = list(range(len(groupings[0])))
    for grouping in groupings:
        first: dict[int, int] = {}
        for number, label in enumerate(grouping):
            _join(group, number, first.setdefault(label, number))
    return [_root(group, number) for number in range(len(group))]


def shared_phrases(texts: Mapping[str, str], known: Iterable[str], *, of_words: int, by_rows: int) -> dict[str, str]:
    """For each row (by id) that shares a phrase with others, that phrase, if no known text has it."""
    rows: defaultdict[str, set[str]] = defaultdict(set)
    for row, text in texts.items():
        for phrase in runs_of_words(text, of_words):
            rows[phrase].add(row)
    shared = {phrase: found for phrase, found in rows.items() if len(found) >= by_rows}
    for text in known:
        for phrase in runs_of_words(text, of_words) & shared.keys():
            del shared[phrase]
    told: dict[str, str] = {}
    for phrase in sorted(shared, key=lambda each: (-len(shared[each]), each)):
        for row in shared[phrase]:
            told.setdefault(row, phrase)
    return told


def _runs(text: str) -> frozenset[str]:
    plain = " ".join(words(text))
    return frozenset(plain[at : at + _RUN] for at in range(max(1, len(plain) - _RUN + 1)))


def _signature(runs: frozenset[str]) -> MinHash:
    signature = MinHash(num_perm=_PERMUTATIONS, seed=1)
    signature.update_batch([run.encode() for run in sorted(runs)])
    return signature


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def _root(group: list[int], number: int) -> int:
    while group[number] != number:
        group[number] = group[group[number]]
        number = group[number]
    return number


def _join(group: list[int], one: int, other: int) -> None:
    roots = sorted((_root(group, one), _root(group, other)))
    group[roots[1]] = roots[0]
