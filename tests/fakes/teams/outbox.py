"""How Teams tells an app: signed requests to its address, again after 5xx and silence. Knows nothing of what it carries."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from tests.fakes.teams.world import Json

ANSWER_SECONDS = 15.0  # Teams'
RETRY_PAUSES = (0.05, 0.2, 0.5, 1.0, *(2.0,) * 30)  # far shorter than Teams'; after them, a minute, it gives up
_SENT_AGAIN = (412, 429, 500, 502, 503, 504)


@dataclass
class Delivery:
    """One activity to tell, over all its attempts."""

    activity: Json
    token: str | None
    first_sent_at: float | None = None
    attempts: int = 0
    status: int | None = None  # of the last attempt that was answered
    statuses: list[int | None] = field(default_factory=list)  # None: no answer
    acked_after: float | None = None  # seconds since the first attempt
    response: object = None  # the body of the last answer, JSON where it is JSON
    given_up: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def acked(self) -> bool:
        """Whether the app has it."""
        return self.acked_after is not None


class Outbox:
    """Every delivery so far. What is told before there is an address waits for one."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.answer_seconds = ANSWER_SECONDS
        self.retry_pauses = RETRY_PAUSES
        self.resend = True
        self.lose_answers = 0  # how many of the next answers get lost on their way back
        self.sent: list[Delivery] = []
        self.changed: Callable[[], None] = lambda: None
        self._there = asyncio.Event()
        self._patience: set[asyncio.Timeout] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def deliver_to(self, url: str) -> None:
        """The app's address, from now on."""
        self.url = url
        self._there.set()

    def put(self, activity: Json, token: str | None) -> Delivery:
        """Tells it in the background."""
        delivery = Delivery(activity, token)
        self.sent.append(delivery)
        self.start(delivery)
        return delivery

    def start(self, delivery: Delivery) -> asyncio.Task[None]:
        """Attempts it until it is heard, or given up."""
        task = asyncio.create_task(self._tell(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def settled(self) -> bool:
        """Whether everything is heard or given up."""
        return not self._tasks

    def hang_up(self) -> None:
        """Teams' patience ends now with whatever it has sent and that is not answered."""
        for patience in self._patience:
            patience.reschedule(asyncio.get_running_loop().time())

    def latencies(self) -> list[float]:
        """Seconds from the first attempt to the answer, of all that were heard."""
        return sorted(delivery.acked_after for delivery in self.sent if delivery.acked_after is not None)

    async def close(self) -> None:
        """Nothing is told any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """Any request to the app's address."""
        await self._there.wait()
        assert self.url is not None
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        timeout = aiohttp.ClientTimeout(total=self.answer_seconds)
        async with self._session.post(self.url, data=body, headers=headers, timeout=timeout) as response:
            return response.status, await response.text()

    async def _tell(self, delivery: Delivery) -> None:
        pauses = iter(self.retry_pauses if self.resend and delivery.activity.get("type") != "invoke" else ())
        while not await self._attempt(delivery):
            pause = next(pauses, None)
            if pause is None:
                delivery.given_up = True
                break
            await asyncio.sleep(pause)
        delivery.done.set()
        self.changed()

    async def _attempt(self, delivery: Delivery) -> bool:
        """One attempt; whether no other is to follow."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if delivery.token is not None:
            headers["Authorization"] = f"Bearer {delivery.token}"
        body = json.dumps(delivery.activity).encode()
        await self._there.wait()
        delivery.first_sent_at = delivery.first_sent_at or time.monotonic()
        delivery.attempts += 1
        try:
            status, text = await self._patiently(body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            delivery.statuses.append(None)
            return False
        if self.lose_answers > 0:
            self.lose_answers -= 1
            delivery.statuses.append(None)
            return False
        return self._answered(delivery, status, text)

    async def _patiently(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        async with asyncio.timeout(None) as patience:
            self._patience.add(patience)
            try:
                return await self.post(body, headers)
            finally:
                self._patience.discard(patience)

    def _answered(self, delivery: Delivery, status: int, text: str) -> bool:
        delivery.statuses.append(status)
        delivery.status, delivery.response = status, _parsed(text)
        if 200 <= status < 300 and delivery.acked_after is None and delivery.first_sent_at is not None:
            delivery.acked_after = time.monotonic() - delivery.first_sent_at
        delivery.given_up = status >= 300 and status not in _SENT_AGAIN
        return status not in _SENT_AGAIN


def _parsed(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
