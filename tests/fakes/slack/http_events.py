"""HTTP events: signed requests to the app's address, with Slack's retry headers."""

import asyncio
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import aiohttp

from tests.fakes.slack.outbox import Delivery, Outbox


def signed(secret: str, body: str, timestamp: str | None = None) -> dict[str, str]:
    """The headers that prove that a body comes from Slack."""
    stamp = timestamp if timestamp is not None else str(int(time.time()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


def encoded(delivery: Delivery) -> tuple[str, str]:
    """The body and content type of a request."""
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload), "application/json"
    form = delivery.payload if delivery.kind == "slash_commands" else {"payload": json.dumps(delivery.payload)}
    return urlencode(form), "application/x-www-form-urlencoded"


class HttpEvents:
    """The way to an app that listens on an address."""

    def __init__(self, outbox: Outbox, url: str, secret: str) -> None:
        self._outbox = outbox
        self._url = url
        self._secret = secret
        self._session = aiohttp.ClientSession()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> bool:
        """An address can always be tried."""
        return True

    def send(self, delivery: Delivery, envelope_id: str) -> None:
        """Posts one attempt."""
        task = asyncio.create_task(self._post(delivery, envelope_id, delivery.attempts))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def post(self, body: str, headers: dict[str, str]) -> tuple[int, str]:
        """Any request to the app's address, for forgeries and replays: `post(body, signed(secret, body, timestamp))`."""
        status, text, _ = await self._request(body, headers)
        return status, text

    async def verify(self) -> bool:
        """What Slack does when the address is entered: whether the app gives the challenge back."""
        body = json.dumps(
            {"token": "fake", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", "type": "url_verification"}
        )
        status, text = await self.post(body, {"Content-Type": "application/json", **signed(self._secret, body)})
        return status == 200 and json.loads(body)["challenge"] in text

    async def _request(self, body: str, headers: dict[str, str]) -> tuple[int, str, bool]:
        """Status, text, and whether the app wants a failed event once more."""
        async with self._session.post(self._url, data=body.encode(), headers=headers) as response:
            return response.status, await response.text(), response.headers.get("X-Slack-No-Retry") != "1"

    async def close(self) -> None:
        """Ends what is on its way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _post(self, delivery: Delivery, envelope_id: str, attempt: int) -> None:
        body, kind = encoded(delivery)
        headers = {"Content-Type": kind, **signed(self._secret, body)}
        if attempt > 1:
            headers |= {"X-Slack-Retry-Num": str(attempt - 1), "X-Slack-Retry-Reason": delivery.retry_reason}
        try:
            status, text, again = await asyncio.wait_for(self._request(body, headers), self._outbox.patience(delivery))
        except TimeoutError:
            self._outbox.failed(envelope_id, "http_timeout")
        except aiohttp.ClientError:
            self._outbox.failed(envelope_id, "connection_failed")
        else:
            if status == 200:
                self._outbox.acknowledge(envelope_id, _answer(text))
            else:
                self._outbox.failed(envelope_id, "http_error", again)


def _answer(text: str) -> dict[str, object] | None:
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return {"text": text}
    return found if isinstance(found, dict) else {"text": text}
