"""`/slack/events`: what Slack sends over HTTP, verified before anything reads it. Knows no event.

The body never gets into the log, nor into an answer. A request is remembered by its signature once it was answered with 200:
the same bytes again within the five minutes in which a signature is good are a replay. Slack signs each of its own retries anew.
"""

import hashlib
import hmac
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from bot.connectors import inside
from bot.connectors.tasks import Owned

log = logging.getLogger(__name__)

PATH = "/slack/events"
_GOOD_FOR_SECONDS = 300
_MOST_REMEMBERED = 100_000  # twice what Slack sends a workspace in five minutes at most, ten times over
_WRONG_PATH_LOG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request that Slack signed."""

    body: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str = ""
    content_type: str = "text/plain"


Handle = Callable[[Request], Awaitable[Answer]]


class Forged(Exception):
    """Slack did not sign it, or not now."""


class Signatures:
    """Which requests are Slack's, and new."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._open: set[str] = set()  # being answered

    def check(self, timestamp: str, signature: str, body: bytes) -> None:
        """Raises Forged."""
        if not re.fullmatch(r"[0-9]{1,12}", timestamp):
            raise Forged("its timestamp is no number")
        if abs(self._clock() - int(timestamp)) > _GOOD_FOR_SECONDS:
            raise Forged("its timestamp is more than five minutes off; is the clock right?")
        wanted = "v0=" + hmac.new(self._secret, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace")):
            raise Forged("its signature is wrong; is SLACK_SIGNING_SECRET this app's?")
        self._forget_old()
        if signature in self._seen or signature in self._open:
            raise Forged("it came before")
        self._open.add(signature)

    def refused(self, signature: str) -> None:
        """We could not take it: the same request may come again."""
        self._open.discard(signature)

    def answered(self, signature: str) -> None:
        """From now on the same request is a replay."""
        self._open.discard(signature)
        self._seen[signature] = self._clock()
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)

    def _forget_old(self) -> None:
        # A signature may be five minutes ahead of our clock, and is good until five minutes after it.
        while self._seen and next(iter(self._seen.values())) < self._clock() - 2 * _GOOD_FOR_SECONDS:
            self._seen.popitem(last=False)


class Webhook:
    """The handler of the one route."""

    def __init__(self, signatures: Signatures, handle: Handle) -> None:
        self._signatures = signatures
        self._handle = handle
        self._taking = True
        self._taken = Owned()
        self._told_at = -_WRONG_PATH_LOG_SECONDS

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    def stop(self) -> None:
        """Slack sends what comes now again, to the next start."""
        self._taking = False

    async def receive(self, request: web.Request) -> web.Response:
        if not self._taking:
            return _response(Answer(503, "CARE is shutting down"), retry_after=5)
        body = await request.read()
        signature = request.headers.get("X-Slack-Signature", "")
        try:
            self._signatures.check(request.headers.get("X-Slack-Request-Timestamp", ""), signature, body)
        except Forged as error:
            self._tell(str(error))
            return _response(Answer(401, "not a request of Slack's"))
        return _response(await self._taken.finish(self._signed(body, request.content_type, signature)))

    async def close(self) -> None:
        """What was accepted is done first."""
        await self._taken.close()

    async def _signed(self, body: bytes, content_type: str, signature: str) -> Answer:
        """To its end, whether its sender waits for it or hangs up."""
        answer = Answer(500)
        try:
            answer = await self._answer(body, content_type)
        finally:
            (self._signatures.answered if answer.status == 200 else self._signatures.refused)(signature)
        return answer

    async def _answer(self, body: bytes, content_type: str) -> Answer:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return Answer(400, "the body is not UTF-8")
        return _challenge(text) or await self._handle(Request(text, content_type))

    def _tell(self, reason: str) -> None:
        """Once a minute: whoever forges can send many."""
        if time.monotonic() - self._told_at >= _WRONG_PATH_LOG_SECONDS:
            self._told_at = time.monotonic()
            log.warning("refused a request that is not Slack's, or not new", extra={"reason": reason})


def _challenge(body: str) -> Answer | None:
    """Slack's question, when the address is entered in the app's settings, whether it is ours."""
    if '"url_verification"' not in body:
        return None
    asked = inside.parsed(body)
    if asked.get("type") != "url_verification":
        return None
    return Answer(200, str(asked.get("challenge", "")))


def _response(answer: Answer, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type, headers=headers)
