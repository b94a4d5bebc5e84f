"""How CARE names things in Teams. Pure; knows no API.

A place is what Teams calls a conversation: a chat, or one thread of a channel (its id ends in `;messageid=<root>`). A message is
`<place>/<activity id>`.
"""

from dataclasses import dataclass

from bot.turns import Turn

PLATFORM = "teams"
_THREAD = ";messageid="
_GROUP = "@thread.v2"  # ends the id of a group chat; a channel's ends in @thread.tacv2 or @thread.skype


@dataclass(frozen=True, slots=True)
class Name:
    """One message. Raises ValueError for an id that no message has."""

    place: str
    id: str

    def __post_init__(self) -> None:
        if not self.place or not self.id or "/" in self.id:
            raise ValueError(f"{self.id!r} is no id of a message")

    def __str__(self) -> str:
        return f"{self.place}/{self.id}"

    def beside(self, message_id: str) -> "Name":
        """Another message of the same place."""
        return Name(self.place, message_id)


def parse(name: str) -> Name:
    """The message that a name names. Raises ValueError."""
    place, _, message_id = name.rpartition("/")
    return Name(place, message_id)


def asked_in(turn: Turn) -> Name:
    """The message that asked."""
    assert turn.question.message is not None, "every question in Teams has its message"
    return parse(turn.question.message)


def channel_of(place: str) -> str:
    """The channel of a thread; any other place as it is."""
    return place.partition(_THREAD)[0]


def is_group(place: str) -> bool:
    """Whether it is a group chat, which has no threads."""
    return place.endswith(_GROUP)


def root_of(place: str) -> str | None:
    """The id of the message that a thread begins with; None where there are no threads."""
    return place.partition(_THREAD)[2] or None


def thread_of(channel: str, root: str) -> str:
    """The place of the thread that begins with a message of a channel."""
    return f"{channel_of(channel)}{_THREAD}{root}"
