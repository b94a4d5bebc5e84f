"""/ops/review: the page on which somebody decides what CARE may learn. Knows the service, no SQL and no curation."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import BeforeValidator, StringConstraints

from bot.connectors.web.errors import read_json
from bot.connectors.web.fields import Body, Name, Text, parse
from bot.connectors.web.page import PLATFORM, STATIC, user_of
from bot.reviews import Review
from bot.service import Service
from bot.turns import now


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


class ReviewBody(Body):
    """POST /api/reviews/{turn}"""

    sha256: Name
    decision: Literal["approved", "edited", "rejected"]
    edited: Annotated[Text, BeforeValidator(_stripped), StringConstraints(min_length=1, max_length=4_000)] | None = None


class Reviews:
    """The handlers of the review page. Whoever the browser is, they review as "web:<their id>"."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ops/review", self.page),
            web.get("/api/reviews", self.waiting),
            web.post("/api/reviews/{turn}", self.decide),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "review.html")

    async def waiting(self, request: web.Request) -> web.Response:
        """What waits, and whether this person may decide on it."""
        reviewer = f"{PLATFORM}:{user_of(request)}"
        listed = [
            {
                "turn_id": each.turn_id,
                "sha256": each.sha256,
                "domain": each.domain,
                "instruction": each.instruction,
                "input": each.input,
                "response": each.response,
                "source": each.source,
                "why": each.why,
                "bad": each.bad,
                "corrects": each.corrects,
                "own": reviewer in each.people,
            }
            for each in await self._service.waiting_reviews()
        ]
        return web.json_response({"reviewer": reviewer, "waiting": listed})

    async def decide(self, request: web.Request) -> web.Response:
        body = parse(ReviewBody, await read_json(request))
        turn_id, reviewer = request.match_info["turn"], f"{PLATFORM}:{user_of(request)}"
        await self._service.review(Review(turn_id, body.sha256, body.decision, reviewer, now(), body.edited))
        return web.json_response({"turn_id": turn_id, "decision": body.decision})
