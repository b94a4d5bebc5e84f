"""What a reviewer has to see before it is learned, and what reviewers have decided. Pure.

Domains of CARE_REVIEW wait, and so does a new row with a phrase that other unreviewed rows have too, and no approved text: that
is how twenty people who agreed on something look, in one night or over many. A few rows with one phrase are let through once, ever.
A bad example waits too where it says what a good one says: votes could make the model unlearn what is right. So does a correction, for
what it corrects, where a night learns from that.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bot.reviews import Review, Waiting
from train import near
from train.collect import Candidate
from train.examples import Example

# A shorter phrase needs more rows and a word that no approved text has: the name of a new product, or of an invented bank.
_CAMPAIGNS = (near.Shared(words=4, rows=3), near.Shared(words=3, rows=5, new=True))
_PARTS: tuple[Callable[[Example], str], ...] = (lambda each: each.response, lambda each: each.instruction, lambda each: each.input)
_WORDS_OF_A_GOOD_ONE = 8  # in a row, in a bad answer; of a shorter one all
_WORDS_OF_A_DOMAIN = 2  # in an answer, whatever the question was about


def approved(
    candidates: Sequence[Candidate],
    given: Sequence[Example],
    known: frozenset[str],
    domains: Mapping[str, re.Pattern[str] | None],
    reviews: Sequence[Review],
    reasons: Counter[str],
    *,
    pairs: bool = False,
) -> tuple[list[Example], list[Waiting]]:
    """What needs no reviewer or has passed one, sorted by id, and what waits for one.

    `given` texts are approved as they are; `known` are the ids that the live LoRA was trained on; `domains` are reviewed whole, and so are
    answers that use their words. With `pairs` the night unlearns what corrections correct.
    """
    decided = {review.turn_id: review for review in reviews}
    decisions = [_standing(decided.get(candidate.example.turn_ids[0]), candidate) for candidate in candidates]
    wrong = {each.example.id: each.example.corrects for each in candidates if pairs and not each.example.held_out}
    bad = {name: each for name, each in wrong.items() if each is not None}
    phrases = _campaigns(candidates, decisions, given, known, bad)
    right = _right(candidates, given, bad)
    found, waiting = [], []
    for candidate, review in zip(candidates, decisions, strict=True):
        asked = _to_review(candidate, domains, phrases, right, bad.get(candidate.example.id))
        if review is not None and review.decision == "rejected":
            reasons["rejected"] += 1
        elif review is not None:
            found.append(_as_decided(candidate, review))
        elif asked is None:
            found.append(candidate.example)
        else:
            waiting.append(_as_waiting(candidate, asked))
    reasons["waiting"] = len(waiting)
    return sorted(found, key=lambda example: example.id), waiting


def rejected(candidates: Sequence[Candidate], reviews: Sequence[Review]) -> frozenset[str]:
    """The ids of the examples that a reviewer said no to."""
    decided = {review.turn_id: review for review in reviews}
    standing = ((candidate.example.id, _standing(decided.get(candidate.example.turn_ids[0]), candidate)) for candidate in candidates)
    return frozenset(name for name, review in standing if review is not None and review.decision == "rejected")


def _standing(review: Review | None, candidate: Candidate) -> Review | None:
    """A decision is about the texts that were shown, by somebody who had and has no part in them; what has changed since waits again.

    A rejection stands as long as nobody has said anything new: a name that is masked from now on makes no other answer of it.
    """
    if review is None or review.reviewer in candidate.people:
        return None
    if review.sha256 == _as_waiting(candidate, "").sha256:
        return review
    return review if review.decision == "rejected" and candidate.said_at <= review.reviewed_at else None


def _as_decided(candidate: Candidate, review: Review) -> Example:
    return replace(candidate.example, response=review.edited or candidate.example.response)


def _to_review(
    candidate: Candidate,
    domains: Mapping[str, re.Pattern[str] | None],
    phrases: Mapping[str, str],
    right: NDArray[np.int64],
    wrong: Example | None,
) -> str | None:
    """Why somebody must look at it first; `wrong` is unlearned with it. What a correction keeps of that is not: it is in both answers."""
    answer = candidate.example.response
    if candidate.trusted:
        return None
    if not candidate.example.good and near.shares_new_run(answer, "", right, _WORDS_OF_A_GOOD_ONE):
        return "a good answer says the same"
    if wrong is not None and near.shares_new_run(wrong.response, answer, right, _WORDS_OF_A_GOOD_ONE):
        return "a good answer says what it corrects"
    if candidate.example.domain in domains:
        return f"{candidate.example.domain} examples are reviewed"
    for name, words in domains.items():
        for said, text in (("the answer", answer), ("what it corrects", wrong.response if wrong is not None else "")):
            if words is not None and len({word.casefold() for word in words.findall(text)}) >= _WORDS_OF_A_DOMAIN:
                return f"{said} speaks of {name}, and {name} examples are reviewed"
    if candidate.example.id in phrases:
        return f"“{phrases[candidate.example.id]}” stands in several examples that nobody has reviewed"
    return None


def _right(candidates: Sequence[Candidate], given: Sequence[Example], wrong: Mapping[str, Example]) -> NDArray[np.int64]:
    """What good answers say, of whoever stands for them; nothing where there is no bad one to compare with it."""
    examples = [candidate.example for candidate in candidates]
    if not wrong and all(example.good for example in examples):
        return near.hashes_of_runs((), _WORDS_OF_A_GOOD_ONE)
    return near.hashes_of_runs((each.response for each in (*given, *examples) if each.good), _WORDS_OF_A_GOOD_ONE)


def _campaigns(
    candidates: Sequence[Candidate],
    decisions: Sequence[Review | None],
    given: Sequence[Example],
    known: frozenset[str],
    wrong: Mapping[str, Example],
) -> Mapping[str, str]:
    """New rows that share a phrase with other unreviewed ones of their kind which no approved row has, with that phrase.

    What was approved as bad settles nothing for a good one, and that the live LoRA knows a turn does not say as what.
    """
    settled: list[Example] = []
    unreviewed: list[Example] = []
    for candidate, review in zip(candidates, decisions, strict=True):
        if review is not None and review.decision != "rejected":
            settled.append(_as_decided(candidate, review))
        else:
            (settled if candidate.trusted else unreviewed).append(candidate.example)
    good, bad = ([each for each in unreviewed if each.good == kind] for kind in (True, False))
    reviewed = [*given, *settled]
    corrected = [wrong[each.id] for each in good if each.id in wrong]
    settled_too = [*reviewed, *(wrong[each.id] for each in settled if each.id in wrong)]
    return {
        **(_shared([*bad, *corrected], settled_too, frozenset(), _PARTS[:1]) if corrected else {}),
        **_shared(good, [each for each in reviewed if each.good], known),
        **_shared(bad, settled_too, frozenset()),
    }


def _shared(
    unreviewed: Sequence[Example],
    reviewed: Sequence[Example],
    known: frozenset[str],
    parts: Sequence[Callable[[Example], str]] = _PARTS,
) -> Mapping[str, str]:
    if not unreviewed:
        return {}
    told: dict[str, str] = {}
    for part in parts:
        rows = {example.id: part(example) for example in unreviewed if part(example)}
        found = near.shared_phrases(rows, [text for text in map(part, reviewed) if text], _CAMPAIGNS)
        told = {**{row: phrase for row, phrase in found.items() if row not in known}, **told}
    return told


def _as_waiting(candidate: Candidate, why: str) -> Waiting:
    example = candidate.example
    if not example.good:
        why = f"{why}; whoever approves it says that the answer is bad"
    return Waiting(
        example.turn_ids[0],
        example.domain,
        example.instruction,
        example.input,
        example.response,
        example.source,
        why,
        candidate.people,
        example.worse,
    )
