"""FakeSlack: a workspace with one app, served on 127.0.0.1. Puts the parts together and adds waiting and revoking."""

import asyncio
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TypeVar

from aiohttp import web

from tests.fakes.slack import events
from tests.fakes.slack.api import Api, Call
from tests.fakes.slack.doors import Doors
from tests.fakes.slack.faults import Faults
from tests.fakes.slack.http_events import HttpEvents
from tests.fakes.slack.interactions import Interactions
from tests.fakes.slack.outbox import Delivery, Outbox
from tests.fakes.slack.page import Page
from tests.fakes.slack.people import People
from tests.fakes.slack.refusals import Refused
from tests.fakes.slack.sockets import Sockets
from tests.fakes.slack.workspace import ADA, BOT_USER, EVE, GRACE, LINUS, Json, Message, Workspace

T = TypeVar("T")

STREAM_SECONDS = 300.0  # after which Slack lets a stream die
STATUS_SECONDS = 120.0  # after which it clears a status line
SCOPES = frozenset(
    {
        *(scope for scope in events.SCOPES.values() if scope),
        *("chat:write", "im:read", "im:write", "groups:read", "users:read", "reactions:write", "files:write", "commands", "team:read"),
    }
)
_RECHECK_SECONDS = 0.02
_CONDITION_SHARE = 9  # a condition that takes long is asked less often: a tenth of the time at most
_MOST_PAUSE = 0.2  # but not for long: what looked slow may have been the machine
_MAX_FILE = 32 * 1024 * 1024


class FakeSlack(People, Interactions):
    """An async context manager. `scopes` and `events` are what the app was installed with; all of them by default."""

    def __init__(self, *, scopes: Iterable[str] = SCOPES, events: Iterable[str] | None = None, port: int = 0) -> None:
        super().__init__()
        self.bot_token, self.app_token, self.signing_secret = "xoxb-fake-bot", "xapp-1-fake-app", "fake-signing-secret"
        self.scopes = set(scopes)
        self.events = set(_all_events() if events is None else events)
        self.revoked_tokens: set[str] = set()
        self.workspace = Workspace()
        self.faults = Faults()
        self.outbox = Outbox()
        self.sockets = Sockets(self.workspace, self.outbox)
        self.outbox.way = self.sockets
        self.api = Api(self)
        self.clock = time.monotonic
        self.stream_seconds = STREAM_SECONDS
        self.status_seconds = STATUS_SECONDS
        self.users = SimpleNamespace(ada=ADA, grace=GRACE, linus=LINUS, eve=EVE)
        self.uploads: dict[str, Json] = {}
        self.http: HttpEvents | None = None
        self.host, self.port = "127.0.0.1", port
        self.closing = False
        self._news = asyncio.Event()
        self.outbox.changed = lambda: self.workspace.changed("ack", None)
        self.workspace.listeners.append(lambda kind, thing: self._news.set())

    @classmethod
    def installed(cls, manifest: Json, *, port: int = 0) -> "FakeSlack":
        """A workspace in which the app has exactly what its manifest asks for."""
        settings, features = manifest["settings"], manifest["features"]
        slack = cls(scopes=manifest["oauth_config"]["scopes"]["bot"], events=settings["event_subscriptions"]["bot_events"], port=port)
        slack.commands = {command["command"] for command in features.get("slash_commands", [])}
        slack.shortcut_names = {shortcut["callback_id"]: shortcut["name"] for shortcut in features.get("shortcuts", [])}
        slack.shortcuts = set(slack.shortcut_names)
        slack.interactivity = settings.get("interactivity", {}).get("is_enabled", False)
        return slack

    async def __aenter__(self) -> "FakeSlack":
        app = web.Application(client_max_size=_MAX_FILE)
        app.router.add_route("*", "/api/{method}", self.api.handle)
        app.router.add_get("/link", self.sockets.link)
        app.add_routes(Doors(self).routes())
        app.add_routes(Page(self).routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing = True
        self.outbox.close()
        if self.http is not None:
            await self.http.close()
        self.sockets.drop()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    @property
    def api_url(self) -> str:
        """For `SLACK_API_URL` or AsyncWebClient's `base_url`."""
        return f"{self.url}/api/"

    def deliver_to(self, url: str) -> None:
        """From now on events go to this address, signed, instead of to sockets."""
        self.http = HttpEvents(self.outbox, url, self.signing_secret)
        self.outbox.way = self.http
        self.outbox.flush()

    # What happened

    @property
    def calls(self) -> list[Call]:
        """Every call of the app so far."""
        return self.api.calls

    def called(self, method: str) -> list[Call]:
        """Every call of one method that was carried out."""
        return [call for call in self.api.calls if call.method == method and call.error is None]

    def dm(self, user: str) -> str:
        """The id of a person's DM with the app."""
        return self.workspace.dm(user).id

    def messages(self, channel: str) -> list[Message]:
        """All of a channel, threads included, the oldest first."""
        return self.workspace.messages(channel)

    def replies(self, said: Message) -> list[Message]:
        """What the app wrote into the thread of a message."""
        return [
            message for message in self.workspace.thread(said.channel, said.root) if message.user == self.app_user and message is not said
        ]

    def answers(self, said: Message) -> list[Message]:
        """The app's finished messages in the thread of a message."""
        return [message for message in self.replies(said) if not message.streaming]

    @property
    def ephemerals(self) -> list[Message]:
        """What only one person could see."""
        return [message for message in self.workspace.ephemerals if not message.deleted]

    @property
    def app_user(self) -> str:
        """The app's own user."""
        return BOT_USER

    def open_view(self, user: str) -> object | None:
        """The modal that a person has open, the topmost."""
        return next((view for view in reversed(self.views) if view.open and view.user == user), None)

    async def until(self, condition: Callable[[], T], seconds: float = 60.0) -> T:
        """What `condition` gives once it is true. Asked again whenever something happens here. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            self._news.clear()
            began = time.monotonic()
            if found := condition():
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not so within {seconds} s; {self._state()}")
            await asyncio.sleep(min((time.monotonic() - began) * _CONDITION_SHARE, _MOST_PAUSE))
            try:
                await asyncio.wait_for(self._news.wait(), min(left, _RECHECK_SECONDS))
            except TimeoutError:
                continue  # the condition may look at something that is not ours

    async def connected(self, sockets: int = 1, seconds: float = 60.0) -> None:
        """Returns once the app has so many sockets."""
        await self.until(lambda: len(self.sockets) >= sockets, seconds)

    async def settled(self, seconds: float = 60.0) -> None:
        """Returns once everything told is acknowledged or given up, and nothing is on its way a second time."""
        await self.until(self.outbox.settled, seconds)

    # What goes wrong

    def revoke(self) -> None:
        """The app is uninstalled: its token is worth nothing, it is told so."""
        self.revoked_tokens.add(self.bot_token)
        self.tell_event({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [BOT_USER]}})
        self.tell_event({"type": "app_uninstalled"})

    def expire_streams(self) -> None:
        """Every running stream dies now."""
        for channel in self.workspace.channels:
            for message in self.messages(channel):
                message.stream_expired = message.streaming

    def expired(self, said: Message) -> bool:
        """Whether a stream can't be written to any more."""
        return said.stream_expired or self.clock() - said.stream_since > self.stream_seconds

    def disconnect(self, count: int | None = None) -> None:
        """Asks the app to reconnect its oldest sockets, or all."""
        self.sockets.disconnect(count)

    def require_scope(self, *scopes: str) -> None:
        """Raises Refused unless the app has one of these."""
        if not self.scopes.intersection(scopes):
            raise Refused("missing_scope", needed=scopes[0], provided=",".join(sorted(self.scopes)))

    def tell_event(self, event: Json) -> Delivery | None:
        """An event, if the app has subscribed to it."""
        return self._tell(event)

    def _state(self) -> str:
        calls = [f"{call.method}{f' → {call.error}' if call.error else ''}" for call in self.calls[-8:]]
        waiting = sum(not delivery.acked for delivery in self.outbox.sent)
        return f"{len(self.outbox.sent)} told, {waiting} not acknowledged, {len(self.sockets)} sockets, last calls: {', '.join(calls)}"


def _all_events() -> set[str]:
    return set(events.SCOPES)
