"""How many examples may come from one person, thread or cluster, and which of near-duplicates counts. Pure.

Counts are capped, not shares (docs/decisions.md): a few hundred rows are enough to plant something, whatever the size of the rest.
A night is the UTC day on which the last word was said, so that the caps need no memory.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train import near
from train.collect import CORRECTION, Candidate
from train.memo import Memo

A_PERSON_A_NIGHT, A_PERSON, A_THREAD_A_NIGHT, A_CLUSTER_A_NIGHT = 3, 30, 1, 2
_SAME, _ALIKE = 0.85, 0.6  # Jaccard of runs of five characters: a near-duplicate; another wording of it


@dataclass(frozen=True, slots=True)
class Likeness:
    """By example id: the group of those with nearly the same question and answer, and the cluster of those alike in either."""

    duplicates: Mapping[str, object]
    clusters: Mapping[str, int]


def likeness(candidates: Sequence[Candidate], memo: Memo) -> Likeness:
    """Who is like whom among all candidates."""
    ordered = sorted(candidates, key=_order)
    ids = [candidate.example.id for candidate in ordered]
    same, alike = [], []
    for texts in ([each.example.instruction for each in ordered], [each.example.response for each in ordered]):
        signatures = memo.of("signature", texts, near.signature)
        same.append(near.groups(texts, signatures, _SAME))
        alike.append(near.groups(texts, signatures, _ALIKE))
    return Likeness(
        dict(zip(ids, zip(*same, strict=True), strict=True)),
        dict(zip(ids, near.joined(*alike), strict=True)),
    )


def without_duplicates(candidates: Sequence[Candidate], alike: Likeness, reasons: Counter[str]) -> list[Candidate]:
    """One of each group of near-duplicates. Held-out rows never stand for trained ones, nor the other way.

    A bad example says nothing where somebody stands for nearly the same answer to nearly the same question.
    """
    vouched = {alike.duplicates[each.example.id] for each in candidates if each.example.good}
    seen: set[tuple[object, bool]] = set()
    found = []
    for candidate in sorted(candidates, key=_order):
        group = alike.duplicates[candidate.example.id]
        key = (group, candidate.example.held_out)
        if not candidate.example.good and group in vouched:
            reasons["contradictory"] += 1
        elif key in seen:
            reasons["duplicate"] += 1
        else:
            seen.add(key)
            found.append(candidate)
    return found


def capped(candidates: Sequence[Candidate], alike: Likeness, rejected: frozenset[str], reasons: Counter[str]) -> list[Candidate]:
    """At most so many a person, a thread and a cluster. An operator is not capped, the other two are, theirs too.

    What a reviewer has `rejected` (by example id) takes nobody's place.
    """
    taken: Counter[object] = Counter()
    found = []
    for candidate in sorted(candidates, key=_order):
        if candidate.example.id in rejected:
            found.append(candidate)
            continue
        night = candidate.said_at.date()
        thread = ("thread", night, candidate.example.group)
        cluster = ("cluster", night, alike.clusters[candidate.example.id])
        vouching = [] if candidate.trusted else [person for person in candidate.authors if _has_room(person, night, taken)]
        reason = None
        if not candidate.trusted and not vouching:
            reason = "over_person"
        elif taken[thread] >= A_THREAD_A_NIGHT:
            reason = "over_thread"
        elif taken[cluster] >= A_CLUSTER_A_NIGHT:
            reason = "over_cluster"
        if reason is not None:
            reasons[reason] += 1
            continue
        taken.update([thread, cluster, *(key for person in vouching[:1] for key in (person, (person, night)))])
        found.append(candidate)
    return found


def _has_room(person: str, night: object, taken: Mapping[object, int]) -> bool:
    return taken[person] < A_PERSON and taken[(person, night)] < A_PERSON_A_NIGHT


def _order(candidate: Candidate) -> tuple[bool, bool, bool, object, str]:
    """Who goes first where there is not room for all: good examples, an operator's word, a correction, the earliest."""
    example = candidate.example
    return (not example.good, not candidate.trusted, example.source != CORRECTION, candidate.said_at, example.id)
