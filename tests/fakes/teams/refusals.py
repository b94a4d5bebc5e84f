"""How Teams says no. Knows nothing of what was asked."""

from tests.fakes.teams.world import Json


class Refused(Exception):
    """The call is answered with this status and has no effect."""

    def __init__(self, status: int, code: str = "BadRequest", message: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def json(self) -> Json:
        """The response body."""
        return {"error": {"code": self.code, "message": self.message or self.code}}


class Page(Refused):
    """Something in front of Teams answers, with a page that is no JSON."""


def too_many(retry_after: float | None) -> Refused:
    """429; without seconds there is no Retry-After."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Refused(429, "Throttled", "API calls quota exceeded", headers)


def stream_ended(message: str) -> Refused:
    """403 of streams."""
    return Refused(403, "ContentStreamNotAllowed", message)


STOPPED = "Content stream was canceled by user."
OVER_TIME = "Content stream finished due to exceeded streaming time."
COMPLETED = "Content stream is not allowed on an already completed streamed message"
NOT_ALLOWED = "Content stream is not allowed"
TOO_LARGE = "Message size too large"
