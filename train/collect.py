"""Rated turns become examples: which ratings make an answer worth learning, and which speak against it. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bot.domains import Domains
from bot.prompts import chat
from bot.turns import RatedTurn, Rating, Status
from train.examples import Example

UP, CORRECTION = "rated up", "correction"


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many rated turns there were, how many became examples, and why the others did not."""

    rated: int
    eligible: int
    withdrawn: int = 0
    disliked: int = 0  # thumbs down without a word on what would have been right
    contradictory: int = 0
    unanswered: int = 0
    corrupt: int = 0


def accept(rated: Sequence[RatedTurn], corrupt: Sequence[str], domains: Domains) -> tuple[list[Example], Funnel]:
    """The examples in what people said, and the count of each reason that left a turn out.

    A 👍 accepts the answer, a correction replaces it. People who contradict each other (a 👍 beside a 👎 or a correction,
    two different corrections) teach nothing: which of them is right is not for us to say.
    """
    found: list[Example] = []
    reasons: Counter[str] = Counter(corrupt=len(corrupt))
    for each in rated:
        outcome = _example(each, domains)
        if isinstance(outcome, Example):
            found.append(outcome)
        else:
            reasons[outcome] += 1
    return found, Funnel(len(rated) + len(corrupt), len(found), **reasons)


def _example(rated: RatedTurn, domains: Domains) -> Example | str:
    """The example, or the reason why there is none: a field of Funnel."""
    standing = [rating for rating in rated.ratings if rating.verdict != 0]
    corrections = {_corrected(rating): rating for rating in standing if _corrected(rating)}
    ups = [rating for rating in standing if rating.verdict == 1 and not _corrected(rating)]
    if not standing:
        return "withdrawn"
    if len(corrections) > 1 or (ups and len(ups) < len(standing)):
        return "contradictory"
    if corrections:
        return _build(rated, next(iter(corrections)), standing, CORRECTION, domains)
    if not ups:
        return "disliked"
    answer = _answer(rated, domains)
    return _build(rated, answer, ups, UP, domains) if answer else "unanswered"


def _corrected(rating: Rating) -> str:
    return (rating.correction or "").strip()


def _answer(rated: RatedTurn, domains: Domains) -> str:
    """What the model itself wrote: the emergency notice before it is the bot's."""
    reply = rated.turn.reply
    if reply is None or rated.turn.status not in (Status.ANSWERED, Status.DELIVERED):
        return ""
    return reply.text.removeprefix(domains.emergency_notice).strip()


def _build(rated: RatedTurn, response: str, raters: Sequence[Rating], source: str, domains: Domains) -> Example:
    turn = rated.turn
    question = turn.question
    return Example(
        id=f"turn/{turn.id}",
        group=question.conversation_id,
        messages=chat(domains.system_prompt, turn, rated.history),
        response=response,
        domain=turn.domain,
        source=source,
        licence="internal",
        turn_ids=(turn.id,),
        raters=tuple(sorted(f"{question.platform}:{rating.user_id}" for rating in raters)),
    )
