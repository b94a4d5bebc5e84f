"""What the service wants of a platform. Knows no platform.

A connector turns its platform's events into Questions for `Service.receive` (or `ask`, where nobody can be told to come back),
and shows replies through a Delivery. Somebody who stops an answer, or leaves, is `Service.cancel`. What people have to be told
unasked, notices and hand-overs, the postman (`bot/postman.py`) brings to the connectors.
"""

from typing import Protocol

from bot.notices import Notice
from bot.turns import ExpertReply, Handover, Turn


class ReaderLeft(Exception):
    """Nobody reads this reply any more: the service cancels the turn and never resumes it."""


class Delivery(Protocol):
    """One reply on its way to its reader. Every method has a deadline of its own and raises ReaderLeft. One call at a time."""

    async def begin(self) -> str | None:
        """Shows that an answer is coming, as soon as the question is recorded, also while the model still loads.

        The platform's name of the message it will be in, to be kept for a restart. Not called for what ends at once.
        """
        ...

    async def waits(self, place: int) -> None:
        """Shows the place in the queue, 1 for who is next: called when it changes, after `begin` and before the first piece."""
        ...

    async def show(self, piece: str) -> None:
        """Shows one more piece of text."""
        ...

    async def finish(self, turn: Turn) -> bool:
        """Shows the stored end of it, whatever its status. False: it waits where its reader will fetch it."""
        ...

    def interrupt(self) -> None:
        """Nothing more is coming from this process: the turn waits for the next start. Called once, instead of `finish`."""
        ...


class Connector(Protocol):
    """Our side of one platform."""

    @property
    def platform(self) -> str:
        """The platform's name in `turns.platform`."""
        ...

    def open(self, turn: Turn) -> Delivery:
        """A delivery for a turn: a new one, or after a restart the one whose message is `turn.reply_ref`."""
        ...

    async def tell(self, notice: Notice) -> bool:
        """Tells a person, or the operators, and says whether anybody was told here. What it raises is tried again later."""
        ...

    async def hand_over(self, handover: Handover, turns: tuple[Turn, ...]) -> str | None:
        """Brings a conversation to the experts; the platform's name of the post, None where there is no place for it.

        What it raises is tried again later.
        """
        ...

    async def relay(self, handover: Handover, turn: Turn) -> None:
        """Brings to the experts what was written in a conversation after it was handed over. What it raises is tried again later."""
        ...

    async def expert_replied(self, handover: Handover, reply: ExpertReply) -> None:
        """Brings to the asker what an expert wrote. What it raises is tried again later."""
        ...
