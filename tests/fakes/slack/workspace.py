"""What a Slack workspace holds: people, channels, messages, views. Knows nothing of HTTP, tokens or events."""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]  # the vendor's border: Slack's own shapes

TEAM, OTHER_TEAM = "T0CAREHQ01", "T0PARTNER1"
APP, BOT, BOT_USER = "A0CAREAPP1", "B0CAREBOT1", "U0CAREBOT1"
ADA, GRACE, LINUS, EVE, OTHER_BOT = "U0ADA00001", "U0GRACE001", "U0LINUS001", "U0EVE00001", "U0JENKINS1"
SUPPORT, RANDOM, EXPERTS, ADMINS, PARTNERS = "C0SUPPORT1", "C0RANDOM01", "C0EXPERTS1", "C0ADMINS01", "C0PARTNER1"


@dataclass
class Person:
    """Somebody who can write: a person, or a bot when `bot_id` is set."""

    id: str
    name: str
    team: str = TEAM
    bot_id: str | None = None

    def json(self) -> Json:
        """The user object of users.info."""
        profile = {"real_name": self.name, "display_name": self.name.split()[0].lower(), "team": self.team}
        names = {"name": self.name.split()[0].lower(), "real_name": self.name, "profile": profile}
        stranger = {"is_stranger": True} if self.team != TEAM else {}
        return {
            "id": self.id,
            "team_id": self.team,
            "deleted": False,
            "is_bot": self.bot_id is not None,
            "tz": "Europe/Berlin",
            **names,
            **stranger,
        }


@dataclass
class Channel:
    """A channel, or a DM with the app when `with_user` is set."""

    id: str
    name: str
    members: set[str] = field(default_factory=set)
    private: bool = False
    shared: bool = False
    with_user: str | None = None

    @property
    def type(self) -> str:
        """The `channel_type` of events."""
        return "im" if self.with_user else "group" if self.private else "channel"

    def json(self) -> Json:
        """The channel object of conversations.info."""
        if self.with_user:
            return {"id": self.id, "created": 1700000000, "is_im": True, "user": self.with_user, "is_open": True}
        kinds = {"is_channel": not self.private, "is_group": self.private, "is_im": False, "is_private": self.private, "is_archived": False}
        return {"id": self.id, "name": self.name, **kinds, "is_member": BOT_USER in self.members, "is_ext_shared": self.shared}


@dataclass
class Message:
    """One message. `text` is what was sent as text or markdown_text; blocks of a streamed message stand below it."""

    channel: str
    ts: str
    user: str
    text: str = ""
    thread_ts: str | None = None
    bot_id: str | None = None
    subtype: str | None = None
    markdown: bool = False
    blocks: list[Json] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edited: str | None = None
    metadata: Json | None = None
    streaming: bool = False
    stream_since: float = 0.0
    stream_expired: bool = False
    ephemeral_to: str | None = None
    team: str = TEAM
    deleted: bool = False
    broadcast: bool = False

    @property
    def root(self) -> str:
        """The ts of the thread it is in or begins."""
        return self.thread_ts or self.ts

    @property
    def reading(self) -> str:
        """All of what a person reads in it, blocks included."""
        shown = list(texts(self.blocks))
        return "\n".join([self.text, *shown] if self.markdown or not shown else shown)

    def element(self, action_id: str) -> tuple[Json, Json]:
        """The element with this action id, and its block. Raises LookupError."""
        for block, element in elements(self.blocks):
            if element.get("action_id") == action_id:
                return block, element
        raise LookupError(f"no element {action_id!r} in message {self.ts}: {[e.get('action_id') for _, e in elements(self.blocks)]}")

    def json(self) -> Json:
        """The message as the Web API and events show it."""
        found: Json = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts, "team": self.team}
        optional = {
            "subtype": self.subtype,
            "thread_ts": self.thread_ts,
            "bot_id": self.bot_id,
            "app_id": APP if self.bot_id == BOT else None,
            "blocks": self.blocks,
            "files": self.files,
            "metadata": self.metadata,
            "edited": self.edited and {"user": self.user, "ts": self.edited},
            "reactions": [{"name": name, "users": list(users), "count": len(users)} for name, users in self.reactions.items()],
            "client_msg_id": None if self.bot_id else f"00000000-0000-4000-8000-{self.ts.replace('.', '')[-12:]}",
        }
        return found | {name: value for name, value in optional.items() if value}


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Every interactive element of blocks, with the block it is in."""
    for block in blocks:
        inner = [*block.get("elements", []), block.get("accessory"), block.get("element")]
        yield from ((block, element) for element in inner if isinstance(element, dict) and "action_id" in element)


def texts(blocks: list[Json]) -> Iterator[str]:
    """The texts that blocks show, without those of buttons."""
    for block in blocks:
        holders = [block.get("text"), block.get("title"), block.get("label"), *block.get("fields", [])]
        if block.get("type") == "context":
            holders += block.get("elements", [])
        for holder in holders:
            if isinstance(holder, str):
                yield holder
            elif isinstance(holder, dict) and isinstance(holder.get("text"), str):
                yield holder["text"]


class Workspace:
    """The state. Every change goes through `changed`, which tells the listeners what kind of thing changed, and the thing."""

    def __init__(self) -> None:
        people = [Person(ADA, "Ada Park"), Person(GRACE, "Grace Moor"), Person(LINUS, "Linus Berg"), Person(EVE, "Eve Partner", OTHER_TEAM)]
        bots = [Person(BOT_USER, "CARE", bot_id=BOT), Person(OTHER_BOT, "Jenkins", bot_id="B0JENKINS1")]
        self.people = {person.id: person for person in people + bots}
        everyone = set(self.people)
        own = {person.id for person in people if person.team == TEAM} | {BOT_USER, OTHER_BOT}
        channels = [
            Channel(SUPPORT, "support", own.copy()),
            Channel(EXPERTS, "experts", {GRACE, LINUS, BOT_USER}),
            Channel(ADMINS, "care-admin", {LINUS, BOT_USER}, private=True),
            Channel(PARTNERS, "partners", everyone, shared=True),
            Channel(RANDOM, "random", own - {BOT_USER}),
        ]
        self.channels = {channel.id: channel for channel in channels}
        self.log: dict[str, dict[str, Message]] = defaultdict(dict)  # by channel, the oldest first
        self._threads: dict[tuple[str, str], list[Message]] = defaultdict(list)  # by channel and root, the root first
        self.ephemerals: list[Message] = []
        self.statuses: dict[tuple[str, str], Json] = {}  # the status line of a thread, by channel and root
        self.sessions: dict[tuple[str, str], Json] = {}  # agent sessions, by channel and root
        self.prompts: dict[tuple[str, str | None], Json] = {}
        self.listeners: list[Callable[[str, object], None]] = []
        self._last_ts = 0
        self._ids = itertools.count(1)

    def new_ts(self) -> str:
        """A message's name: later than every other one."""
        self._last_ts = max(self._last_ts + 1, int(time.time() * 1e6))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06}"

    def new_id(self, prefix: str) -> str:
        """An id as Slack forms them, for example `Ev0000000042`."""
        return f"{prefix}{next(self._ids):010X}"

    def changed(self, kind: str, thing: object) -> None:
        """Tells everybody who watches."""
        for listener in self.listeners:
            listener(kind, thing)

    def dm(self, user: str) -> Channel:
        """The DM of a person with the app."""
        found = next((channel for channel in self.channels.values() if channel.with_user == user), None)
        if found is None:
            found = Channel(f"D{user[1:]}", self.people[user].name, {user, BOT_USER}, with_user=user)
            self.channels[found.id] = found
            self.changed("channel", found)
        return found

    def add(self, message: Message) -> Message:
        """Puts a new message into its channel."""
        self.log[message.channel][message.ts] = message
        self._threads[message.channel, message.root].append(message)
        if message.bot_id == BOT:
            self.set_status(message.channel, message.root, {})  # Slack clears the status line when the app writes
        self.changed("message", message)
        return message

    def set_status(self, channel: str, root: str, status: Json) -> None:
        """The status line of a thread; empty clears it."""
        if status or (channel, root) in self.statuses:
            self.statuses.pop((channel, root), None)
            if status:
                self.statuses[channel, root] = status
            self.changed("status", (channel, root))

    def forget_status(self, channel: str, root: str, status: Json) -> None:
        """Clears a status line that nobody has changed since."""
        if self.statuses.get((channel, root)) is status:
            self.set_status(channel, root, {})

    def find(self, channel: str, ts: str) -> Message | None:
        """A message that is still there."""
        found = self.log[channel].get(ts)
        return found if found is not None and not found.deleted else None

    def messages(self, channel: str) -> list[Message]:
        """All of a channel that is still there, the oldest first, threads included."""
        return [message for message in self.log[channel].values() if not message.deleted]

    def thread(self, channel: str, root: str) -> list[Message]:
        """A thread's messages, its root first."""
        return [message for message in self._threads[channel, root] if not message.deleted]
