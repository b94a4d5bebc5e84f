"""Curation: candidates become the examples of a night. Pure functions, one a rule, each with its count in the funnel.

Who rates can be one person with five hundred thumbs, twenty who agreed on a phrase, or an honest customer who pasted a card
number. So counts are capped, never shares (a few hundred rows are enough to plant something, whatever the size of the rest),
personal data goes before anybody else sees the text (`redact.py`), and what looks like a campaign waits for a reviewer (`approve.py`).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from bot.domains import Domains
from bot.reviews import Review, Waiting
from bot.turns import RatedTurn
from model.chat import Message
from train import caps, corrected
from train.approve import approved, rejected
from train.collect import CORRECTION, Candidate, accept
from train.examples import Example
from train.filters import Filter
from train.memo import Memo
from train.near import visible
from train.redact import Redacted, Redactor

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
    disliked: int = 0  # thumbs down without a word on what would have been right, of no use to this night
    contradictory: int = 0
    unanswered: int = 0
    corrupt: int = 0
    opted_out: int = 0
    length: int = 0
    unsafe: int = 0
    leaked: int = 0
    refusal: int = 0
    language: int = 0
    unpaired: int = 0  # corrections that are learned, but not against what they correct
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
    dislikes: bool = False  # whether the night's method learns from answers that were voted down
    pairs: bool = False  # whether it learns from answers that were corrected


@dataclass(frozen=True, slots=True)
class Said:
    """What people said by the evening: rated turns, ids of rows that make no sense, who has opted out, what reviewers decided, and how
    the platforms show people."""

    rated: Sequence[RatedTurn] = ()
    corrupt: Sequence[str] = ()
    opted_out: frozenset[str] = frozenset()
    reviews: Sequence[Review] = ()
    user_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Curated:
    """The accepted examples, what waits for a reviewer, the counts, and how much of each kind of personal data was masked."""

    examples: Sequence[Example] = ()
    waiting: Sequence[Waiting] = ()
    funnel: Funnel = field(default_factory=Funnel)
    masked: Mapping[str, int] = field(default_factory=dict)


def curate(
    said: Said, given: Sequence[Example], known: frozenset[str], rules: Rules, redactor: Redactor, memo: Memo | None = None
) -> Curated:
    """The examples of a night. `given` are the starter set and public data, `known` the ids that the live LoRA was trained on.

    The same for equal arguments, whatever the memo remembers.
    """
    memo = memo or Memo()
    candidates, reasons = accept(said.rated, rules.domains, said.opted_out, rules.operators, dislikes=rules.dislikes)
    reasons["corrupt"] = len(said.corrupt)
    left: dict[str, int] = {"rated": len(said.rated) + len(said.corrupt)}
    masked: Counter[str] = Counter()

    def stage(name: str, found: Sequence[Candidate]) -> list[Candidate]:
        left[name] = len(found)
        return list(found)

    fit = Filter(rules.domains.system_prompt, rules.languages)
    candidates = stage("eligible", _filtered(candidates, fit, memo, reasons))
    if rules.pairs:
        candidates = corrected.fit(candidates, fit, memo, reasons)
    candidates = stage("redacted", _redacted(candidates, rules.domains.system_prompt, redactor, memo, masked, reasons))
    if rules.pairs:
        candidates = corrected.uncontradicted(candidates, memo, reasons)
    alike = caps.likeness(candidates, memo)
    candidates = stage("deduplicated", caps.without_duplicates(candidates, alike, reasons))
    candidates = stage("capped", caps.capped(candidates, alike, rejected(candidates, said.reviews), reasons))
    reviewed = {domain: rules.domains.words.get(domain) for domain in rules.review}
    decided = _checked(said.reviews, candidates, fit, redactor)
    examples, waiting = approved(candidates, given, known, reviewed, decided, reasons, pairs=rules.pairs)
    left["approved"] = len(examples)
    return Curated(_nameless(examples, redactor, memo), waiting, _funnel(left, reasons), dict(sorted(masked.items())))


def _funnel(left: Mapping[str, int], reasons: Mapping[str, int]) -> Funnel:
    counts = {**reasons, **left}
    assert counts.keys() <= {each.name for each in fields(Funnel)}
    return Funnel(**counts)


def _filtered(candidates: Sequence[Candidate], fit: Filter, memo: Memo, reasons: Counter[str]) -> list[Candidate]:
    found = fit.faults([candidate.example for candidate in candidates], memo)
    reasons.update(reason for reason in found if reason is not None)
    return [candidate for candidate, reason in zip(candidates, found, strict=True) if reason is None]


def _redacted(
    candidates: Sequence[Candidate], system_prompt: str, redactor: Redactor, memo: Memo, masked: Counter[str], reasons: Counter[str]
) -> list[Candidate]:
    """Personal data is masked in the question, the answer and all that was said before."""
    said = [[*each.example.said(system_prompt), each.example.response, *_rejected(each.example)] for each in candidates]
    done = redactor.redact_all(sorted({text for texts in said for text in texts}), memo)
    found = []
    for candidate, texts in zip(candidates, said, strict=True):
        for text in texts:
            masked.update(done[text].found)
        example = _with_texts(candidate.example, done)
        if _mostly_masked(example.response):
            reasons["personal"] += 1
            continue
        if example.rejected is not None and _mostly_masked(example.rejected):
            reasons["unpaired"] += 1
            example = example.unpaired()
        found.append(replace(candidate, example=example))
    return found


def _with_texts(example: Example, done: Mapping[str, Redacted]) -> Example:
    """What is not among the texts is CARE's own system prompt."""
    messages = tuple(Message(each.role, done[each.content].text) if each.content in done else each for each in example.messages)
    rejected = done[example.rejected].text if example.rejected is not None else None
    return replace(example, messages=messages, response=done[example.response].text, rejected=rejected)


def _rejected(example: Example) -> list[str]:
    return [] if example.rejected is None else [example.rejected]


def _checked(reviews: Sequence[Review], candidates: Sequence[Candidate], fit: Filter, redactor: Redactor) -> list[Review]:
    """Reviewers' own words are masked and filtered like anybody's; an edit that is unfit is no decision."""
    known = {candidate.example.turn_ids[0]: candidate.example for candidate in candidates}
    found = []
    for review in reviews:
        example = known.get(review.turn_id)
        if review.edited is None or example is None:
            found.append(review)
        elif fit.faults([replace(example, response=visible(review.edited), source=CORRECTION)], Memo()) == [None]:
            found.append(replace(review, edited=redactor.redact(visible(review.edited)).text))
    return found


def _nameless(examples: Sequence[Example], redactor: Redactor, memo: Memo) -> list[Example]:
    """Raters are "platform:user"; a user's id that tells more than who (an e-mail address, a number, a name) becomes its hash."""
    users = sorted({rater.partition(":")[2] for example in examples for rater in example.raters})
    told = {user: user if done.text == user else _hash(user) for user, done in redactor.redact_all(users, memo).items()}
    found = []
    for example in examples:
        raters = ((platform, told[user]) for platform, _, user in (rater.partition(":") for rater in example.raters))
        found.append(replace(example, raters=tuple(f"{platform}:{user}" for platform, user in raters)))
    return found


def _hash(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()[:12]


def _mostly_masked(text: str) -> bool:
    parts = text.split()
    return sum(part.startswith("<") and ">" in part for part in parts) > _MOST_MASKED * len(parts)
