"""The local page: conversations, streaming, stop, ratings, delete. Serves the static files and the page's own API."""

import re
import time
from functools import lru_cache
from pathlib import Path

from aiohttp import web

from bot.connectors.base import ReaderLeft
from bot.connectors.web.errors import BadRequest, read_json
from bot.connectors.web.events import EventStream
from bot.connectors.web.feed import Feed
from bot.connectors.web.fields import AskBody, LearningBody, RatingBody, parse
from bot.connectors.web.markdown import Markdown
from bot.domains import Domains
from bot.service import Service
from bot.turns import Question, Rating, Turn, new_id, now
from model.engine import Engine
from model.errors import NotReady

PLATFORM = "web"
USER_COOKIE = "care_user"
STATIC = Path(__file__).with_name("static")
_USER_SECONDS = 365 * 24 * 3600
# How often a growing answer is rendered again; between two of these its text goes out as it is.
_RENDER_SECONDS = 0.25


class Page:
    """The handlers of the local page."""

    def __init__(self, service: Service, engine: Engine, domains: Domains) -> None:
        self._service = service
        self._engine = engine
        self._domains = domains
        self._html = lru_cache(maxsize=4096)(Markdown().html)  # pages ask for whole conversations again and again

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/", self.index),
            web.get("/login", self.login_form),
            web.static("/static", STATIC),
            web.get("/api/me", self.me),
            web.put("/api/me/learning", self.learning),
            web.get("/api/notices", self.notices),
            web.post("/api/notices/{notice}/seen", self.notice_seen),
            web.get("/api/conversations", self.conversations),
            web.get("/api/conversations/{conversation}", self.conversation),
            web.delete("/api/conversations/{conversation}", self.delete),
            web.post("/api/conversations/{conversation}/turns", self.ask),
            web.post("/api/turns/{turn}/stop", self.stop),
            web.post("/api/ratings", self.rate),
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def login_form(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "login.html")

    async def me(self, request: web.Request) -> web.Response:
        """Who the browser is, known by a cookie from its first visit on."""
        user_id = _known_user(request) or new_id()
        status = self._engine.status()
        response = web.json_response(
            {
                "user_id": user_id,
                "notice": self._domains.notice,
                "model": self._engine.name,
                "ready": status.state == "ready",
                "learning": await self._service.learns_from(PLATFORM, user_id),
            }
        )
        response.set_cookie(USER_COOKIE, user_id, max_age=_USER_SECONDS, httponly=True, samesite="Strict")
        return response

    async def learning(self, request: web.Request) -> web.Response:
        """Takes the browser's person out of the learning, or in again."""
        body = parse(LearningBody, await read_json(request))
        change = self._service.opt_in if body.allowed else self._service.opt_out
        await change(PLATFORM, user_of(request))
        return web.json_response({"learning": body.allowed})

    async def notices(self, request: web.Request) -> web.Response:
        """What this person has not been told yet."""
        listed = await self._service.notices(PLATFORM, user_of(request))
        return web.json_response({"notices": [{"id": each.id, "kind": each.kind, "text": each.text} for each in listed]})

    async def notice_seen(self, request: web.Request) -> web.Response:
        await self._service.notices_sent(PLATFORM, user_of(request), [request.match_info["notice"]])
        return web.json_response({"seen": True})

    async def conversations(self, request: web.Request) -> web.Response:
        heads = await self._service.conversations(PLATFORM, user_of(request))
        listed = [{"id": head.id, "title": head.title, "updated_at": head.updated_at.isoformat()} for head in heads]
        return web.json_response({"conversations": listed})

    async def conversation(self, request: web.Request) -> web.Response:
        found = await self._service.conversation(PLATFORM, _conversation_id(request), user_of(request))
        await self._service.fetched(found.turns)
        return web.json_response({"id": found.id, "turns": [self._turn(turn) for turn in found.turns]})

    async def delete(self, request: web.Request) -> web.Response:
        gone = await self._service.delete_conversation(PLATFORM, _conversation_id(request), user_of(request))
        return web.json_response({"deleted": gone})

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """The question's receipt as soon as it is committed, then its answer as it comes."""
        body = parse(AskBody, await read_json(request))
        user_id = user_of(request)
        question = Question(
            platform=PLATFORM,
            event_id=f"{user_id}:{body.id}",
            conversation_id=_conversation_id(request),
            user_id=user_id,
            text=body.text,
            asked_at=now(),
            replaces=body.replaces,
        )
        with Feed() as feed:
            turn, fresh = await self._service.admit(question, feed)
            try:
                return await self._stream(request, turn, feed if fresh else None)
            finally:
                if fresh and feed.acknowledged:
                    self._service.cancel(turn.id)  # no longer read; without effect once it is stored

    async def _stream(self, request: web.Request, turn: Turn, feed: Feed | None) -> web.StreamResponse:
        """`feed` is None for a question sent twice: it is answered elsewhere, and its end is shown here."""
        stream = EventStream(request)
        try:
            await stream.open()
            await stream.send(self._turn(turn), "turn")
            if feed is None:
                await stream.send(self._turn(await self._service.wait(turn.id)), "done")
            else:
                feed.acknowledged = True
                await self._follow(stream, feed)
        except (ReaderLeft, NotReady):
            pass  # nobody to tell, or the page asks again until the answer is there
        return stream.response

    async def _follow(self, stream: EventStream, feed: Feed) -> None:
        text, rendered_at = "", 0.0
        async for item in feed:
            if isinstance(item, Turn):
                await stream.send(self._turn(item), "done")
                feed.arrived()
            elif not item:
                await stream.keep_alive()
            else:
                text += item
                await stream.send({"text": item}, "piece")
                if time.monotonic() - rendered_at >= _RENDER_SECONDS:
                    await stream.send({"html": self._html(text)}, "html")
                    rendered_at = time.monotonic()

    async def stop(self, request: web.Request) -> web.Response:
        turn = await self._service.turn(request.match_info["turn"])
        if turn.question.user_id != user_of(request):
            raise BadRequest(403, "this answer belongs to somebody else", code="forbidden")
        return web.json_response({"stopped": self._service.cancel(turn.id)})

    async def rate(self, request: web.Request) -> web.Response:
        """POST /api/ratings, for the page and for callers of /v1 alike."""
        body = parse(RatingBody, await read_json(request))
        rating = Rating(body.turn_id, body.user_id, body.verdict, now(), body.reason or None, body.correction or None)
        await self._service.rate(rating)
        return web.json_response({"turn_id": body.turn_id, "user_id": body.user_id, "verdict": body.verdict})

    def _turn(self, turn: Turn) -> dict[str, object]:
        answer = turn.reply.text if turn.reply is not None else ""
        rating = turn.rating
        return {
            "id": turn.id,
            "question": turn.question.text,
            "answer": answer,
            "html": self._html(answer),
            "status": turn.status.value,
            "asked_at": turn.question.asked_at.isoformat(),
            "answered_at": turn.reply.answered_at.isoformat() if turn.reply is not None else None,
            "domain": turn.domain,
            "lora_id": turn.reply.lora_id if turn.reply is not None else None,
            "replaces": turn.question.replaces,
            "error": turn.reply.error if turn.reply is not None else None,
            "rating": {"verdict": rating.verdict, "reason": rating.reason, "correction": rating.correction} if rating is not None else None,
        }


def _known_user(request: web.Request) -> str | None:
    user_id = request.cookies.get(USER_COOKIE, "")
    return user_id if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", user_id) else None


def user_of(request: web.Request) -> str:
    """Who the browser is. Raises BadRequest for one that has not been here yet."""
    user_id = _known_user(request)
    if user_id is None:
        raise BadRequest(401, "the browser is not known yet; ask GET /api/me first and keep its cookie", code="unknown_user")
    return user_id


def _conversation_id(request: web.Request) -> str:
    conversation_id = request.match_info["conversation"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", conversation_id):
        raise BadRequest(422, f"{conversation_id[:80]!r} is no conversation id; use letters, digits, - and _", code="invalid_value")
    return conversation_id
