"""Errors as HTTP answers in the shape OpenAI's clients read. Knows the exceptions of service and engine, no route."""

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from bot.connectors.web.access import Refused
from bot.reviews import NotReviewable
from bot.store import Forgotten, NotYours, StorageFull, StorageUnavailable, StoreError, UnknownTurn
from bot.text import BadText
from model.errors import Busy, ContextLengthExceeded, EngineError, NotReady, UnknownLora

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS: dict[type[Exception], tuple[int, str]] = {
    UnknownTurn: (404, "not_found"),
    NotYours: (403, "forbidden"),
    Forgotten: (410, "forgotten"),
    StorageFull: (503, "storage_full"),
    StorageUnavailable: (503, "storage_unavailable"),
    ContextLengthExceeded: (400, "context_length_exceeded"),
    Busy: (429, "busy"),
    NotReady: (503, "not_ready"),
    UnknownLora: (404, "model_not_found"),
    BadText: (422, "invalid_value"),
    NotReviewable: (409, "not_reviewable"),
}
_RETRY_SECONDS = {429: 5, 503: 5}


class BadRequest(Exception):
    """A request that can't be taken as it is."""

    def __init__(self, status: int, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def error_response(status: int, message: str, code: str, param: str | None = None) -> web.Response:
    """The JSON body of an error, with Retry-After where trying again helps."""
    headers = {"Retry-After": str(_RETRY_SECONDS[status])} if status in _RETRY_SECONDS else {}
    return web.json_response(error_body(status, message, code, param), status=status, headers=headers)


def error_body(status: int, message: str, code: str, param: str | None = None) -> dict[str, object]:
    kind = "invalid_request_error" if status < 500 and status != 429 else {429: "rate_limit_error"}.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def describe(error: Exception) -> tuple[int, str]:
    """HTTP status and code of one of our own exceptions."""
    return next((known for kind, known in _STATUS.items() if isinstance(error, kind)), (500, "internal_error"))


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every exception into its answer; the last resort of a request."""
    try:
        return await handler(request)
    except (BadRequest, Refused) as error:
        return error_response(error.status, str(error), error.code, error.param)
    except (StoreError, EngineError, BadText, NotReviewable) as error:
        status, code = describe(error)
        return error_response(status, str(error), code)
    except web.HTTPRequestEntityTooLarge as error:
        return error_response(413, f"the body is larger than 1 MiB; send less ({error.reason})", "too_large")
    except web.RequestPayloadError:
        return error_response(400, "the body is not packed as its Content-Encoding says", "bad_request")
    except web.HTTPError as error:
        return error_response(
            error.status, f"{request.method} {request.path}: {error.reason}", "not_found" if error.status == 404 else "bad_request"
        )
    except ConnectionResetError:
        raise
    except web.HTTPException:
        raise
    except Exception:  # the edge of a request
        log.exception("a request failed", extra={"method": request.method, "path": request.path})
        return error_response(500, "CARE failed on this request; the operator finds the reason in its log", "internal_error")


async def read_json(request: web.Request) -> dict[str, object]:
    """The JSON object in a request's body. Raises BadRequest."""
    if request.content_type != "application/json":
        raise BadRequest(415, f"Content-Type is {request.content_type!r}; send application/json", code="unsupported_media_type")
    raw = await request.read()
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(400, f"the body is not valid JSON: {error}", code="invalid_json") from error
    if not isinstance(body, dict):
        raise BadRequest(422, f"the body is a JSON {type(body).__name__}; send an object", code="invalid_type")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
