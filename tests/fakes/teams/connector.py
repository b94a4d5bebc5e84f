"""The connector's REST API: who calls, whether they may, and what it does to the world."""

import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.teams import cards
from tests.fakes.teams.refusals import TOO_LARGE, Page, Refused, stream_ended, too_many
from tests.fakes.teams.shapes import check_activity, stream_info
from tests.fakes.teams.world import BOT_ID, CARD, Chat, Json, Message, personal

if TYPE_CHECKING:
    from tests.fakes.teams.fake import FakeTeams

BASE = "/emea/{tenant}/v3/conversations"
RATES = ((1.0, 7), (3600.0, 1800))  # seconds → sends in one conversation
DOCUMENTED_RATES = ((1.0, 7), (2.0, 8), (30.0, 60), (3600.0, 1800))  # what Microsoft's page on rate limits says
MAX_BYTES = 40 * 1024  # of a request; what Teams takes as 28 KB of message


@dataclass(frozen=True)
class Call:
    """One call of the app, and how it was answered."""

    kind: str
    place: str
    body: Json
    at: float  # FakeTeams.clock()
    status: int
    code: str | None = None  # of a refusal
    message: str | None = None  # its words


Handler = Callable[[web.Request, Json], Awaitable[tuple[int, Json]]]


class Connector:
    """POST, PUT, DELETE of activities; new conversations; members."""

    def __init__(self, teams: "FakeTeams") -> None:
        self._teams = teams
        self.calls: list[Call] = []
        self.rates = RATES
        self.max_bytes = MAX_BYTES
        self.largest = 0  # bytes of the largest request so far
        self._sends: dict[str, deque[float]] = defaultdict(deque)

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        one = f"{BASE}/{{place}}/activities/{{id}}"
        return [
            web.post(BASE, self._way(self._converse, "conversation")),
            web.post(f"{BASE}/{{place}}/activities", self._way(self._send)),
            web.post(one, self._way(self._send)),
            web.put(one, self._way(self._update, "update")),
            web.delete(one, self._way(self._delete, "delete")),
            web.get(f"{BASE}/{{place}}/members/{{member}}", self._way(self._member, "members")),
            web.get(f"{BASE}/{{place}}/members", self._way(self._members, "members")),
            web.get(f"{BASE}/{{place}}/pagedmembers", self._way(self._paged, "members")),
        ]

    def called(self, kind: str) -> list[Call]:
        """Calls of one kind that were carried out."""
        return [call for call in self.calls if call.kind == kind and call.status < 300]

    def _way(self, handler: Handler, kind: str | None = None) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body: Json = {}
            name, place = kind or "create", request.match_info.get("place", "")
            status, refusal = 500, None
            try:
                self._teams.login.check(request.headers.get("Authorization", ""))
                body = await self._read(request, place)
                name = kind or _send_kind(body)
                fault = await self._teams.faults.meet(name, request)
                self._count(name, place)
                status, answer = await handler(request, body)
                if (instead := self._teams.faults.after(fault, request)) is not None:
                    raise instead
                if fault is not None:
                    status, answer = 202, {}
                return web.json_response(answer, status=status)
            except Refused as error:
                refusal, status = error, error.status
                return refused(error)
            finally:
                code, message = (refusal.code, refusal.message) if refusal else (None, None)
                self.calls.append(Call(name, place, body, self._teams.clock(), status, code, message))
                self._teams.world.changed()

        return handle

    async def _read(self, request: web.Request, place: str) -> Json:
        if request.method in ("GET", "DELETE"):
            return {}
        raw = await request.read()
        self.largest = max(self.largest, len(raw))
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise Refused(400, "BadSyntax", "The body is no JSON") from error
        if not isinstance(body, dict):
            raise Refused(400, "BadSyntax", "The body is no object")
        if len(raw) > self.max_bytes:
            raise stream_ended(TOO_LARGE) if stream_info(body) else Refused(413, "MessageSizeTooBig", TOO_LARGE)
        return body

    def _count(self, kind: str, place: str) -> None:
        """Raises Refused when this is one send too many."""
        if kind not in ("create", "stream", "final", "update", "delete"):
            return
        sends, now = self._sends[place], self._teams.clock()
        for seconds, most in self.rates:
            recent = [at for at in sends if at > now - seconds] if len(sends) >= most else []
            if len(recent) >= most:
                raise too_many(max(1, round(recent[0] + seconds - now)))
        sends.append(now)
        while len(sends) > max((most for _, most in self.rates), default=0):
            sends.popleft()

    def _chat(self, place: str) -> Chat:
        chat = self._teams.world.find(place)
        if chat is None:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        if chat.id in self._teams.world.gone:
            raise Refused(403, self._teams.world.gone[chat.id], "The bot is not part of the conversation roster.")
        root = place.partition(";messageid=")[2]
        if root and (chat.kind != "channel" or root not in self._teams.world.log[chat.id]):
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        return chat

    async def _send(self, request: web.Request, body: Json) -> tuple[int, Json]:
        place = request.match_info["place"]
        chat = self._chat(place)
        activity = self._checked(body, chat, place)
        info = stream_info(activity)
        if info is None:
            return self._plain(chat, place, activity)
        if chat.kind != "personal":
            raise Refused(405, "MethodNotAllowed", "Streaming is available in one-on-one chats only")
        return self._streamed(chat, place, activity, info)

    def _checked(self, body: object, chat: Chat, place: str) -> Json:
        activity = check_activity(body, chat.kind, place)
        for attachment in activity.get("attachments") or []:
            if attachment["contentType"] == CARD:
                cards.check(attachment.get("content"))
        return activity

    def _plain(self, chat: Chat, place: str, activity: Json) -> tuple[int, Json]:
        if activity["type"] == "typing":
            self._teams.typed.append(place)
            return 202, {}
        if _makes_several(activity):
            text_alone = {name: value for name, value in activity.items() if name != "attachments"}
            rest = [{**activity, "text": "", "attachments": [each]} for each in activity["attachments"]]
            for each in [text_alone, *rest] if str(activity.get("text") or "").strip() else rest:
                self._post(chat, place, each)
            return 202, {}
        return 201, {"id": self._post(chat, place, activity).id}

    def _post(self, chat: Chat, place: str, activity: Json, streaming: bool = False) -> Message:
        new = self._teams.world.new_stream_id() if streaming else self._teams.world.new_id()
        if chat.kind == "channel" and ";" not in place:
            place = f"{place};messageid={new}"
        return self._teams.world.add(Message(new, chat, place, None, activity, self._teams.clock(), streaming))

    def _streamed(self, chat: Chat, place: str, activity: Json, info: Json) -> tuple[int, Json]:
        streams, text = self._teams.streams, str(activity.get("text") or "")
        if info.get("streamType") == "final":
            stream = streams.check_final(info, activity)
            streams.end(stream, "completed")
            self._teams.world.change(stream.message, activity)
            return 202, {}
        if activity["type"] != "typing":
            raise Refused(400, message="Streaming activities should be typing, or final")
        _check_plain(activity)
        if "streamId" not in info:
            streams.check_start(chat.id, info, text)
            message = self._post(chat, place, activity, streaming=True)
            streams.start(message, info)
            return 201, {"id": message.id}
        continued = streams.check_chunk(info, activity)
        if continued is None:
            reason = {
                "code": "ContentStreamSequenceOrderPreConditionFailed",
                "message": "PreCondition failed exception when processing streaming activity.",
            }
            return 202, {"error": reason}
        streams.chunk(continued, info, text)
        self._teams.world.change(continued.message, activity)
        return 202, {}

    def _own(self, request: web.Request) -> Message:
        place, wanted = request.match_info["place"], request.match_info["id"]
        message = self._teams.world.log[self._chat(place).id].get(wanted)
        if message is None or message.deleted or (";" in place and message.place != place):
            raise Refused(404, "ActivityNotFoundInConversation", "The activity was not found in the conversation.")
        if message.sender is not None:
            raise Refused(403, "Forbidden", "The activity is not the app's")
        return message

    async def _update(self, request: web.Request, body: Json) -> tuple[int, Json]:
        message = self._own(request)
        activity = self._checked(body, message.chat, message.place)
        if activity["type"] != "message" or stream_info(activity) is not None:
            raise Refused(400, "BadArgument", "An update is a message, and no part of a stream")
        if _makes_several(activity):
            raise Refused(400, "BadSyntax", "Activity resulted into multiple skype activities")
        self._teams.streams.check_update(message.id)
        message.updates += 1
        self._teams.world.change(message, activity)
        return 200, {"id": message.id}

    async def _delete(self, request: web.Request, body: Json) -> tuple[int, Json]:
        message = self._own(request)
        message.deleted, message.streaming = True, False
        return 200, {}

    async def _converse(self, request: web.Request, body: Json) -> tuple[int, Json]:
        bot = body.get("bot")
        if bot is not None and bot.get("id") != BOT_ID:
            raise Refused(400, "BadArgument", "bot.id is not the app's")
        data = body.get("channelData") or {}
        if wanted := (data.get("channel") or {}).get("id") or data.get("teamsChannelId"):
            chat = self._chat(wanted)
            if chat.kind != "channel" or body.get("activity") is None:
                raise Refused(400, "BadSyntax", "A new post needs a channel and an activity")
            message = self._post(chat, chat.id, self._checked(body["activity"], chat, chat.id))
            return 201, {"id": message.place, "activityId": message.id}
        return self._direct(
            body, (data.get("tenant") or {}).get("id") or body.get("tenantId") or body.get("tenantID")
        )  # Teams reads names in any case, the SDK writes this one

    def _direct(self, body: Json, tenant: str | None) -> tuple[int, Json]:
        members = body.get("members")
        if not isinstance(members, list) or len(members) != 1 or body.get("isGroup"):
            raise Refused(400, "BadSyntax", "A personal chat has one member")
        if tenant is None:
            raise Refused(400, "BadSyntax", "A personal chat needs a tenant")
        person = next((each for each in self._teams.people if members[0].get("id") in (each.id, each.aad_id)), None)
        if person is None or person.tenant != tenant:
            raise Refused(403, "BotNotInConversationRoster", "The bot is not installed for this user.")
        chat = self._teams.world.know(personal(person))
        return 201, {"id": self._chat(chat.id).id}

    async def _members(self, request: web.Request, body: Json) -> tuple[int, Json]:
        return 200, [_member(person) for person in self._chat(request.match_info["place"]).people]  # type: ignore[return-value]

    async def _paged(self, request: web.Request, body: Json) -> tuple[int, Json]:
        return 200, {"members": [_member(person) for person in self._chat(request.match_info["place"]).people]}

    async def _member(self, request: web.Request, body: Json) -> tuple[int, Json]:
        wanted = request.match_info["member"]
        for person in self._chat(request.match_info["place"]).people:
            if wanted in (person.id, person.aad_id):
                return 200, _member(person)
        raise Refused(404, "MemberNotFoundInConversation", "Member not found in conversation.")


def _makes_several(activity: Json) -> bool:
    """Of a text and cards, and of several cards, Teams makes a message each."""
    cards = len(activity.get("attachments") or [])
    return (cards > 0 and bool(str(activity.get("text") or "").strip())) or (cards > 1 and activity.get("attachmentLayout") != "carousel")


def refused(error: Refused) -> web.Response:
    """A refusal as a response."""
    if isinstance(error, Page):
        return web.Response(status=error.status, text="<html>Bad gateway</html>", content_type="text/html")
    return web.json_response(error.json(), status=error.status, headers=error.headers)


def _member(person: object) -> Json:
    account = person.json()  # type: ignore[attr-defined]
    return {**account, "objectId": account["aadObjectId"], "tenantId": person.tenant, "userRole": "user"}  # type: ignore[attr-defined]


def _send_kind(body: Json) -> str:
    info = stream_info(body) if isinstance(body.get("entities"), list) else None
    if info is None:
        return "create"
    return "final" if info.get("streamType") == "final" else "stream"


def _check_plain(activity: Json) -> None:
    """Labels, thumbs and attachments come with the end of a stream."""
    if activity.get("attachments") or activity.get("suggestedActions") or (activity.get("channelData") or {}).get("feedbackLoop"):
        raise Refused(400, message="Attachments, suggested actions and feedback are for the final message")
    if any("additionalType" in entity for entity in activity.get("entities") or []):
        raise Refused(400, message="The AI label is for the final message")
