"""Texts that are nearly the same, by MinHash (Broder 1997) over runs of characters, and phrases that rows share. Pure."""

import re
import unicodedata
import zlib
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

_PERMUTATIONS = 128
_RUN = 5  # characters: short questions have too few words to compare by
# In a crowd whose signatures agree, each is compared with at most so many others that it is not yet joined with: a hundred thousand
# like rows are then a matter of seconds, and with crowds smaller than this nothing is left out.
_MOST_COMPARED = 32
_WORD = re.compile(r"[^\W_]+")
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters and marks without any shape
_JOINERS = "\u200d"  # holds emoji together
# Letters of other scripts that look like Latin ones, as somebody would use them to say the same thing differently.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһԛԝαορυνικτΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТХІЈЅ",
    "aeopcyxijsdhqwaopuviktABEZHIKMNOPTYXABEKMHOPCTXIJS",
)


def visible(text: str) -> str:
    """The text without characters that nobody sees, and with full-width letters as usual ones."""
    if text.isascii():
        return text
    seen = (each for each in text if each in _JOINERS or (unicodedata.category(each) != "Cf" and each not in _BLANKS))
    return "".join(chr(ord(each) - 0xFEE0) if "\uff01" <= each <= "\uff5e" else each for each in seen)


def words(text: str) -> list[str]:
    """The words of a text, without case, punctuation, and what only looks different (full-width letters, invisible characters)."""
    if text.isascii():
        return _WORD.findall(text.casefold())
    letters = (
        each for each in unicodedata.normalize("NFKD", visible(text)) if unicodedata.category(each)[0] != "M" and each not in _JOINERS
    )
    return _WORD.findall("".join(letters).translate(_LOOKALIKES).casefold())


def runs_of_words(text: str, n: int) -> set[str]:
    """Every run of `n` words."""
    found = words(text)
    return {" ".join(found[at : at + n]) for at in range(len(found) - n + 1)}


def phrases(text: str, n: int) -> set[str]:
    """Every run of `n` words; of a text with fewer words the whole."""
    return set(_in_order(words(text), n))


def signature(text: str) -> bytes:
    """The MinHash of a text: 128 numbers of 32 bits. Of two texts about the share that they are alike in is equal."""
    hashed = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
    hashed.update_batch([run.encode() for run in _runs(text)])
    values: NDArray[np.uint64] = hashed.hashvalues
    return values.astype(np.uint32).tobytes()


def groups(texts: Sequence[str], signatures: Sequence[bytes], threshold: float) -> list[int]:
    """For each text the number of its group: texts whose similarity (Jaccard) reaches the threshold, and those alike to these.

    `signatures` are those of the texts. Candidates come from locality-sensitive hashing and are compared in full, so that chance puts
    nobody into a group.
    """
    group = list(range(len(texts)))
    same = _same(signatures)
    for first, *others in same:
        for number in others:
            _join(group, first, number)
    for crowd in _crowds([found[0] for found in same], signatures, threshold):
        _join_alike(group, crowd, texts, threshold)
    return [_root(group, number) for number in range(len(texts))]


def _same(signatures: Sequence[bytes]) -> list[list[int]]:
    """Texts with one and the same signature. Chance makes two texts that are alike by 0.85 so once in 10⁹."""
    seen: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, each in enumerate(signatures):
        seen[each].append(number)
    return list(seen.values())


def _crowds(firsts: Sequence[int], signatures: Sequence[bytes], threshold: float) -> Iterator[list[int]]:
    """Texts that may be alike, since a whole band of their signatures is equal; `firsts` are those to look at."""
    if not firsts:
        return
    names = np.array(firsts)
    table = np.frombuffer(b"".join(signatures[first] for first in firsts), dtype=np.uint32).reshape(len(firsts), _PERMUTATIONS)
    index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)  # knows how many bands of how many numbers find what is alike
    for band in range(index.b):
        yield from _equal_rows(table[:, band * index.r : (band + 1) * index.r], names)


def _equal_rows(part: NDArray[np.uint32], names: NDArray[np.int64]) -> Iterator[list[int]]:
    """The names of rows that are equal, where there are two or more."""
    mixed = np.zeros(len(part), dtype=np.uint64)
    for column in range(part.shape[1]):  # a hash of 64 bits each; whoever meets by chance is compared in full anyway
        mixed = (mixed ^ part[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    order = np.argsort(mixed, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(mixed[order]) != 0))
    ends = np.append(starts[1:], len(order))
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        yield names[order[start:end]].tolist()


def _join_alike(group: list[int], crowd: Sequence[int], texts: Sequence[str], threshold: float) -> None:
    compared: deque[tuple[int, frozenset[str]]] = deque(maxlen=_MOST_COMPARED)
    for number in crowd:
        apart = [(other, runs) for other, runs in compared if _root(group, other) != _root(group, number)]
        if compared and not apart and len(crowd) > _MOST_COMPARED:
            continue
        mine = _runs(texts[number])
        for other, runs in apart:
            if _root(group, number) != _root(group, other) and _jaccard(mine, runs) >= threshold:
                _join(group, number, other)
        compared.append((number, mine))


def joined(*groupings: Sequence[int]) -> list[int]:
    """Groups of rows that are alike by any of several groupings."""
    group = list(range(len(groupings[0])))
    for grouping in groupings:
        first: dict[int, int] = {}
        for number, label in enumerate(grouping):
            _join(group, number, first.setdefault(label, number))
    return [_root(group, number) for number in range(len(group))]


@dataclass(frozen=True, slots=True)
class Shared:
    """A phrase of so many words that stands in so many rows; `new`: only where it has a word that no known text has."""

    words: int
    rows: int
    new: bool = False


def shared_phrases(texts: Mapping[str, str], known: Collection[str], rules: Sequence[Shared]) -> dict[str, str]:
    """For each row (by id) that shares a phrase with others, the one that most rows share; the first rule that finds one counts.

    A phrase that a known text has is nobody's. Counts hashes of 64 bits: a million rows have more phrases than fit into memory as text.
    """
    usual = {word for text in known for word in words(text)}
    rows = [_hashed(words(text), rules, usual) for text in texts.values()]
    counts = [_counts([row[number] for row in rows], rule.rows) for number, rule in enumerate(rules)]
    for text in known:
        for each, rule in zip(counts, rules, strict=True):
            for phrase in phrases(text, rule.words):
                each.pop(hash(phrase), None)
    told: dict[str, str] = {}
    for (name, text), row in zip(texts.items(), rows, strict=True):
        for mine, shared, rule in zip(row, counts, rules, strict=True):
            best = max(mine.tolist(), key=lambda each: shared.get(each, 0), default=0)
            if best in shared:
                told[name] = next(phrase for phrase in _in_order(words(text), rule.words) if hash(phrase) == best)
                break
    return told


def _hashed(found: Sequence[str], rules: Sequence[Shared], usual: set[str]) -> list[NDArray[np.int64]]:
    """For each rule the hashes of the phrases of a text, in their order, each once."""
    return [
        _hashes(dict.fromkeys(each for each in _in_order(found, rule.words) if not rule.new or not usual.issuperset(each.split())))
        for rule in rules
    ]


def _in_order(found: Sequence[str], n: int) -> list[str]:
    if len(found) < n:
        return [" ".join(found)] if found else []
    return [" ".join(found[at : at + n]) for at in range(len(found) - n + 1)]


def _counts(rows: Sequence[NDArray[np.int64]], least: int) -> dict[int, int]:
    """In how many rows each hash stands, where these are enough."""
    hashes, counts = np.unique(np.concatenate([*rows, _hashes(())]), return_counts=True)
    return dict(zip(hashes[counts >= least].tolist(), counts[counts >= least].tolist(), strict=True))


def hashes_of_runs(texts: Iterable[str], n: int) -> NDArray[np.int64]:
    """Every run of `n` words of many texts, of shorter ones the whole, as hashes of this process, sorted: 8 bytes each."""
    return np.unique(np.concatenate([_hashes(()), *(_hashes(phrases(text, n)) for text in texts)]))


def shares_run(texts: Iterable[str], whole: str, known: NDArray[np.int64], n: int) -> bool:
    """Whether any of the texts has a run of `n` words that is among the known ones, or the whole is, where it is shorter."""
    return _any_known([*phrases(whole, n), *(run for text in texts for run in runs_of_words(text, n))], known)


def shares_new_run(text: str, kept: str, known: NDArray[np.int64], n: int) -> bool:
    """Whether a run of `n` words of a text (of a shorter one the whole) is among the known ones, and is not in what was `kept` of it."""
    return _any_known(phrases(text, n) - phrases(kept, n), known)


def _any_known(runs: Collection[str], known: NDArray[np.int64]) -> bool:
    mine = _hashes(runs)
    places = np.searchsorted(known, mine)
    return bool((known[places[places < len(known)]] == mine[places < len(known)]).any())


def _hashes(of: Collection[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, of), dtype=np.int64, count=len(of))


def _runs(text: str) -> frozenset[str]:
    plain = " ".join(words(text))
    return frozenset(plain[at : at + _RUN] for at in range(max(1, len(plain) - _RUN + 1)))


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
