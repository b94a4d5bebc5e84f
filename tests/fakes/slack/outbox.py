"""What Slack has to tell the app, until the app says that it has it: acknowledgements, their latency, redelivery.

Knows two ways out, sockets and HTTP, by one protocol; knows nothing of what it carries.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tests.fakes.slack.workspace import Json

Kind = Literal["events_api", "interactive", "slash_commands"]

ACK_SECONDS = 3.0  # Slack's
RETRY_PAUSES = (0.0, *(0.5,) * 100)  # after the deadline: nearly at once, then far sooner and oftener than Slack's minutes


@dataclass
class Delivery:
    """One thing to tell, over all its attempts."""

    kind: Kind
    payload: Json
    first_sent_at: float | None = None
    attempts: int = 0
    retry_reason: str = "timeout"
    acked_after: float | None = None  # seconds since the first attempt
    response: Json | None = None  # what came with the acknowledgement
    given_up: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def acked(self) -> bool:
        """Whether the app has it."""
        return self.acked_after is not None

    @property
    def event_type(self) -> str:
        """For a test's eyes: `message`, `app_mention`, `block_actions`, `/care`, …"""
        inner = self.payload.get("event", self.payload)
        return str(inner.get("type") or inner.get("command"))


class Way(Protocol):
    """A way to the app."""

    def open(self) -> bool:
        """Whether anything can be sent now."""
        ...

    def send(self, delivery: Delivery, envelope_id: str) -> None:
        """Sends one attempt; the answer comes to `Outbox.acknowledge` or `Outbox.failed`."""
        ...


class Outbox:
    """Every delivery so far, and those that still wait."""

    def __init__(self) -> None:
        self.way: Way | None = None
        self.ack_seconds = ACK_SECONDS
        self.interaction_seconds = ACK_SECONDS  # the same for what is told but once: buttons, dialogs, commands
        self.retry_pauses = RETRY_PAUSES
        self.duplicates = 0.0  # the share of events that are sent twice although they were acknowledged
        self.lose_acks = 0  # how many of the next acknowledgements get lost
        self.sent: list[Delivery] = []
        self.changed: Callable[[], None] = lambda: None
        self._owed_duplicates = 0.0
        self._waiting: deque[Delivery] = deque()
        self._in_flight: dict[str, Delivery] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    def put(self, kind: Kind, payload: Json) -> Delivery:
        """Sends it, or keeps it until there is a way."""
        delivery = Delivery(kind, payload)
        self.sent.append(delivery)
        self._attempt(delivery)
        if kind == "events_api":
            self._owed_duplicates += self.duplicates
            if self._owed_duplicates >= 1:
                self._owed_duplicates -= 1
                self._attempt(delivery)
        return delivery

    def flush(self) -> None:
        """A way has opened: what waited for one goes out."""
        waiting, self._waiting = self._waiting, deque()
        for delivery in waiting:
            self._attempt(delivery)

    def acknowledge(self, envelope_id: str, response: Json | None) -> None:
        """The app has it."""
        delivery = self._in_flight.pop(envelope_id, None)
        if delivery is None:
            return
        if self.lose_acks > 0:
            self.lose_acks -= 1
            return
        if delivery.acked_after is None and delivery.first_sent_at is not None:
            delivery.acked_after = time.monotonic() - delivery.first_sent_at
            delivery.response = response
            delivery.done.set()
            self.changed()

    def failed(self, envelope_id: str, reason: str, again: bool = True) -> None:
        """An attempt did not reach the app or was answered with an error; `again` is whether the app wants it once more."""
        delivery = self._in_flight.pop(envelope_id, None)
        if delivery is not None and not delivery.acked:
            delivery.retry_reason = reason
            self._retry(delivery, again)

    def settled(self) -> bool:
        """Whether everything is acknowledged or given up, and nothing is on its way a second time."""
        return not self._in_flight and all(delivery.acked or delivery.given_up for delivery in self.sent)

    def patience(self, delivery: Delivery) -> float:
        """For how many seconds an attempt is waited for."""
        return self.ack_seconds if delivery.kind == "events_api" else self.interaction_seconds

    def latencies(self) -> list[float]:
        """Seconds from the first attempt to the acknowledgement, of all that were acknowledged."""
        return sorted(delivery.acked_after for delivery in self.sent if delivery.acked_after is not None)

    def redeliver(self, delivery: Delivery) -> None:
        """Sends it once more, acknowledged or not, as Slack does now and then."""
        self._attempt(delivery)

    def close(self) -> None:
        """Nothing is sent any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()

    def _attempt(self, delivery: Delivery) -> None:
        if self.way is None or not self.way.open():
            self._waiting.append(delivery)
            return
        envelope_id = str(uuid.uuid4())
        delivery.first_sent_at = delivery.first_sent_at or time.monotonic()
        delivery.attempts += 1
        self._in_flight[envelope_id] = delivery
        self.way.send(delivery, envelope_id)
        self._later(self.patience(delivery), self._timed_out, delivery, envelope_id)

    def _timed_out(self, delivery: Delivery, envelope_id: str) -> None:
        self._in_flight.pop(envelope_id, None)
        if not delivery.acked:
            delivery.retry_reason = "timeout"
            self._retry(delivery)

    def _retry(self, delivery: Delivery, again: bool = True) -> None:
        retries = delivery.attempts - 1
        if not again or delivery.kind != "events_api" or retries >= len(self.retry_pauses):  # Slack retries events alone
            delivery.given_up = True
            delivery.done.set()
            self.changed()
            return
        self._later(self.retry_pauses[retries], self._attempt, delivery)

    def _later(self, seconds: float, method: Callable[..., None], *args: object) -> None:
        timer: asyncio.TimerHandle

        def run() -> None:
            self._timers.discard(timer)
            method(*args)

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)
