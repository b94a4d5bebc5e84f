"""People who answer instead of CARE: a conversation handed over to them, and what CARE learns from what they wrote. Knows no engine."""

import logging
from collections.abc import Sequence

from bot.archive import Archive
from bot.postman import Postman
from bot.store import OptedOut, Store, UnknownTurn
from bot.text import digest
from bot.turns import EDITED, ExpertReply, Handover, Rating, Turn, new_id, now

log = logging.getLogger(__name__)


class Experts:
    """Methods of `Service`."""

    _archive: Archive
    postman: Postman

    async def handed_over(self, platform: str, conversation_id: str) -> Handover | None:
        """The hand-over that stands for a conversation now."""
        return await self._archive.run(Store.handed_over, platform, conversation_id)

    async def handed_over_in(self, platform: str, thread: str) -> Handover | None:
        """The newest hand-over that was asked for in the thread that begins with this message, also one that has ended."""
        return await self._archive.run(Store.handed_over_in, platform, thread)

    async def hand_back(self, handover_id: str) -> Handover:
        """CARE answers in the conversation again. Raises UnknownHandover."""
        handover = await self._archive.run(Store.hand_back, handover_id, now())
        log.info("handed back", extra={"handover": handover_id})
        return handover

    async def handover_at(self, platform: str, message: str) -> Handover | None:
        """The hand-over that the experts have in this message."""
        return await self._archive.run(Store.handover_at, platform, message)

    async def shown_to_experts(self, platform: str, message: str, handover: Handover, turn: Turn | None = None) -> bool:
        """Remembers the message, to be taken away with what it shows. False: that was erased meanwhile."""
        return await self._archive.run(Store.shown_to_experts, platform, message, handover.id, None if turn is None else turn.id)

    async def handovers_of(self, platform: str, conversation_id: str) -> list[Handover]:
        """The hand-overs of a conversation that experts have seen, oldest first."""
        return await self._archive.run(Store.handovers_of, platform, conversation_id)

    async def expert_replied(self, handover_id: str, expert_id: str, text: str, message: str | None = None, edition: str = "") -> Handover:
        """Keeps what an expert wrote: for the asker, to whom the postman brings it, and to learn from. Raises UnknownHandover.

        `message` is the one they wrote it in, `edition` when they edited it: the same one twice is brought once, without one nothing is
        brought. What a later edition says instead is neither brought nor learned.
        """
        handover = await self._archive.run(Store.handover, handover_id)
        earlier: list[str] = []
        if message is not None:
            name = f"{message}{EDITED}{edition}" if edition else message
            known = await self._archive.run(Store.editions, handover.platform, message)
            earlier = [said for each, said in known.items() if each < name]
            if any(each > name for each in known) or known.get(name, digest(text)) != digest(text):
                return handover
            if earlier[-1:] != [digest(text)]:
                await self._archive.run(Store.keep_reply, handover.platform, ExpertReply(name, handover_id, expert_id, text, now()))
                self.postman.wake()
            if name in known:  # it came before, and may be learned already
                earlier.append(known[name])
        await self._learn(handover, expert_id, text, earlier)
        return handover

    async def corrects(self, platform: str, reply: ExpertReply) -> bool:
        """Whether the message of a reply said something else before it was edited."""
        known = await self._archive.run(Store.editions, platform, reply.message.partition(EDITED)[0])
        return any(each < reply.message for each in known)

    async def expert_said(self, platform: str, message: str) -> bool:
        """Whether an expert's words in this message were kept for an asker."""
        return bool(await self._archive.run(Store.editions, platform, message))

    async def expert_deleted(self, platform: str, message: str) -> bool:
        """An expert deleted a message: nothing of it is learned, or brought any more. False: it was none of theirs."""
        said = await self._archive.run(Store.editions, platform, message)
        replies = await self._archive.run(Store.withdraw_replies, platform, message, now()) if said else []
        for reply in replies[:1]:
            turns = await self.turns_of(await self._archive.run(Store.handover, reply.handover_id))
            learned = await self._learned_from(turns, reply.expert_id, list(said.values()))
            if learned is not None:
                await self._archive.run(Store.correct, Rating(learned.id, reply.expert_id, 0, now()))
        return bool(replies)

    async def _learn(self, handover: Handover, expert_id: str, text: str, instead_of: Sequence[str] = ()) -> None:
        """As the correction of the conversation's newest turn; the longest of what an expert wrote to it stays. What was learned from
        the same message before it was edited makes room.

        Nothing of experts who do not take part in the learning, nor for askers who don't.
        """
        turns = await self.turns_of(handover)
        out = await self._archive.run(Store.opted_out)
        if turns and out.isdisjoint({f"{handover.platform}:{expert_id}", f"{handover.platform}:{turns[-1].question.user_id}"}):
            replaced = await self._learned_from(turns, expert_id, instead_of)
            corrected = replaced or turns[-1]
            known = await self._archive.run(Store.current_vote, corrected.id, expert_id)
            if replaced or known is None or len(known.correction or "") < len(text):
                await self._archive.run(Store.correct, Rating(corrected.id, expert_id, -1, now(), None, text))

    async def _learned_from(self, turns: Sequence[Turn], expert_id: str, digests: Sequence[str]) -> Turn | None:
        """The turn that an expert corrects with these words."""
        for turn in turns if digests else ():
            known = await self._archive.run(Store.current_vote, turn.id, expert_id)
            if known is not None and known.correction is not None and digest(known.correction) in digests:
                return turn
        return None

    async def turns_of(self, handover: Handover) -> list[Turn]:
        """All that stands in a conversation that was handed over, oldest first."""
        return await self._archive.run(Store.thread, handover.platform, handover.conversation_id)

    async def teach(self, platform: str, message: str, teacher_id: str, author_id: str, text: str, reply: str | None = None) -> Turn:
        """Keeps a colleague's words as the teacher's correction of an answer, and says of which turn.

        `message` names the thread (by its first message), the experts' post of a hand-over, the answer, or the question; `reply` the
        message with these words, where they stand in that thread. Raises OptedOut when either does not take part, UnknownTurn, NotYours.
        """
        out = await self._archive.run(Store.opted_out)
        for person in (author_id, teacher_id):
            if f"{platform}:{person}" in out:
                raise OptedOut(f"{platform}:{person} does not take part in the learning; nothing they write or teach is learned")
        turn = await self._archive.run(Store.meant, platform, message, author_id=author_id, reply=reply)
        if turn is None:
            raise UnknownTurn(f"CARE has answered nothing in {message!r} that could be corrected")
        taught = Rating(turn.id, teacher_id, -1, now(), None, text, author_id if author_id != teacher_id else None)
        handed_over = await self.handover_at(platform, message)
        await self._archive.run(Store.correct if handed_over is not None else Store.rate, taught)
        log.info("taught", extra={"turn": turn.id})
        return turn

    async def _begin_handover(self, platform: str, conversation_id: str, user_id: str, thread: str | None) -> Handover:
        asked = Handover(new_id(), platform, conversation_id, user_id, None, now(), thread=thread)
        handover = await self._archive.run(Store.hand_over, asked)
        if handover.id == asked.id:
            log.info("handed over", extra={"handover": handover.id, "platform": platform})
            self.postman.wake()
        return handover
