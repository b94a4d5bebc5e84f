"""Streams: what may follow what, how often, how long. Knows nothing of HTTP.

After https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.fakes.teams.refusals import COMPLETED, NOT_ALLOWED, OVER_TIME, STOPPED, Refused, stream_ended, too_many
from tests.fakes.teams.world import Json, Message

STREAM_SECONDS, GAP_SECONDS = 120.0, 1.0
INFORMATIVE_CHARS = 1000
_JITTER = 0.15  # of the gap: a client that waits exactly a second may arrive a little early


@dataclass
class Stream:
    """One stream, running or over."""

    message: Message
    since: float
    last: float
    sequence: int = 1
    text: str = ""  # of the last chunk; informative updates are no part of it
    ended: Literal["", "stopped", "completed", "over time"] = ""


class Streams:
    """Every stream so far, by its id."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds = STREAM_SECONDS
        self.gap = GAP_SECONDS
        self.update_allowed = True  # whether an update of a running stream ends it, or is refused
        self.all: dict[str, Stream] = {}
        self.dropped: list[Json] = []  # activities that came out of order: 202, and nobody saw them

    def running(self, chat_id: str) -> Stream | None:
        """The stream that runs in a chat."""
        return next((stream for stream in self.all.values() if stream.message.chat.id == chat_id and not self.over(stream)), None)

    def over(self, stream: Stream) -> bool:
        """Whether nothing can be added any more; notices when its time is up."""
        if not stream.ended and self._clock() - stream.since > self.seconds:
            self.end(stream, "over time")
        return bool(stream.ended)

    def end(self, stream: Stream, why: Literal["stopped", "completed", "over time"]) -> None:
        """What stands there stays."""
        stream.ended = why
        stream.message.streaming = False

    def check_start(self, chat_id: str, info: Json, text: str) -> None:
        """Raises Refused unless a stream may begin so."""
        if not text.strip():
            raise Refused(400, message="Start streaming activities should include text")
        if info.get("streamType", "streaming") not in ("informative", "streaming"):
            raise Refused(400, message="Start streaming activities should be informative or streaming")
        if info.get("streamSequence") != 1:
            raise Refused(400, message="Start streaming activities should have streamSequence 1")
        _check_informative(info, text)
        if self.running(chat_id) is not None:
            raise stream_ended(NOT_ALLOWED)

    def start(self, message: Message, info: Json) -> None:
        """It runs."""
        now = self._clock()
        self.all[message.id] = Stream(message, now, now, text="" if info.get("streamType") == "informative" else message.text)

    def check_chunk(self, info: Json, activity: Json) -> Stream | None:
        """The stream that this continues, or None when it came out of order; raises Refused when it may not."""
        stream, text = self._open(info), str(activity.get("text") or "")
        sequence = info.get("streamSequence")
        if not isinstance(sequence, int) or not text.strip():
            raise Refused(400, message="Continue streaming activities should include text and streamSequence")
        if info.get("streamType", "streaming") not in ("informative", "streaming"):
            raise Refused(400, message="Continue streaming activities should be informative or streaming")
        _check_informative(info, text)
        if self._clock() - stream.last < self.gap * (1 - _JITTER):
            raise too_many(1)
        if sequence <= stream.sequence:
            self.dropped.append(activity)
            return None
        if info.get("streamType") == "informative" and stream.text:
            raise Refused(400, message="Informative updates are not allowed once the response streams")
        if not text.startswith(stream.text):
            raise Refused(400, message="Continue streaming activities should include the previously streamed content")
        return stream

    def chunk(self, stream: Stream, info: Json, text: str) -> None:
        """It says more."""
        stream.last, stream.sequence = self._clock(), info["streamSequence"]
        if info.get("streamType") != "informative":
            stream.text = text

    def check_final(self, info: Json, activity: Json) -> Stream:
        """The stream that this ends; raises Refused when it may not."""
        stream = self._open(info)
        if activity.get("type") != "message" or not str(activity.get("text") or "").strip():
            raise Refused(400, message="End streaming activities should be messages with text")
        if "streamSequence" in info:
            raise Refused(400, message="End streaming activities should not have streamSequence")
        return stream

    def check_update(self, message_id: str) -> None:
        """Raises Refused when the message may not be updated because it streams."""
        stream = self.all.get(message_id)
        if stream is not None and not self.over(stream):
            if not self.update_allowed:
                raise Refused(403, "Forbidden", "A message that streams can't be updated")
            self.end(stream, "completed")

    def _open(self, info: Json) -> Stream:
        stream = self.all.get(str(info.get("streamId")))
        if stream is None:
            raise Refused(400, message=f"There is no stream {info.get('streamId')!r}")
        if self.over(stream):
            raise stream_ended({"stopped": STOPPED, "over time": OVER_TIME}.get(stream.ended, COMPLETED))
        return stream


def _check_informative(info: Json, text: str) -> None:
    if info.get("streamType") == "informative" and len(text) > INFORMATIVE_CHARS:
        raise Refused(400, message=f"Informative updates should not be longer than {INFORMATIVE_CHARS} characters")
