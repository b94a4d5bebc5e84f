"""Socket Mode: hello, envelopes over one of several sockets in turn, acknowledgements, disconnects."""

import asyncio
import json
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from tests.fakes.slack.outbox import Delivery, Outbox
from tests.fakes.slack.workspace import APP, Json, Workspace

MAX_SOCKETS = 10  # Slack's
_CLOSE_SECONDS = 1.0
LINGER_SECONDS = 10.0  # how long Slack leaves a socket open after `disconnect`


@dataclass
class Socket:
    """One connection of the app."""

    number: int
    request: web.Request
    response: web.WebSocketResponse
    outgoing: asyncio.Queue[str]
    leaving: bool = False  # told to disconnect: nothing more is sent on it


class Sockets:
    """Every open connection."""

    def __init__(self, workspace: Workspace, outbox: Outbox) -> None:
        self._workspace = workspace
        self._outbox = outbox
        self._sockets: list[Socket] = []
        self._tickets: set[str] = set()
        self._turn = 0
        self.connections = 0  # how many there have been
        self.linger_seconds = LINGER_SECONDS
        self._closing: set[asyncio.Task[bool]] = set()

    def __len__(self) -> int:
        return sum(not socket.leaving for socket in self._sockets)

    def ticket(self) -> str:
        """The part of a `wss` address that opens one connection."""
        ticket = self._workspace.new_id("ticket")
        self._tickets.add(ticket)
        return ticket

    def open(self) -> bool:
        """Whether there is a socket to send on."""
        return len(self) > 0

    def send(self, delivery: Delivery, envelope_id: str) -> None:
        """Sends one envelope on the next socket."""
        sockets = [socket for socket in self._sockets if not socket.leaving]
        self._turn += 1
        body: Json = {"envelope_id": envelope_id, "type": delivery.kind, "payload": delivery.payload}
        body["accepts_response_payload"] = delivery.kind != "events_api"
        if delivery.kind == "events_api":
            retried = delivery.attempts > 1
            body |= {"retry_attempt": delivery.attempts - 1, "retry_reason": delivery.retry_reason if retried else ""}
        sockets[self._turn % len(sockets)].outgoing.put_nowait(json.dumps(body))

    def disconnect(self, count: int | None = None, reason: str = "refresh_requested") -> None:
        """Asks the app to reconnect, on the oldest `count` sockets or all of them."""
        staying = [socket for socket in self._sockets if not socket.leaving]
        for socket in staying[:count]:
            socket.outgoing.put_nowait(json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "fake"}}))
            socket.leaving = True
            asyncio.get_running_loop().call_later(self.linger_seconds, self._close, socket)

    def drop(self) -> None:
        """Cuts every connection without a word."""
        for socket in list(self._sockets):
            socket.leaving = True
            _cut(socket)

    async def link(self, request: web.Request) -> web.StreamResponse:
        """The `wss` address that apps.connections.open gives."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=408, text="this address has been used, ask apps.connections.open for another")
        self._tickets.discard(ticket)
        if len(self._sockets) >= MAX_SOCKETS:
            return web.Response(status=429, text=f"an app may have {MAX_SOCKETS} sockets")
        response = web.WebSocketResponse(timeout=_CLOSE_SECONDS, max_msg_size=0)
        await response.prepare(request)
        self.connections += 1
        socket = Socket(self.connections, request, response, asyncio.Queue())
        self._sockets.append(socket)
        info = {
            "connection_info": {"app_id": APP},
            "num_connections": len(self),
            "debug_info": {"host": "fake", "approximate_connection_time": 18060},
        }
        await response.send_str(json.dumps({"type": "hello", **info}))
        sending = asyncio.create_task(self._write(socket))
        self._workspace.changed("socket", socket)
        self._outbox.flush()
        try:
            await self._read(socket)
        finally:
            sending.cancel()
            self._sockets.remove(socket)
            self._workspace.changed("socket", socket)
        return response

    def _close(self, socket: Socket) -> None:
        task = asyncio.create_task(socket.response.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _write(self, socket: Socket) -> None:
        while True:
            text = await socket.outgoing.get()
            try:
                await socket.response.send_str(text)
            except ConnectionError:
                return

    async def _read(self, socket: Socket) -> None:
        async for message in socket.response:
            if message.type is not WSMsgType.TEXT:
                continue
            body = json.loads(message.data)
            if "envelope_id" in body:
                self._outbox.acknowledge(body["envelope_id"], body.get("payload"))


def _cut(socket: Socket) -> None:
    if socket.request.transport is not None:
        socket.request.transport.abort()
