"""Rated turns become candidates: which ratings make an answer worth learning, and which speak against it. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domains import OTHER, Domains
from bot.prompts import chat
from bot.reviews import DOWN
from bot.turns import RatedTurn, Rating, Status
from train.examples import Example
from train.near import visible

UP, CORRECTION = "rated up", "correction"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An example that somebody vouches for, and what curation wants to know of it.

    `authors` wrote the correction or voted on the answer. `said_at` is the last word on it. `trusted`: an operator wrote the correction,
    or voted on an answer that somebody else had asked for.
    """

    example: Example
    asker: str
    authors: tuple[str, ...]
    said_at: datetime
    trusted: bool

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who asked, rated or corrected, as "platform:user"."""
        return tuple(sorted({self.asker, *self.example.raters}))


def accept(
    rated: Sequence[RatedTurn],
    domains: Domains,
    opted_out: frozenset[str] = frozenset(),
    operators: Sequence[str] = (),
    *,
    dislikes: bool = False,
) -> tuple[list[Candidate], Counter[str]]:
    """The candidates in what people said, and for each other turn the reason why it is none (a field of Funnel).

    A 👍 accepts the answer, a correction replaces it, and with `dislikes` a 👎 alone makes a bad example of it. People who
    contradict each other (a 👍 beside a 👎 or a correction, two different corrections) teach nothing: which of them is right is
    not for us to say. A turn in whose conversation somebody asked who has opted out is left out whole; of others only what they said is.
    """
    found: list[Candidate] = []
    reasons: Counter[str] = Counter()
    for each in rated:
        outcome = _outcome(each, domains, opted_out, dislikes)
        if isinstance(outcome, str):
            reasons[outcome] += 1
        else:
            found.append(_candidate(each, outcome, operators))
    return found, reasons


def _outcome(rated: RatedTurn, domains: Domains, opted_out: frozenset[str], dislikes: bool) -> Example | str:
    """The example, or why there is none. A rating of somebody who has opted out says nothing; what they asked or wrote is left alone."""
    platform = rated.turn.question.platform
    if not opted_out:
        return _example(rated, domains, dislikes)
    askers = {f"{platform}:{turn.question.user_id}" for turn in (rated.turn, *rated.history)}
    ratings = tuple(
        rating for rating in rated.ratings if opted_out.isdisjoint(f"{platform}:{who}" for who in (rating.user_id, rating.author_id) if who)
    )
    if opted_out & askers or not ratings:
        return "opted_out"
    return _example(replace(rated, ratings=ratings), domains, dislikes)


def _candidate(rated: RatedTurn, example: Example, operators: Sequence[str]) -> Candidate:
    question = rated.turn.question
    asker = f"{question.platform}:{question.user_id}"
    standing = {f"{question.platform}:{rating.user_id}": rating for rating in rated.ratings if rating.verdict != 0}
    raters = {name: standing[name] for name in example.raters}
    authors = tuple(sorted(name for name, rating in raters.items() if example.source != CORRECTION or _corrected(rating)))
    allowed = set(operators) - ({asker} if example.source != CORRECTION else set())
    last = max(rating.rated_at for rating in raters.values())
    return Candidate(example, asker, authors, last, not allowed.isdisjoint(authors))


def _example(rated: RatedTurn, domains: Domains, dislikes: bool) -> Example | str:
    """The example, or the reason why there is none: a field of Funnel."""
    standing = [rating for rating in rated.ratings if rating.verdict != 0]
    corrections = {_corrected(rating): rating for rating in standing if _corrected(rating)}
    ups = [rating for rating in standing if rating.verdict == 1 and not _corrected(rating)]
    if not standing:
        return "withdrawn"
    if len(corrections) > 1 or (ups and len(ups) < len(standing)):
        return "contradictory"
    if corrections:
        example = _build(rated, next(iter(corrections)), standing, CORRECTION, domains)
        return replace(example, rejected=visible(_answer(rated, domains)) or None)
    if not ups:
        return _disliked(rated, standing, domains) if dislikes else "disliked"
    answer = _answer(rated, domains)
    return _build(rated, answer, ups, UP, domains) if answer else "unanswered"


def _disliked(rated: RatedTurn, downs: Sequence[Rating], domains: Domains) -> Example | str:
    """A bad example. What is held out is only measured on, as right: there a bad answer is of no use."""
    answer = _answer(rated, domains)
    if not answer:
        return "unanswered"
    example = _build(rated, answer, downs, DOWN, domains)
    return "disliked" if example.held_out else example


def _corrected(rating: Rating) -> str:
    return (rating.correction or "").strip()


def _answer(rated: RatedTurn, domains: Domains) -> str:
    """What the model itself wrote, if it came to its end: the emergency notice before it is the bot's."""
    reply = rated.turn.reply
    if reply is None or rated.turn.status not in (Status.ANSWERED, Status.DELIVERED) or reply.finish_reason == "length":
        return ""
    return reply.text.removeprefix(domains.emergency_notice).strip()


def _build(rated: RatedTurn, response: str, raters: Sequence[Rating], source: str, domains: Domains) -> Example:
    turn = rated.turn
    question = turn.question
    messages = chat(domains.system_prompt, turn, rated.history)
    return Example(
        id=f"turn/{turn.id}",
        group=question.conversation_id,
        messages=tuple(replace(message, content=visible(message.content)) for message in messages),
        response=visible(response),
        domain=turn.domain if turn.domain in domains.words else OTHER,
        source=source,
        licence="internal",
        turn_ids=(turn.id,),
        raters=tuple(sorted(f"{question.platform}:{rating.user_id}" for rating in raters)),
        brought=any(message.role == "system" and message.content != domains.system_prompt for message in messages),
    )
