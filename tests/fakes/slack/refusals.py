"""How Slack says no: an error code in the body, mostly with status 200. Knows nothing of methods."""

from tests.fakes.slack.workspace import Json


class Refused(Exception):
    """The call is answered with this error code and no effect."""

    def __init__(self, error: str, *messages: str, status: int = 200, headers: dict[str, str] | None = None, **fields: object) -> None:
        super().__init__(error, *messages)
        self.error = error
        self.messages = messages
        self.status = status
        self.headers = headers or {}
        self.fields = fields

    def json(self) -> Json:
        """The response body."""
        metadata = {"response_metadata": {"messages": [f"[ERROR] {message}" for message in self.messages]}} if self.messages else {}
        return {"ok": False, "error": self.error, **self.fields, **metadata}
