"""What a Teams tenant holds: people, chats, channels, messages. Knows nothing of HTTP, tokens or activities' envelopes."""

import hashlib
import string
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.fakes.teams.outbox import Delivery

Json = dict[str, Any]  # the vendor's border: Teams' own shapes
Kind = Literal["personal", "groupChat", "channel"]

TENANT, OTHER_TENANT = "72f988bf-0000-41af-91ab-2d7cd011db47", "0badcafe-0000-41af-91ab-2d7cd011db47"
APP_ID, APP_NAME = "c9e8c047-2a74-40a2-b28a-b162d5f5327c", "CARE"
BOT_ID = f"28:{APP_ID}"
SHOWN_ACTIONS = 3
CARD, CONSENT = "application/vnd.microsoft.card.adaptive", "application/vnd.microsoft.teams.card.file.consent"

_DIGITS = string.digits + string.ascii_lowercase


def _digest(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()


@dataclass(frozen=True)
class Person:
    """Somebody who can write."""

    name: str
    tenant: str = TENANT

    @property
    def id(self) -> str:
        """`from.id`."""
        return f"29:1{_digest('person', self.name)[:58]}"

    @property
    def aad_id(self) -> str:
        """`from.aadObjectId`."""
        digest = _digest("aad", self.name)
        return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))

    def json(self) -> Json:
        """The account object of activities."""
        return {"id": self.id, "name": self.name, "aadObjectId": self.aad_id}


@dataclass(frozen=True)
class Chat:
    """A personal chat, a group chat, or a channel with its threads."""

    id: str
    kind: Kind
    name: str = ""
    people: tuple[Person, ...] = ()
    team: str | None = None
    tenant: str = TENANT


def channel(name: str) -> Chat:
    """A channel of the one team; everybody is in it."""
    return Chat(f"19:{_digest('channel', name)[:32]}@thread.tacv2", "channel", name, PEOPLE, TEAM)


def personal(person: Person) -> Chat:
    """A person's chat with the app."""
    return Chat(f"a:1{_digest('personal', person.id)}", "personal", "", (person,), tenant=person.tenant)


def group(people: tuple[Person, ...]) -> Chat:
    """A group chat that the app is in."""
    return Chat(f"19:{_digest('group', *(person.id for person in people))[:32]}@thread.v2", "groupChat", "", people)


ADA, GRACE, LINUS, EVE = Person("Ada Lovelace"), Person("Grace Hopper"), Person("Linus Torvalds"), Person("Eve Mallory")
STRANGER = Person("Sam Stranger", OTHER_TENANT)
PEOPLE = (ADA, GRACE, LINUS, EVE)
TEAM = f"19:{_digest('team')[:32]}@thread.tacv2"  # a team's id is that of its General channel
GENERAL = Chat(TEAM, "channel", "General", PEOPLE, TEAM)
SUPPORT, EXPERTS, ADMINS = channel("Support"), channel("Experts"), channel("Admins")


@dataclass
class Message:
    """One message. `activity` is what it is now, `history` everything that it was, the newest last."""

    id: str
    chat: Chat
    place: str
    sender: Person | None  # None: the app
    activity: Json
    at: float  # FakeTeams.clock()
    streaming: bool = False
    deleted: bool = False
    updates: int = 0
    history: list[Json] = field(default_factory=list)
    reactions: set[tuple[str, str]] = field(default_factory=set)  # (person's id, type)
    delivery: "Delivery | None" = None  # people's messages: how the app was told

    @property
    def text(self) -> str:
        """What it says, as it was sent."""
        return str(self.activity.get("text") or "")

    @property
    def status(self) -> int | None:
        """People's messages: what the app answered."""
        return self.delivery.status if self.delivery else None

    @property
    def final(self) -> bool:
        """Whether nothing more is to come: no running stream, and not one of the app's "Looking into it…" (they end so)."""
        return not self.streaming and (self.ai_label or not self.text.rstrip().endswith("…"))

    @property
    def entities(self) -> list[Json]:
        """Its entities."""
        return [entity for entity in self.activity.get("entities") or [] if isinstance(entity, dict)]

    @property
    def ai_label(self) -> bool:
        """Whether people see "AI generated" beside it."""
        return any("AIGeneratedContent" in entity.get("additionalType", ()) for entity in self.entities)

    @property
    def citations(self) -> list[Json]:
        """What it says it has from where."""
        return [claim["appearance"] for entity in self.entities for claim in entity.get("citation", ())]

    @property
    def feedback(self) -> str | None:
        """Which thumbs it has: "default", "custom", or none."""
        loop = (self.activity.get("channelData") or {}).get("feedbackLoop")
        return loop["type"] if loop else None

    def attached(self, content_type: str) -> list[Json]:
        """Its attachments of a type."""
        return [each for each in self.activity.get("attachments") or [] if each.get("contentType") == content_type]

    @property
    def cards(self) -> list[Json]:
        """Its Adaptive Cards."""
        return [each["content"] for each in self.attached(CARD)]

    @property
    def consents(self) -> list[Json]:
        """The files that it wants to give: attachments with name and content."""
        return self.attached(CONSENT)

    @property
    def suggested(self) -> list[str]:
        """The titles of its suggested actions, as far as Teams shows them."""
        return [action["title"] for action in (self.activity.get("suggestedActions") or {}).get("actions", ())][:SHOWN_ACTIONS]

    @property
    def reading(self) -> str:
        """Text and cards as a person reads them."""
        return "\n".join([self.text, *(text for card in self.cards for text in _texts(card))]).strip()


def _texts(thing: object) -> list[str]:
    if isinstance(thing, list):
        return [text for each in thing for text in _texts(each)]
    if not isinstance(thing, dict):
        return []
    own = [str(thing[name]) for name in ("text", "title", "label", "altText") if isinstance(thing.get(name), str)]
    if thing.get("type") == "Fact" or ("title" in thing and "value" in thing and "type" not in thing):
        own.append(str(thing.get("value")))
    return own + [text for name, each in thing.items() if name not in ("data", "fallback") for text in _texts(each)]


class World:
    """Everything said so far."""

    def __init__(self) -> None:
        self.chats: dict[str, Chat] = {chat.id: chat for chat in (GENERAL, SUPPORT, EXPERTS, ADMINS)}
        self.gone: dict[str, str] = {}  # chat id → error code: where the app was thrown out
        self.log: dict[str, dict[str, Message]] = defaultdict(dict)  # chat id → id → message, the oldest first
        self.listeners: list[Callable[[], None]] = []
        self._last_ms = 0
        self._streams = 20

    def new_id(self) -> str:
        """A message's id: milliseconds, as Teams names messages; never the same twice."""
        self._last_ms = max(self._last_ms + 1, int(time.time() * 1000))
        return str(self._last_ms)

    def new_stream_id(self) -> str:
        """The id of a message that streams, as Microsoft's pages show it: "a-0000l"."""
        self._streams += 1
        number, digits = self._streams, ""
        while number:
            number, digit = divmod(number, 36)
            digits = _DIGITS[digit] + digits
        return f"a-{digits:0>5}"

    def know(self, chat: Chat) -> Chat:
        """The app is in this chat."""
        return self.chats.setdefault(chat.id, chat)

    def find(self, place: str) -> Chat | None:
        """The chat of a conversation id, with or without a thread in it."""
        return self.chats.get(place.partition(";")[0])

    def add(self, message: Message) -> Message:
        """It stands in its chat."""
        self.log[message.chat.id][message.id] = message
        message.history.append(message.activity)
        self.changed()
        return message

    def change(self, message: Message, activity: Json) -> None:
        """It says something else."""
        message.activity = activity
        message.history.append(activity)
        self.changed()

    def messages(self, chat: Chat) -> list[Message]:
        """All that stands in a chat, the oldest first."""
        return [message for message in self.log[chat.id].values() if not message.deleted]

    def changed(self) -> None:
        """Tells whoever waits."""
        for listener in self.listeners:
            listener()
