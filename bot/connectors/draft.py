"""What there is to show of a reply, as far as the service has said. Knows no API."""

import asyncio
from dataclasses import dataclass, field

from bot.connectors import markdown
from bot.turns import Status, Turn

STOPPED = "_Stopped._"
NOTHING = "_I have no answer to that._"


@dataclass
class Draft:
    """What there is to show, as far as the service has said."""

    text: str = ""
    place: int = 0
    final: Turn | None = None
    stopped: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.changed.set()  # the first look is at once

    def end(self, turn: Turn | None) -> None:
        """That is all: this turn, or None when the rest comes after the next start."""
        self.final = turn
        self.changed.set()
        self.ended.set()

    def closing(self, hosts: frozenset[str], *, began: bool) -> str:
        """The text that stays; "" for none at all. `began`: something of it stands there already."""
        turn = self.final
        assert turn is not None
        said = markdown.safe(turn.reply.text, hosts) if turn.reply is not None else ""
        if turn.status is Status.CANCELLED:
            return f"{said}\n\n{STOPPED}".strip() if said or began or self.stopped else ""
        if turn.status is Status.FAILED:
            error = turn.reply.error if turn.reply is not None else None
            return "\n\n".join(part for part in (said.strip(), markdown.safe(error or NOTHING, hosts)) if part)
        return said if said.strip() else NOTHING
