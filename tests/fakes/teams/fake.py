"""FakeTeams: a tenant with one app, served on 127.0.0.1. Puts the parts together and adds waiting."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from tests.fakes.teams.connector import Call, Connector, refused
from tests.fakes.teams.faults import Faults
from tests.fakes.teams.files import Files
from tests.fakes.teams.interactions import Interactions
from tests.fakes.teams.keys import OPENID_PATH, Keys
from tests.fakes.teams.load import Crowd, Flood
from tests.fakes.teams.login import Login
from tests.fakes.teams.outbox import Outbox
from tests.fakes.teams.refusals import Refused
from tests.fakes.teams.streams import Streams
from tests.fakes.teams.world import ADMINS, APP_ID, EXPERTS, PEOPLE, STRANGER, TENANT, Chat, Json, Message, World

T = TypeVar("T")

_RECHECK_SECONDS = 0.02
_CONDITION_SHARE = 9  # a condition that takes long is asked less often: a tenth of the time at most
_MOST_PAUSE = 0.2  # but not for long: what looked slow may have been the machine
_MAX_BODY = 4 * 1024 * 1024


class FakeTeams(Interactions):
    """An async context manager."""

    def __init__(self, *, port: int = 0) -> None:
        self.app_id, self.tenant = APP_ID, TENANT
        self.people = [*PEOPLE, STRANGER]
        self.host, self.port = "127.0.0.1", port
        self.now: Callable[[], float] = time.monotonic
        self.world = World()
        self.faults = Faults()
        self.outbox = Outbox()
        self.keys = Keys(self)
        self.login = Login(self)
        self.streams = Streams(self.clock)
        self.connector = Connector(self)
        self.file_server = Files(self)
        self.typed: list[str] = []  # places where the app showed that it types
        self._news = asyncio.Event()
        self.world.listeners.append(self._news.set)
        self.outbox.changed = self._news.set

    async def __aenter__(self) -> "FakeTeams":
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[_mend])
        for part in (self.connector, self.keys, self.login, self.file_server):
            app.add_routes(part.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.outbox.close()
        await self._runner.cleanup()

    def clock(self) -> float:
        """Monotonic seconds; a test may set `now`."""
        return self.now()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    @property
    def service_url(self) -> str:
        """The `serviceUrl` of activities."""
        return f"{self.url}/emea/{self.tenant}/"

    @property
    def password(self) -> str:
        """The app's client secret."""
        return self.login.password

    def settings(self) -> Json:
        """What CARE's settings are in this tenant, by field name."""
        return {
            "teams_app_id": self.app_id,
            "teams_app_password": self.password,
            "teams_tenant_id": self.tenant,
            "teams_openid_url": f"{self.url}{OPENID_PATH}",
            "teams_login_url": f"{self.url}/login/",
            "teams_service_hosts": (self.host,),
            "teams_handover_channel": EXPERTS.id,
            "teams_admin_channel": ADMINS.id,
        }

    def deliver_to(self, url: str) -> None:
        """CARE's `/api/messages`."""
        self.outbox.deliver_to(url)

    async def post_raw(self, body: bytes | str | object, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Any request to CARE's address, without a token unless `headers` has one: what is no bytes or text is sent as JSON."""
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return await self.outbox.post(raw, {"Content-Type": "application/json", **(headers or {})})

    def token(self, *, key: str = "teams-key", kid: str | None = None, algorithm: str = "RS256", **claims: object) -> str:
        """A token for `tell` or `bearer`; see `Keys.token`. `key="unknown-key"` is published nowhere."""
        return self.keys.token(key=key, kid=kid, algorithm=algorithm, **claims)

    def bearer(self, token: str | None = None) -> dict[str, str]:
        """Headers with a token, a good one unless one is given."""
        return {"Authorization": f"Bearer {token or self.keys.kept(self.service_url)}"}

    async def flood(self, count: int, per_second: float, duplicates: float = 0.05) -> Flood:
        """Many people ask; see `load`. `Flood.asked` are the questions, each another one."""
        return await Crowd(self).flood(count, per_second, duplicates)

    # What happened

    @property
    def calls(self) -> list[Call]:
        """Every call of the app so far."""
        return self.connector.calls

    def called(self, kind: str) -> list[Call]:
        """Calls of one kind (see `faults`) that were carried out."""
        return self.connector.called(kind)

    def messages(self, chat: Chat) -> list[Message]:
        """All that stands in a chat, the oldest first."""
        return self.world.messages(chat)

    def replies(self, asked: Message) -> list[Message]:
        """What the app wrote after a message, in the same chat or thread; unless it says that it answers another one."""
        log = self.world.log[asked.chat.id]
        found = [
            each for each in self.world.messages(asked.chat) if each.sender is None and each.place == asked.place and each.at >= asked.at
        ]
        return [each for each in found if each.activity.get("replyToId") not in log or each.activity["replyToId"] == asked.id]

    def answers(self, asked: Message) -> list[Message]:
        """Those of them to which nothing is to come; see `Message.final`."""
        return [message for message in self.replies(asked) if message.final]

    def posts(self, chat: Chat) -> list[Message]:
        """What the app wrote into a chat or channel, the oldest first."""
        return [message for message in self.world.messages(chat) if message.sender is None]

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

    async def settled(self, seconds: float = 60.0) -> None:
        """Returns once everything told is answered or given up."""
        await self.until(self.outbox.settled, seconds)

    def _state(self) -> str:
        calls = [f"{call.kind} {call.status}{f' {call.code}: {call.message}' if call.code else ''}" for call in self.calls[-8:]]
        statuses = [f"{told.activity.get('type')} {told.status}" for told in self.outbox.sent[-8:]]
        return f"last told: {', '.join(statuses)}; last calls: {', '.join(calls)}"


@web.middleware
async def _mend(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
    """Refusals of the key and login server."""
    try:
        return await handler(request)  # type: ignore[misc,no-any-return]
    except Refused as error:
        return refused(error)
