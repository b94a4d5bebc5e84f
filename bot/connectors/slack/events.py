"""Slack's events as values. Pure; the only file that knows where in an event something stands, whatever is missing from it."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.connectors.inside import Json, inner, text
from bot.connectors.slack.names import Name

# What people send; every other subtype is news of the channel, of a bot, or of a message that stands already.
PEOPLES = frozenset({"", "file_share", "thread_broadcast", "me_message"})
_SLACKBOT = "USLACKBOT"
# Slack escapes every other "<": none is read past.
_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|([^<>]*))?>")
_REFERENCE = re.compile(r"<([#!]?)([^<>|]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a person."""

    event_id: str
    name: Name
    thread: str | None  # the message that its thread began with; None: it is in no thread
    under: str | None  # who wrote that one, where Slack says
    user: str
    text: str  # as Slack writes it
    files: int
    direct: bool
    edition: str  # when it was edited last; "" never
    team: str | None  # the organisation its author belongs to, where Slack says
    shared: bool  # the channel is shared with another organisation

    @property
    def root(self) -> str:
        """The message that the thread of an answer begins with."""
        return self.thread or self.name.ts


def action(body: Json) -> Json:
    """The button of a `block_actions` payload."""
    actions = body.get("actions")
    first = actions[0] if isinstance(actions, list) and actions else None
    return first if isinstance(first, Mapping) else {}


def said(body: Json, team: str, message: Json | None = None) -> Said | None:
    """What a person said, in a `message` or `app_mention` event; None: nobody said anything, or it can't be told what and where.

    `message` is the one inside, where the event is about another one (`message_changed`).
    """
    event = inner(body, "event")
    message = event if message is None else message
    name = Name(team, text(event, "channel"), text(message, "ts"))
    user, event_id = text(message, "user"), text(body, "event_id")
    if not (name.channel and name.ts and user and event_id) or _is_bot(message) or "/" in f"{name.channel}{name.ts}":
        return None
    files = message.get("files")
    thread = text(message, "thread_ts")
    return Said(
        event_id=event_id,
        name=name,
        thread=thread or None,
        under=text(message, "parent_user_id") or None,
        user=user,
        text=text(message, "text"),
        files=len(files) if isinstance(files, list) else 0,
        direct=text(event, "channel_type") == "im" or name.channel.startswith("D"),
        edition=text(message, "edited", "ts"),
        team=text(message, "user_team") or text(message, "source_team") or text(message, "team") or None,
        shared=body.get("is_ext_shared_channel") is True,
    )


def _is_bot(message: Json) -> bool:
    return bool(
        message.get("bot_id") or message.get("bot_profile") or message.get("subtype") == "bot_message" or text(message, "user") == _SLACKBOT
    )


def mentions(slack_text: str, user: str) -> bool:
    """Whether somebody is mentioned."""
    return any(found.group(1) == user for found in _MENTION.finditer(slack_text))


def spoken_to(slack_text: str) -> str | None:
    """Who a message begins with a mention of."""
    found = _MENTION.match(slack_text.strip())
    return found.group(1) if found else None


def unaddressed(slack_text: str) -> str:
    """What was written, without whom it was written to."""
    return re.sub(rf"{_MENTION.pattern}[ \t]*[,:]?[ \t]*", "", slack_text)


def plain(slack_text: str, me: str) -> str:
    """What a person wrote, without the mention of CARE and without Slack's own marks."""
    first, *others = re.split(rf"<@{re.escape(me)}(?:\|[^<>]*)?>", slack_text)
    before = [first, *(each.lstrip(" \t") for each in others)]
    without_me = " ".join([*(each.rstrip() for each in before[:-1]), before[-1]])
    named = _MENTION.sub(lambda found: f"@{found.group(2) or 'somebody'}", without_me)
    return html.unescape(_REFERENCE.sub(_shown, named)).strip()


def _shown(found: "re.Match[str]") -> str:
    kind, target, label = found.groups()
    if kind == "#":
        return f"#{label or target}"
    if kind == "!":
        return f"@{(label or target).lstrip('@')}"
    if target.startswith(("mailto:", "tel:")):
        return label or target.partition(":")[2]
    return f"{label} ({target})" if label and label not in target else target
