"""What the service wants of a platform. Knows no platform.

A connector turns its platform's events into Questions for `Service.receive`, and shows replies through a Delivery.
Somebody who stops an answer, or leaves, is `Service.cancel`.
"""

from typing import Protocol

from bot.turns import Turn


class ReaderLeft(Exception):
    """Nobody reads this reply any more: the service cancels the turn and never resumes it."""


class Delivery(Protocol):
    """One reply on its way to its reader. Every method has a deadline of its own and raises ReaderLeft."""

    async def begin(self) -> str | None:
        """Shows that an answer is coming. The platform's name of the message it will be in, to be kept for a restart."""
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
