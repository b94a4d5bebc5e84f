"""How CARE names things in Slack. Pure; knows no API.

A message is `<team>/<channel>/<ts>`; so is a conversation, by the message it began with; a DM is a place, `<team>/<channel>`.
"""

from dataclasses import dataclass

from bot.turns import Turn

PLATFORM = "slack"


@dataclass(frozen=True, slots=True)
class Name:
    """One message."""

    team: str
    channel: str
    ts: str

    def __str__(self) -> str:
        return f"{self.team}/{self.channel}/{self.ts}"

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.team}/{self.channel}"

    def beside(self, ts: str) -> "Name":
        """Another message of the same channel."""
        return Name(self.team, self.channel, ts)


def parse(name: str) -> Name:
    """The message that a name names. Raises ValueError."""
    team, channel, ts = name.split("/")
    return Name(team, channel, ts)


def asked_in(turn: Turn) -> Name:
    """The message that asked."""
    return parse(turn.question.message or turn.question.conversation_id)
