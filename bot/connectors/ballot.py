"""Votes on an answer as every platform counts them: whose they are, which one is the last, what a withdrawn reaction takes back.

The message that was voted on says which answer is meant; a button that says otherwise is not ours. Knows no platform.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from bot.service import Service
from bot.store import NotYours, UnknownTurn
from bot.turns import Rating, Turn, Verdict, now

UNKNOWN = "I can't find that answer any more, so your vote was not counted. Ask me again, and vote on the new answer."
NOT_YOURS = "Only the person who asked can rate this answer."
THANKS = "Thank you. What you wrote is kept with that answer, and may teach me tonight."
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Vote:
    """Somebody's thumb at a message."""

    message: str  # the platform's name of it
    user: str
    verdict: Verdict
    at: str  # the platform's time of it, in an order that sorts: events may come late, twice and in another order
    turn_id: str | None = None  # what the button says it is about
    by_reaction: bool = False
    reason: str | None = None
    correction: str | None = None


class Ballot:
    """The votes of one platform. A person's are counted one after another: of two that come at once, the one that is overtaken is seen."""

    def __init__(self, platform: str, service: Service) -> None:
        self._platform = platform
        self._service = service
        self._latest: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._voting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def cast(self, vote: Vote) -> Turn | None:
        """Keeps a vote; None for one that a later one has overtaken. Raises UnknownTurn, NotYours.

        What is still being written is no answer yet: nobody can have meant it.
        """
        async with self._one_at_a_time(vote):
            return await self._cast(vote)

    def _one_at_a_time(self, vote: Vote) -> asyncio.Lock:
        return self._voting.setdefault(vote.user, asyncio.Lock())

    async def _cast(self, vote: Vote) -> Turn | None:
        turn = await self._service.answered_by(self._platform, vote.message)
        if turn is None or vote.turn_id not in (None, turn.id) or not turn.status.final:
            raise UnknownTurn("that message carries no such answer")
        key = (turn.id, vote.user)
        latest = self._latest.get(key, "")
        if vote.at < latest or (vote.at == latest and not (vote.reason or vote.correction)):
            return None
        await self._service.rate(await self._rating(turn, vote))
        self._latest[key] = vote.at
        if len(self._latest) > _MOST_REMEMBERED:
            self._latest.popitem(last=False)
        return turn

    async def _rating(self, turn: Turn, vote: Vote) -> Rating:
        """A thumb that repeats what stands changes no words, and a reaction that does so sets nothing."""
        current = await self._service.current_vote(turn.id, vote.user)
        if current is None or current.verdict != vote.verdict:
            return Rating(turn.id, vote.user, vote.verdict, now(), vote.reason, vote.correction, by_reaction=vote.by_reaction)
        return replace(
            current,
            rated_at=now(),
            reason=vote.reason or current.reason,
            correction=vote.correction or current.correction,
            author_id=None if vote.correction else current.author_id,
            by_reaction=current.by_reaction and vote.by_reaction,
        )

    async def take_back(self, vote: Vote) -> Turn | None:
        """A reaction is gone: withdraws the verdict that a reaction had set, never one of a button or what was said in words.

        None where nothing was withdrawn. Raises UnknownTurn, NotYours.
        """
        async with self._one_at_a_time(vote):
            turn = await self._service.answered_by(self._platform, vote.message)
            current = None if turn is None else await self._service.current_vote(turn.id, vote.user)
            if current is None or not current.by_reaction or current.verdict != vote.verdict:
                return None
            return await self._cast(replace(vote, verdict=0, by_reaction=True))


def refusal(error: UnknownTurn | NotYours) -> str:
    """What to tell whose vote was not taken."""
    return NOT_YOURS if isinstance(error, NotYours) else UNKNOWN
