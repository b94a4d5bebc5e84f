"""What can go wrong with a call to Slack, as what a caller decides on. The messages never hold an argument of the call.

SlackError
├── Gone         the channel or message is not there for us any more
├── NotStreaming the message is no stream any more; it can be updated
├── TooLong      the text does not fit into one message
├── Limited      Slack wants a pause that is longer than the caller has patience
├── Unreachable  Slack, or the way to it, is broken: try again. `sent`: it may have been done all the same
└── Refused      Slack will not do this: a scope, an argument
"""

GONE = frozenset(
    {
        "cannot_dm_bot",
        "cant_delete_message",
        "cant_update_message",
        "channel_not_found",
        "is_archived",
        "message_not_found",
        "messages_tab_disabled",
        "not_in_channel",
        "thread_not_found",
        "user_disabled",
        "user_not_found",
    }
)
NOT_STREAMING = frozenset({"message_not_in_streaming_state", "stream_not_found"})
TOO_LONG = frozenset({"msg_too_long", "msg_blocks_too_long"})
TOKEN = frozenset(
    {"account_inactive", "invalid_auth", "not_authed", "org_login_required", "team_access_not_granted", "token_expired", "token_revoked"}
)
SLACKS_OWN = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"})


class SlackError(Exception):
    """Anything that Slack refuses or fails to do. The message never holds an argument of the call."""


class Gone(SlackError):
    """The channel or message is not there for us any more."""


class NotStreaming(SlackError):
    """The message is no stream any more; it can be updated."""


class TooLong(SlackError):
    """The text does not fit into one message."""


class Refused(SlackError):
    """Slack will not do this, now or later."""


class Limited(SlackError):
    """Slack wants a pause."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(f"Slack wants a pause of {seconds:g} s before the next {method}")
        self.seconds = seconds


class Unreachable(SlackError):
    """Slack, or the way to it, is broken."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def decided(method: str, code: str, needed: object) -> SlackError:
    """What an error code of Slack means to us; token errors aside."""
    if code in NOT_STREAMING:
        return NotStreaming(f"{method}: {code}")
    if code in TOO_LONG:
        return TooLong(f"{method}: {code}")
    if code in GONE:
        return Gone(f"{method}: {code}")
    if code == "missing_scope":
        return Refused(f"{method} needs the scope {needed}; add it to the app (`care slack manifest` prints all) and install it again")
    return Refused(f"{method}: {code}")
