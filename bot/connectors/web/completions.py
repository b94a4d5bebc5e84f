"""/v1: chat completions as OpenAI's clients expect them. `messages` is the whole context; no stored history is added.

Each request is a turn of its own on the platform "api"; the completion's id is the turn's id.
"""

from dataclasses import replace

from aiohttp import web

from bot.connectors.base import ReaderLeft
from bot.connectors.web.errors import BadRequest, error_body, read_json
from bot.connectors.web.events import EventStream
from bot.connectors.web.feed import Feed
from bot.connectors.web.fields import ChatBody, parse
from bot.service import Service
from bot.text import clean_question
from bot.turns import BASE, Prompt, Question, Status, Turn, new_id, now
from model.engine import Engine, Sampling
from model.errors import NotReady

PLATFORM = "api"
MODEL = "care"
_ANONYMOUS = "anonymous"


class Completions:
    """The handlers of /v1."""

    def __init__(self, service: Service, engine: Engine, defaults: Sampling) -> None:
        self._service = service
        self._engine = engine
        self._defaults = defaults
        self._started = int(now().timestamp())

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self.models),
            web.get("/v1/models/{model}", self.model),
            web.post("/v1/chat/completions", self.complete),
        ]

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._card(name) for name in self._names()]})

    async def model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        self._require_model(name)
        return web.json_response(self._card(name))

    def _names(self) -> list[str]:
        return [MODEL, BASE, *self._engine.status().loras]

    def _card(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": "care"}

    def _require_model(self, name: str) -> None:
        if name not in self._names():
            raise BadRequest(
                404, f"there is no model {name!r}; there are {', '.join(self._names())}", code="model_not_found", param="model"
            )

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions"""
        body = parse(ChatBody, await read_json(request))
        self._require_model(body.model)
        question = self._question(body)
        with Feed() as feed:
            feed.acknowledged = True  # nobody can ask for this very completion again
            turn, _ = await self._service.admit(question, feed)
            try:
                answer = self._stream(request, body, turn, feed) if body.stream else self._whole(body, turn, feed)
                return await answer
            finally:
                self._service.cancel(turn.id)  # no longer read; without effect once it is stored

    def _question(self, body: ChatBody) -> Question:
        messages = tuple(message.to_message() for message in body.messages)
        asked = next((message.content for message in reversed(messages) if message.role == "user"), None)
        if asked is None:
            raise BadRequest(422, "messages: holds no user message; the last one is the question", code="invalid_value", param="messages")
        return Question(
            platform=PLATFORM,
            event_id=new_id(),
            conversation_id=(body.metadata or {}).get("conversation_id") or new_id(),
            user_name=(body.metadata or {}).get("user_name"),
            user_id=body.user or _ANONYMOUS,
            text=clean_question(asked),
            asked_at=now(),
            private=body.user is not None,
            prompt=Prompt(messages, self._sampling(body), None if body.model == MODEL else body.model),
        )

    def _sampling(self, body: ChatBody) -> Sampling:
        defaults = self._defaults
        return replace(
            defaults,
            temperature=defaults.temperature if body.temperature is None else body.temperature,
            top_p=defaults.top_p if body.top_p is None else body.top_p,
            max_tokens=body.max_completion_tokens or body.max_tokens or defaults.max_tokens,
            repetition_penalty=defaults.repetition_penalty if body.repetition_penalty is None else body.repetition_penalty,
            seed=body.seed,
            stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        )

    async def _whole(self, body: ChatBody, turn: Turn, feed: Feed) -> web.Response:
        ended = turn
        async for item in feed:
            if isinstance(item, Turn):
                ended = item
        _require_answer(ended)
        text = ended.reply.text if ended.reply is not None else ""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": _finish_reason(ended), "logprobs": None}
        feed.arrived()
        return web.json_response({**_head(body, turn, "chat.completion"), "choices": [choice], "usage": _usage(ended)})

    async def _stream(self, request: web.Request, body: ChatBody, turn: Turn, feed: Feed) -> web.StreamResponse:
        stream = EventStream(request)
        try:
            await stream.open()
            await self._send(stream, body, turn, feed)
        except ReaderLeft:
            pass  # nobody to tell
        return stream.response

    async def _send(self, stream: EventStream, body: ChatBody, turn: Turn, feed: Feed) -> None:
        head = _head(body, turn, "chat.completion.chunk")
        await stream.send({**head, "choices": [_delta({"role": "assistant", "content": ""})]})
        try:
            async for item in feed:
                if isinstance(item, Turn):
                    await _end_stream(stream, head, body, item)
                    feed.arrived()
                elif not item:
                    await stream.keep_alive()
                else:
                    await stream.send({**head, "choices": [_delta({"content": item})]})
        except NotReady as error:
            await stream.send(error_body(503, str(error), "not_ready"))


async def _end_stream(stream: EventStream, head: dict[str, object], body: ChatBody, turn: Turn) -> None:
    if turn.status is Status.FAILED:
        await stream.send(error_body(500, _failure(turn), "generation_failed"))
    else:
        await stream.send({**head, "choices": [_delta({}, _finish_reason(turn))]})
        if body.stream_options is not None and body.stream_options.include_usage:
            await stream.send({**head, "choices": [], "usage": _usage(turn)})
    await stream.done()


def _head(body: ChatBody, turn: Turn, kind: str) -> dict[str, object]:
    return {"id": turn.id, "object": kind, "created": int(turn.question.asked_at.timestamp()), "model": body.model}


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


def _finish_reason(turn: Turn) -> str:
    return "length" if turn.reply is not None and turn.reply.finish_reason == "length" else "stop"


def _usage(turn: Turn) -> dict[str, int]:
    prompt, completion = (turn.reply.prompt_tokens, turn.reply.completion_tokens) if turn.reply is not None else (0, 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _require_answer(turn: Turn) -> None:
    if turn.status is Status.FAILED:
        raise BadRequest(500, _failure(turn), code="generation_failed")


def _failure(turn: Turn) -> str:
    return (turn.reply.error if turn.reply is not None else None) or "the model failed under this request; ask again"
