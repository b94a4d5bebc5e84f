"""Which of the accepted and given examples a night trains on: domains in balance, diverse, some of them general. Pure.

As in CARE (arXiv 2503.14136) the larger domains are down-sampled to the smallest that has any; what people said goes before what
ships with CARE. What is held out is never trained on, and a night measures on no more of it than it has time for.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.domains import OTHER
from train import near
from train.examples import FROZEN, STARTER, Example

MOST = 3_000  # examples: more of them teach a small LoRA nothing new (LIMA, arXiv 2305.11206, did with 1,000)
_CONTAMINATION_WORDS = 13  # GPT-3's measure (arXiv 2005.14165, appendix C)
# Clustering a hundred thousand rows to find three thousand would take hours: chance thins them out first.
_ROWS_A_CLUSTER, _POOL, _ROUNDS = 8, 10, 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows to train on; how many were left out for balance, for room and as contaminated, by domain and in all.

    Of `unpaired` corrections only what they correct was left out.
    """

    examples: Sequence[Example] = ()
    replay: int = 0
    unbalanced: Mapping[str, int] = field(default_factory=dict)
    contaminated: int = 0
    unpaired: int = 0


def choose(examples: Sequence[Example], held_out: Iterable[str], replay_share: float, most: int = MOST) -> Chosen:
    """From what is not held out. `held_out` are all texts that are only measured on, those of suites and public sets too.

    `replay_share` of the rows are general ones: of the domain "other" where there are any (public data), otherwise the starter
    set's share of every domain stands in for them.
    """
    trainable = [example for example in examples if not example.held_out]
    clean = _uncontaminated(trainable, held_out)
    paired = {example.id for example in trainable if example.rejected is not None}
    unpaired = sum(example.rejected is None and example.id in paired for example in clean)
    by_domain: defaultdict[str, list[Example]] = defaultdict(list)
    for example in clean:
        by_domain[example.domain].append(example)
    general = by_domain.pop(OTHER, [])
    said, replay = [each for each in general if each.turn_ids], [each for each in general if not each.turn_ids]
    groups = len(by_domain) + bool(said)
    most_rows = round(most * (1 - replay_share)) if replay else most
    size = min([len(found) for found in by_domain.values()], default=len(said))
    size = min(size, most_rows // max(1, groups))
    kept = {domain: _sample(found, size, 0.0 if replay else replay_share) for domain, found in by_domain.items()}
    rows = [example for found in kept.values() for example in found] + diverse(said, size)
    room = round(len(rows) * replay_share / (1 - replay_share)) if rows else len(replay)
    added = diverse(replay, min(room, max(0, most - len(rows))))
    lost = Counter({domain: len(found) - len(kept[domain]) for domain, found in by_domain.items()})
    chosen = sorted([*rows, *added], key=lambda each: each.id)
    return Chosen(chosen, len(added), +lost, contaminated=len(trainable) - len(clean), unpaired=unpaired)


def _sample(found: Sequence[Example], size: int, given_share: float) -> list[Example]:
    """`size` rows: those that people said first, but for the share that is kept for the given ones."""
    said, given = [each for each in found if each.turn_ids], [each for each in found if not each.turn_ids]
    kept_for_given = min(len(given), round(size * given_share))
    chosen = diverse(said, size - kept_for_given)
    return chosen + diverse(given, size - len(chosen))


def diverse(examples: Sequence[Example], n: int) -> list[Example]:
    """`n` rows that cover the whole: one of each cluster of questions in turn, those nearest to its centre first."""
    ordered = sorted(examples, key=lambda each: each.id)
    if n >= len(ordered):
        return ordered
    if n <= 0:
        return []
    ordered = _some(ordered, _POOL * n)
    import numpy as np
    from sklearn.cluster import KMeans  # half a second, and only a night that has too many rows needs it
    from sklearn.feature_extraction.text import TfidfVectorizer

    features = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+").fit_transform([each.instruction for each in ordered])  # noqa: S106
    clusters = max(1, min(n, len(ordered) // _ROWS_A_CLUSTER))
    fitted = KMeans(clusters, n_init=1, max_iter=_ROUNDS, random_state=0).fit(features)
    distance = fitted.transform(features)[np.arange(len(ordered)), fitted.labels_]
    queues: defaultdict[int, list[Example]] = defaultdict(list)
    for at in sorted(range(len(ordered)), key=lambda at: (round(float(distance[at]), 9), ordered[at].id)):
        queues[int(fitted.labels_[at])].append(ordered[at])
    turns = [(place, label, each) for label, queue in queues.items() for place, each in enumerate(queue)]
    return [each for _, _, each in sorted(turns, key=lambda turn: (turn[0], turn[1]))[:n]]


def measured(held_out: Sequence[Example], most: int) -> list[Example]:
    """What a night measures on: all items that ship with CARE, and of each domain at most `most` others, those of people first."""
    by_domain: defaultdict[str, list[Example]] = defaultdict(list)
    for example in held_out:
        if example.source not in (STARTER, FROZEN):
            by_domain[example.domain].append(example)
    kept = [example for example in held_out if example.source in (STARTER, FROZEN)]
    for found in by_domain.values():
        people = _some([example for example in found if example.turn_ids], most)
        kept += people + _some([example for example in found if not example.turn_ids], most - len(people))
    return sorted(kept, key=lambda each: each.id)


def _some(examples: Sequence[Example], n: int) -> list[Example]:
    """`n` of them by chance, but always the same: those with the smallest hashes, in order of their ids."""
    if len(examples) <= n:
        return list(examples)
    drawn = sorted(examples, key=lambda each: hashlib.sha256(each.id.encode()).digest())[:n]
    return sorted(drawn, key=lambda each: each.id)


def _uncontaminated(examples: Sequence[Example], held_out: Iterable[str]) -> list[Example]:
    """Without those that share thirteen words in a row with anything that is measured on, or are as a whole the same; where only what
    one corrects does, it goes."""
    known = near.hashes_of_runs(held_out, _CONTAMINATION_WORDS)

    def seen(each: Example) -> bool:
        return near.shares_run((each.instruction, each.input, each.response), each.whole, known, _CONTAMINATION_WORDS)

    def unpaired(each: Example) -> Example:
        return each.unpaired() if each.corrects is not None and seen(each.corrects) else each

    return [unpaired(each) for each in examples if not seen(each)]
