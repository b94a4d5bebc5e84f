"""What the service keeps and finds again of people, their messages and their turns. Knows no engine and no connector."""

import logging
from collections.abc import Sequence

from bot.addresses import UnattributedRating
from bot.archive import Archive
from bot.domains import Domains
from bot.metrics import Metrics
from bot.notices import Notice
from bot.reviews import Review, Waiting
from bot.store import Store
from bot.turns import Conversation, ConversationHead, Rating, Turn, Verdict, now

log = logging.getLogger(__name__)


class Records:
    """Methods of `Service`: each is one question to the archive, and returns after the commit where it changes anything."""

    _archive: Archive
    _domains: Domains
    _metrics: Metrics

    async def turn(self, turn_id: str) -> Turn:
        """One turn. Raises UnknownTurn."""
        return await self._archive.run(Store.turn, turn_id)

    async def asked_in(self, platform: str, message: str) -> Turn | None:
        """The newest turn that was asked in a message."""
        return await self._archive.run(Store.asked_in, platform, message)

    async def answered_by(self, platform: str, message: str) -> Turn | None:
        """The turn whose reply is, partly at least, in a message."""
        return await self._archive.run(Store.answered_by, platform, message)

    async def carried(self, turn_id: str) -> list[str]:
        """The names of the messages that carry a reply, in order."""
        return await self._archive.run(Store.carried, turn_id)

    async def carries(self, platform: str, message: str, turn_id: str) -> None:
        """A message carries a reply, or a part of it; of several turns the newest counts."""
        await self._archive.run(Store.carries, platform, message, turn_id)

    async def carries_no_more(self, platform: str, message: str) -> None:
        """A message that carried a reply is gone."""
        await self._archive.run(Store.carries_no_more, platform, message)

    async def to_take_away(self, platform: str) -> list[str]:
        """The names of messages that carried replies to what was deleted, and may still stand there."""
        return await self._archive.run(Store.to_take_away, platform)

    async def way_to_removal(self, platform: str, message: str) -> str | None:
        """How the place of such a message is written to, where its person was forgotten since."""
        return await self._archive.run(Store.way_to_removal, platform, message)

    async def taken_away(self, platform: str, message: str) -> None:
        """A message that carried a reply to what was deleted is gone."""
        await self._archive.run(Store.taken_away, platform, message)

    async def known(self, platform: str, conversation_id: str, user_id: str | None = None) -> bool:
        """Whether CARE has been asked anything in a conversation, or for a person; with `user_id`, by them."""
        return await self._archive.run(Store.known, platform, conversation_id, user_id)

    async def begin_new(self, platform: str, place: str, conversation_id: str) -> None:
        """From now on this conversation goes on in this place."""
        await self._archive.run(Store.begin_new, platform, place, conversation_id)

    async def newest(self, platform: str, place: str) -> str | None:
        """The conversation that goes on in this place."""
        return await self._archive.run(Store.newest, platform, place)

    async def introduction(self, platform: str, user_id: str) -> str | None:
        """What somebody has to be told of CARE; None once they were."""
        told = await self._archive.run(Store.is_introduced, platform, user_id)
        return None if told else self._domains.notice

    def notice(self) -> str:
        """What everybody is told of CARE."""
        return self._domains.notice

    async def introduced(self, platform: str, user_id: str, turn_id: str | None = None) -> None:
        """This person was told what CARE is, below the answer of a turn or by itself."""
        await self._archive.run(Store.introduced, platform, user_id, now(), turn_id)

    async def conversations(self, platform: str, user_id: str) -> list[ConversationHead]:
        """A person's conversations, the last used first."""
        return await self._archive.run(Store.conversations, platform, user_id)

    async def conversation(self, platform: str, conversation_id: str, user_id: str) -> Conversation:
        """A person's conversation. Raises UnknownTurn."""
        return await self._archive.run(Store.conversation, platform, conversation_id, user_id)

    async def rate(self, rating: Rating) -> Turn:
        """Keeps a rating; returns after the commit. Raises UnknownTurn, NotYours or another StoreError."""
        turn = await self._archive.run(Store.rate, rating)
        self._metrics.rated(rating)
        log.info("rated", extra={"turn": rating.turn_id, "verdict": rating.verdict, "corrected": rating.correction is not None})
        return turn

    async def current_vote(self, turn_id: str, user_id: str) -> Rating | None:
        """What somebody thinks of a turn now; None also once they took it back."""
        return await self._archive.run(Store.current_vote, turn_id, user_id)

    async def rated_nothing(self, platform: str, user_id: str, verdict: Verdict, reason: str | None, conversation_id: str) -> None:
        """Keeps a rating that names no answer: it is counted nowhere and never learned from."""
        rating = UnattributedRating(platform, conversation_id, user_id, verdict, reason, now())
        await self._archive.run(Store.rated_nothing, rating)
        log.info("rated what nobody can tell", extra={"platform": platform, "verdict": verdict})

    async def reached(self, platform: str, place: str, address: str, user_id: str | None, *, greet: bool = False) -> None:
        """This is how a place is written to now; where only one person reads there, it goes when they are forgotten.

        `greet`: a new one is owed a welcome, until it is `welcomed`.
        """
        await self._archive.run(Store.reached, platform, place, address, user_id, now(), greet=greet)

    async def welcomed(self, platform: str, place: str) -> None:
        """A place was greeted, or can't be."""
        await self._archive.run(Store.welcomed, platform, place)

    async def unwelcomed(self, platform: str) -> list[str]:
        """How the places are written to that are still to be greeted."""
        return await self._archive.run(Store.unwelcomed, platform)

    async def out_of_reach(self, platform: str, place: str) -> None:
        """Nothing can be written there any more."""
        await self._archive.run(Store.out_of_reach, platform, place)

    async def address(self, platform: str, place: str) -> str | None:
        """How a place is written to."""
        return await self._archive.run(Store.address, platform, place)

    async def personal_address(self, platform: str, user_id: str) -> str | None:
        """How a person is written to alone: where they were reached last."""
        return await self._archive.run(Store.personal_address, platform, user_id)

    async def any_address(self, platform: str) -> str | None:
        """Where the platform was reached last, whoever reads there."""
        return await self._archive.run(Store.any_address, platform)

    async def waiting_reviews(self) -> list[Waiting]:
        """What waits for a reviewer, the longest waiting first."""
        return await self._archive.run(Store.waiting_reviews)

    async def review(self, review: Review) -> None:
        """Keeps a reviewer's decision; returns after the commit. Raises NotReviewable."""
        await self._archive.run(Store.review, review)
        log.info("reviewed", extra={"turn": review.turn_id, "decision": review.decision, "reviewer": review.reviewer})

    async def learns_from(self, platform: str, user_id: str) -> bool:
        """Whether a person takes part in the learning."""
        return f"{platform}:{user_id}" not in await self._archive.run(Store.opted_out)

    async def opt_out(self, platform: str, user_id: str) -> None:
        """Nothing of this person is learned from any more; what they said is kept."""
        await self._archive.run(Store.opt_out, platform, user_id, now())
        log.info("opted out", extra={"platform": platform})

    async def opt_in(self, platform: str, user_id: str) -> None:
        """This person takes part again."""
        await self._archive.run(Store.opt_in, platform, user_id)

    async def notices(self, platform: str, user_id: str) -> list[Notice]:
        """What somebody has not been told yet."""
        return await self._archive.run(Store.unsent_notices, platform, user_id)

    async def notice_of(self, notice_id: str) -> Notice | None:
        """A notice by its id, told or not."""
        return await self._archive.run(Store.notice, notice_id)

    async def notices_sent(self, platform: str, user_id: str, ids: Sequence[str]) -> None:
        """These have reached this person; ids of others change nothing."""
        own = {notice.id for notice in await self.notices(platform, user_id)}
        await self._archive.run(Store.notices_sent, sorted(own.intersection(ids)), now())
