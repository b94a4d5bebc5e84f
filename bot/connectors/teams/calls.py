"""How Teams is called: the SDK's client over one session of ours. Knows no activity's meaning.

What the SDK's own way out lacks is mended here: it drops keys of an activity that it does not know, sends through a shared thread pool,
has no deadline and follows redirects, with the token. Errors come back as what a caller decides on.
"""

import asyncio
import json
import logging
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any

import aiohttp
from botbuilder.schema import Activity, ConversationParameters
from botframework.connector.aio import ConnectorClient
from msrest.authentication import Authentication
from msrest.exceptions import ClientException
from msrest.pipeline import AsyncHTTPSender, AsyncPipeline, Request, Response
from msrest.universal_http import HTTPClientResponse
from yarl import URL

from bot.connectors import inside
from bot.connectors.teams.errors import Answer, Unreachable, decided
from bot.connectors.teams.http import CALL_SECONDS, Http, body_of
from bot.connectors.teams.tokens import Tokens

log = logging.getLogger(__name__)

_MOST_CLIENTS = 50  # Teams has a handful of service URLs

Json = Mapping[str, Any]


def _verbatim(of: type) -> type:
    """A model of the SDK that leaves as the JSON it was made of."""

    class Verbatim(of):  # type: ignore[misc]
        _attribute_map = {"additional_properties": {"key": "", "type": "{object}"}}  # noqa: RUF012  # as msrest wants it

        def __init__(self, content: Json) -> None:
            self.additional_properties = dict(content)

    return Verbatim


_Activity, _Parameters = _verbatim(Activity), _verbatim(ConversationParameters)


class Calls:
    """Calls as one app; `tokens` None: as nobody, for development."""

    def __init__(self, http: Http, tokens: Tokens | None) -> None:
        self._sender = _Sender(http, tokens)
        self._clients: OrderedDict[str, ConnectorClient] = OrderedDict()

    async def post(self, url: str, place: str, activity: Json) -> str:
        """The new message's id, "" where Teams gives none. All raise TeamsError."""
        done = await self._call("post", self._conversations(url).send_to_conversation(place, _Activity(activity)))
        return str(getattr(done, "id", None) or "")

    async def update(self, url: str, place: str, message_id: str, activity: Json) -> None:
        await self._call("update", self._conversations(url).update_activity(place, message_id, _Activity(activity)))

    async def delete(self, url: str, place: str, message_id: str) -> None:
        await self._call("delete", self._conversations(url).delete_activity(place, message_id))

    async def create(self, url: str, parameters: Json) -> tuple[str, str]:
        """A new conversation: its id, and that of the message it begins with ("" without one)."""
        done = await self._call("begin a conversation", self._conversations(url).create_conversation(_Parameters(parameters)))
        return str(getattr(done, "id", None) or ""), str(getattr(done, "activity_id", None) or "")

    def _conversations(self, url: str) -> Any:
        client = self._clients.pop(url, None)
        if client is None:
            client = ConnectorClient(
                Authentication(), url, pipeline_type=lambda config: AsyncPipeline([config.user_agent_policy], self._sender)
            )
        self._clients[url] = client
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return client.conversations

    async def _call(self, what: str, call: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await call
        except _NotDone as error:
            raise decided(what, error.answer) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ssl.SSLError) as error:
            raise Unreachable(f"Teams can't be reached ({type(error).__name__}, {what})", sent=False) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ClientException) as error:
            raise Unreachable(f"Teams did not answer ({type(error).__name__}, {what})", sent=True) from None


class _NotDone(Exception):
    """An answer that is no success; the SDK would make one exception of all."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class _Sender(AsyncHTTPSender):  # type: ignore[misc]  # the SDK has no types
    """A request of the SDK's over our session."""

    def __init__(self, http: Http, tokens: Tokens | None) -> None:
        self._http = http
        self._tokens = tokens

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The session is the api's."""

    async def send(self, request: Request, **config: Any) -> Response:
        wanted = request.http_request
        answer = await self._once(wanted)
        if answer.status == 401 and self._tokens is not None and self._tokens.refused():
            answer = await self._once(wanted)  # it was not done, and there is another token
        if not 200 <= answer.status < 300:
            raise _NotDone(answer)
        return Response(request, _Read(wanted, answer))

    async def _once(self, wanted: Any) -> Answer:
        headers = dict(wanted.headers)
        if self._tokens is not None:
            headers["Authorization"] = f"Bearer {await self._tokens.get()}"
        data = wanted.data.encode() if isinstance(wanted.data, str) else wanted.data
        url = URL(wanted.url, encoded=True)
        async with self._http().request(wanted.method, url, data=data, headers=headers, allow_redirects=False) as answered:
            return Answer(answered.status, await body_of(answered), answered.headers)


class _Read(HTTPClientResponse):  # type: ignore[misc]  # the SDK has no types
    """A success, with what the SDK may make of it: the ids."""

    def __init__(self, request: object, answer: Answer) -> None:
        super().__init__(request, None)
        self.status_code = answer.status
        self.headers = {"content-type": "application/json"}
        self._body = json.dumps(_ids(answer.body)).encode()

    def body(self) -> bytes:
        return self._body


def _ids(body: bytes) -> dict[str, str]:
    given = inside.parsed(body)
    return {name: given[name] for name in ("id", "activityId") if isinstance(given.get(name), str)}
