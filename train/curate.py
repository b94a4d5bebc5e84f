"""Curation: candidates become the examples of a night. Pure functions, one a rule, each with its count in the funnel.

Who rates can be one person with five hundred thumbs, twenty who agreed on a phrase, or an honest customer who pasted a card
number. So counts are capped, never shares (a few hundred rows are enough to plant something, whatever the size of the rest),
personal data goes before anybody else sees the text, and what looks like a campaign waits for a reviewer.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from bot.domains import Domains
from bot.reviews import Review, Waiting
from bot.turns import RatedTurn
from model.chat import Message
from train import near
from train.collect import CORRECTION, Candidate, accept
from train.examples import Example
from train.filters import fault
from train.redact import Redactor

# The caps of docs/decisions.md ("Counts are capped, not shares").
_A_PERSON_A_NIGHT, _A_PERSON, _A_THREAD_A_NIGHT, _A_CLUSTER_A_NIGHT = 3, 30, 1, 2
_PHRASE_WORDS, _PHRASE_ROWS = 4, 3
_SAME, _ALIKE = 0.85, 0.6  # Jaccard of runs of five characters: a near-duplicate; another wording of it
_MOST_MASKED = 0.25  # of an answer's words: more, and there is nothing left to learn


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many rated turns were left after each stage, and below them why the others are gone."""

    rated: int = 0
    eligible: int = 0
    redacted: int = 0
    deduplicated: int = 0
    capped: int = 0
    approved: int = 0

    # not eligible
    withdrawn: int = 0
    disliked: int = 0  # thumbs down without a word on what would have been right
    contradictory: int = 0
    unanswered: int = 0
    corrupt: int = 0
    opted_out: int = 0
    length: int = 0
    unsafe: int = 0
    leaked: int = 0
    refusal: int = 0
    language: int = 0
    # gone later
    personal: int = 0
    duplicate: int = 0
    over_person: int = 0
    over_thread: int = 0
    over_cluster: int = 0
    waiting: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decides on."""

    domains: Domains
    languages: Sequence[str] = ("en",)
    review: Sequence[str] = ()
    operators: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What people said by the evening: rated turns, ids of rows that make no sense, who has opted out, what reviewers decided."""

    rated: Sequence[RatedTurn] = ()
    corrupt: Sequence[str] = ()
    opted_out: frozenset[str] = frozenset()
    reviews: Sequence[Review] = ()


@dataclass(frozen=True, slots=True)
class Curated:
    """The accepted examples, what waits for a reviewer, the counts, and how much of each kind of personal data was masked."""

    examples: Sequence[Example] = ()
    waiting: Sequence[Waiting] = ()
    funnel: Funnel = field(default_factory=Funnel)
    masked: Mapping[str, int] = field(default_factory=dict)


def curate(said: Said, given: Sequence[Example], known: frozenset[str], rules: Rules, redactor: Redactor) -> Curated:
    """The examples of a night. `given` are the starter set and public data, `known` the ids that the live LoRA was trained on."""
    candidates, reasons = accept(said.rated, rules.domains, said.opted_out, rules.operators)
    reasons["corrupt"] = len(said.corrupt)
    left: dict[str, int] = {"rated": len(said.rated) + len(said.corrupt)}
    masked: Counter[str] = Counter()

    def stage(name: str, found: Sequence[Candidate]) -> list[Candidate]:
        left[name] = len(found)
        return list(found)

    candidates = stage("eligible", _filtered(candidates, rules, reasons))
    candidates = stage("redacted", _redacted(candidates, redactor, masked, reasons))
    candidates = stage("deduplicated", _without_duplicates(candidates, reasons))
    candidates = stage("capped", _capped(candidates, reasons))
    examples, waiting = _reviewed(candidates, given, known, rules, said.reviews, reasons)
    left["approved"] = len(examples)
    return Curated(examples, waiting, _funnel(left, reasons), dict(sorted(masked.items())))


def _funnel(left: Mapping[str, int], reasons: Mapping[str, int]) -> Funnel:
    counts = {**reasons, **left}
    assert counts.keys() <= {each.name for each in fields(Funnel)}
    return Funnel(**counts)


def _filtered(candidates: Sequence[Candidate], rules: Rules, reasons: Counter[str]) -> list[Candidate]:
    found = []
    for candidate in candidates:
        reason = fault(candidate.example, rules.domains.system_prompt, rules.languages)
        if reason is None:
            found.append(candidate)
        else:
            reasons[reason] += 1
    return found


def _redacted(candidates: Sequence[Candidate], redactor: Redactor, masked: Counter[str], reasons: Counter[str]) -> list[Candidate]:
    """Personal data is masked in the question, the answer and all that was said before."""
    found = []
    for candidate in candidates:
        example = redact(candidate.example, redactor, masked)
        if _mostly_masked(example.response):
            reasons["personal"] += 1
        else:
            found.append(replace(candidate, example=example))
    return found


def redact(example: Example, redactor: Redactor, masked: Counter[str]) -> Example:
    """The example without personal data; what was masked is added to the counts."""

    def clean(text: str) -> str:
        done = redactor.redact(text)
        masked.update(done.found)
        return done.text

    messages = tuple(each if each.role == "system" else Message(each.role, clean(each.content)) for each in example.messages)
    return replace(example, messages=messages, response=clean(example.response))


def _mostly_masked(text: str) -> bool:
    parts = text.split()
    return sum(part.startswith("<") and ">" in part for part in parts) > _MOST_MASKED * len(parts)


def _order(candidate: Candidate) -> tuple[bool, bool, object, str]:
    """Who goes first where there is not room for all: an operator's word, a correction, the earliest."""
    return (not candidate.trusted, candidate.example.source != CORRECTION, candidate.said_at, candidate.example.id)


def _without_duplicates(candidates: Sequence[Candidate], reasons: Counter[str]) -> list[Candidate]:
    """One of those with nearly the same question and answer. Held-out rows never stand for trained ones, nor the other way."""
    ordered = sorted(candidates, key=_order)
    texts = [f"{each.example.instruction}\n{each.example.response}" for each in ordered]
    seen: set[tuple[int, bool]] = set()
    found = []
    for candidate, group in zip(ordered, near.groups(texts, _SAME), strict=True):
        key = (group, candidate.example.held_out)
        if key in seen:
            reasons["duplicate"] += 1
        else:
            seen.add(key)
            found.append(candidate)
    return found


def _capped(candidates: Sequence[Candidate], reasons: Counter[str]) -> list[Candidate]:
    """At most so many a person, a thread and a cluster. A night is the UTC day on which the last word was said."""
    ordered = sorted(candidates, key=_order)
    clusters = near.joined(
        near.groups([each.example.instruction for each in ordered], _ALIKE),
        near.groups([each.example.response for each in ordered], _ALIKE),
    )
    taken: Counter[object] = Counter()
    found = []
    for candidate, cluster in zip(ordered, clusters, strict=True):
        night = candidate.said_at.date()
        thread, cluster_tonight = ("thread", night, candidate.example.group), ("cluster", night, cluster)
        vouching = [] if candidate.trusted else [person for person in candidate.example.raters if _has_room(person, night, taken)]
        reason = None
        if not candidate.trusted and not vouching:
            reason = "over_person"
        elif taken[thread] >= _A_THREAD_A_NIGHT:
            reason = "over_thread"
        elif taken[cluster_tonight] >= _A_CLUSTER_A_NIGHT:
            reason = "over_cluster"
        if reason is not None:
            reasons[reason] += 1
            continue
        taken.update([thread, cluster_tonight, *(key for person in vouching[:1] for key in (person, (person, night)))])
        found.append(candidate)
    return found


def _has_room(person: str, night: object, taken: Mapping[object, int]) -> bool:
    return taken[person] < _A_PERSON and taken[(person, night)] < _A_PERSON_A_NIGHT


def _reviewed(
    candidates: Sequence[Candidate],
    given: Sequence[Example],
    known: frozenset[str],
    rules: Rules,
    reviews: Sequence[Review],
    reasons: Counter[str],
) -> tuple[list[Example], list[Waiting]]:
    """What needs no reviewer or has passed one, and what waits for one."""
    decided = {review.turn_id: review for review in reviews}
    phrases = _campaigns(candidates, given, known, decided)
    found, waiting = [], []
    for candidate in candidates:
        asked = _to_review(candidate, rules, phrases)
        review = decided.get(candidate.example.turn_ids[0])
        if review is not None and (review.sha256 != _as_waiting(candidate, "").sha256):
            review = None
        if asked is None and (review is None or review.decision == "approved"):
            found.append(candidate.example)
        elif review is None:
            assert asked is not None
            waiting.append(_as_waiting(candidate, asked))
        elif review.decision == "rejected":
            reasons["rejected"] += 1
        else:
            found.append(replace(candidate.example, response=review.edited or candidate.example.response))
    reasons["waiting"] = len(waiting)
    return sorted(found, key=lambda example: example.id), waiting


def _to_review(candidate: Candidate, rules: Rules, phrases: Mapping[str, str]) -> str | None:
    """Why somebody must look at it first."""
    if candidate.trusted:
        return None
    if candidate.example.domain in rules.review:
        return f"{candidate.example.domain} examples are reviewed"
    if candidate.example.id in phrases:
        return f"“{phrases[candidate.example.id]}” stands in {_PHRASE_ROWS} or more new examples"
    return None


def _campaigns(
    candidates: Sequence[Candidate], given: Sequence[Example], known: frozenset[str], decided: Mapping[str, Review]
) -> Mapping[str, str]:
    """New rows that share a phrase which no approved row has, with that phrase."""

    approved = [
        each.example
        for each in candidates
        if each.trusted or each.example.id in known or _approves(decided.get(each.example.turn_ids[0]), each)
    ]
    settled = {example.id for example in approved}
    new = [each.example for each in candidates if each.example.id not in settled]
    told: dict[str, str] = {}
    parts: tuple[Callable[[Example], str], ...] = (lambda example: example.response, lambda example: example.instruction)
    for part in parts:
        rows = {example.id: part(example) for example in new}
        found = near.shared_phrases(rows, map(part, [*given, *approved]), of_words=_PHRASE_WORDS, by_rows=_PHRASE_ROWS)
        told = {**found, **told}
    return told


def _approves(review: Review | None, candidate: Candidate) -> bool:
    return review is not None and review.decision != "rejected" and review.sha256 == _as_waiting(candidate, "").sha256


def _as_waiting(candidate: Candidate, why: str) -> Waiting:
    example = candidate.example
    return Waiting(
        example.turn_ids[0],
        example.domain,
        example.instruction,
        example.input,
        example.response,
        example.source,
        why,
        candidate.people,
    )
