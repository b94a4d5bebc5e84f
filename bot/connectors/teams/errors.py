"""What can go wrong with a call to Teams, as what a caller decides on. The messages never hold anything that was sent.

TeamsError
├── Gone             the chat or message is not there for us any more
├── TooLong          the activity does not fit into one message
├── Limited          Teams wants a pause that is longer than the caller has patience
├── Unreachable      Teams, or the way to it, is broken: try again. `sent`: it may have been done all the same
├── Refused          Teams will not do this, now or later
└── StreamEnded      nothing more can be streamed into this message
    ├── StreamStopped   its reader pressed Stop
    └── StreamTimedOut  its two minutes are over; it can be updated
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.connectors import inside
from bot.connectors.pauses import retry_after

_STREAM_CODE = "ContentStreamNotAllowed"
_STOPPED = ("cancelled by user", "canceled by user", "cancelled by the user", "canceled by the user")
_TIMED_OUT = "exceeded streaming time"
_TOO_LARGE = "size too large"
_TOO_LONG = frozenset({"MessageSizeTooBig", "ActivityTooLarge", "RequestEntityTooLarge"})
# 404s of Teams itself. Any other is a page of something on the way, which says nothing of the chat.
_NOT_FOUND = frozenset(
    {
        *("conversationnotfound", "activitynotfoundinconversation", "activitynotfound", "membernotfoundinconversation"),
        *("messagenotfound", "chatnotfound", "threadnotfound", "usernotfound", "botnotinconversationroster"),
    }
)
# 403s that say that we are not, or no more, where the message should go.
_NOT_THERE = frozenset({"BotNotInConversationRoster", "ConversationBlockedByUser", "ForbiddenOperationException", "MessageWritesBlocked"})


class TeamsError(Exception):
    """Anything that Teams refuses or fails to do. The message never holds anything that was sent."""


class Gone(TeamsError):
    """The chat or message is not there for us any more."""


class TooLong(TeamsError):
    """The activity does not fit into one message."""


class Refused(TeamsError):
    """Teams will not do this, now or later."""


class StreamEnded(TeamsError):
    """Nothing more can be streamed into this message."""


class StreamStopped(StreamEnded):
    """The reader pressed Stop."""


class StreamTimedOut(StreamEnded):
    """The two minutes of a stream are over."""


class Limited(TeamsError):
    """Teams wants a pause."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"Teams wants a pause of {seconds:g} s before it lets us {what}")
        self.seconds = seconds


class Unreachable(TeamsError):
    """Teams, or the way to it, is broken."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What Teams answered to a call."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def decided(what: str, answer: Answer) -> TeamsError:
    """What an answer that is no success means to us. `what` we wanted, as in "post"."""
    code, message = _said(answer.body)
    told = f"{what}: {answer.status} {code or 'without a code'}"
    if answer.status == 429:
        return Limited(what, retry_after(answer.headers))
    if answer.status == 413 or code in _TOO_LONG:
        return TooLong(told)
    if code == _STREAM_CODE:
        return _ended(told, message.lower())
    if (answer.status == 404 and code.lower() in _NOT_FOUND) or (answer.status == 403 and code in _NOT_THERE):
        return Gone(told)
    if answer.status == 404:
        return Unreachable(f"something on the way to Teams knows nothing of it ({told})", sent=False)
    if answer.status == 412:  # another call to the same chat was in its way; Microsoft's page on rate limits says to try again
        return Unreachable(f"Teams was busy with the same message ({told})", sent=False)
    if answer.status >= 500 or answer.status == 408:
        return Unreachable(f"Teams has trouble of its own ({told})", sent=True)
    if answer.status == 401:
        return Unreachable(f"Teams refuses the token ({told}); are TEAMS_APP_ID, TEAMS_APP_PASSWORD and TEAMS_TENANT_ID right?", sent=False)
    return Refused(told)


def _ended(told: str, message: str) -> TeamsError:
    if _TOO_LARGE in message:
        return TooLong(told)
    if any(words in message for words in _STOPPED):
        return StreamStopped(told)
    return StreamTimedOut(told) if _TIMED_OUT in message else StreamEnded(told)


def _said(body: bytes) -> tuple[str, str]:
    """The code and the message of an error; Teams itself and the service before it write them differently."""
    found = inside.parsed(body)
    error = found.get("error", found)
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("code") or error.get("errorCode") or "")[:80], str(error.get("message") or "")[:500]
