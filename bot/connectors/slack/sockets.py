"""Socket Mode: connections that Slack's events come in by. Knows no event.

Our own, because slack_sdk's acknowledges on whichever socket is newest, closes the old one before the new one stands, tries
again for ever at one pace and logs addresses with tickets in them. An envelope is acknowledged on the socket it came by, once
`handle` says what to answer; one that it raises for is not, so that Slack sends it again.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.connectors import inside
from bot.connectors.slack.api import SlackApi
from bot.connectors.slack.errors import SlackError

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_HELLO_SECONDS = 10.0
_HEARTBEAT_SECONDS = 10.0
_SEND_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_SETTLED_SECONDS = 1.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_OLD_SOCKET_SECONDS = 10.0  # Slack closes a socket about so long after it has said `disconnect`


@dataclass(frozen=True, slots=True)
class Envelope:
    """What Slack sent, and what it wants to hear of."""

    id: str
    payload: dict[str, Any]


# What to answer: None is a bare acknowledgement. Raises when Slack shall send it again.
Handle = Callable[[Envelope], Awaitable[dict[str, Any] | None]]


class Sockets:
    """Keeps `count` sockets open until it is stopped."""

    def __init__(self, api: SlackApi, app_token: str, count: int, handle: Handle) -> None:
        self._api = api
        self._app_token = app_token
        self._count = count
        self._handle = handle
        self._keepers: list[asyncio.Task[None]] = []
        self._readers: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._up = 0
        self._told_down = False
        self._stopping = False

    def start(self) -> None:
        self._keepers = [asyncio.create_task(self._keep(), name=f"slack socket {number}") for number in range(self._count)]

    async def stop(self) -> None:
        """Takes nothing new; returns once what came before is handled and acknowledged, or its time is up."""
        self._stopping = True
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._handling:
            await asyncio.wait(self._handling, timeout=_SEND_SECONDS)
        for task in [*self._readers, *self._handling]:
            task.cancel()
        await asyncio.gather(*self._readers, *self._handling, return_exceptions=True)

    async def _keep(self) -> None:
        """One socket after the other: the next one stands before the last one goes."""
        pause = _FIRST_PAUSE
        while True:
            try:
                leaving = await self._connect()
            except (SlackError, aiohttp.ClientError, OSError, TimeoutError) as error:
                self._tell_down(error)
            else:
                if await _stood(leaving):
                    pause = _FIRST_PAUSE
                    continue
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not all sockets at once
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _tell_down(self, error: Exception) -> None:
        """Once for an outage."""
        if self._up == 0 and not self._told_down:
            self._told_down = True
            reason = str(error) if isinstance(error, SlackError) else type(error).__name__
            log.warning("no socket to Slack; trying again", extra={"error": reason})

    async def _connect(self) -> asyncio.Event:
        """Opens a socket and reads it; the event is set when another one is wanted."""
        url = await self._api.socket_url(self._app_token)
        async with asyncio.timeout(_CONNECT_SECONDS):
            socket = await self._api.http().ws_connect(
                url, heartbeat=_HEARTBEAT_SECONDS, timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS)
            )
        leaving = asyncio.Event()
        reader = asyncio.create_task(self._read(socket, leaving))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return leaving

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, leaving: asyncio.Event) -> None:
        self._up += 1
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(socket, message.data, leaving)
        except asyncio.CancelledError:
            raise
        except Exception:  # the edge of a socket: another one is opened
            log.exception("a socket to Slack broke")
        finally:
            self._up -= 1
            leaving.set()
            await socket.close()

    def _take(self, socket: aiohttp.ClientWebSocketResponse, text: str, leaving: asyncio.Event) -> None:
        frame = inside.parsed(text)
        kind = frame.get("type")
        if kind == "disconnect":
            leaving.set()
            reader = asyncio.current_task()
            if reader is not None:  # Slack closes it itself, or we do
                asyncio.get_running_loop().call_later(_OLD_SOCKET_SECONDS, reader.cancel)
        elif kind == "hello":
            if self._told_down:
                log.info("connected to Slack again")
            self._told_down = False
        elif isinstance(frame.get("envelope_id"), str) and not self._stopping:
            payload = frame.get("payload")
            task = asyncio.create_task(self._answer(socket, Envelope(frame["envelope_id"], payload if isinstance(payload, dict) else {})))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        try:
            payload = await self._handle(envelope)
        except Exception as error:  # noqa: BLE001 - the edge of an event; who raised it has logged it
            log.warning("an event was not acknowledged; Slack sends it again", extra={"error": type(error).__name__})
            return
        answer = {"envelope_id": envelope.id} if payload is None else {"envelope_id": envelope.id, "payload": payload}
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await socket.send_json(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError):
            log.info("an acknowledgement did not get through; Slack sends the event again")


async def _stood(leaving: asyncio.Event) -> bool:
    """Returns when another socket is wanted; False if this one hardly lived."""
    begun = asyncio.get_running_loop().time()
    await leaving.wait()
    return asyncio.get_running_loop().time() - begun > _SETTLED_SECONDS
