"""What goes wrong on demand, by kind of call. Knows nothing of what calls do.

Kinds: `create` (a message), `stream` (the start of a stream and its chunks), `final`, `update`, `delete`, `conversation`
(POST /v3/conversations), `members`; `token`, `openid`, `keys`; `upload`; `*` is every call of the connector.
"""

from collections import defaultdict
from dataclasses import dataclass

from aiohttp import web

from tests.fakes.delays import ALL, Delays
from tests.fakes.teams.refusals import NOT_ALLOWED, TOO_LARGE, Page, Refused, stream_ended, too_many

_NOT_OF_ALL = ("token", "openid", "keys", "upload")


@dataclass
class Fault:
    """What happens to the next `times` calls, after `skip` calls that go well."""

    what: Refused | None  # None: the connection breaks
    times: int
    skip: int
    done: bool = False  # whether the call is carried out all the same
    accepted: bool = False  # it is answered 202 without a body's worth

    def due(self) -> bool:
        """Whether it is this call's turn."""
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


class Faults(Delays):
    """Arranged by a test; `times` calls are hit after `skip` that are not."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: dict[str, list[Fault]] = defaultdict(list)

    def limit(self, kind: str = ALL, times: int = 1, retry_after: float | None = 1, skip: int = 0) -> None:
        """429 with Retry-After, or with None without."""
        self._faults[kind].append(Fault(too_many(retry_after), times, skip))

    def refuse(self, kind: str, status: int, code: str = "BadRequest", message: str = "", times: int = 1, skip: int = 0) -> None:
        """Any refusal in Teams' form."""
        self._faults[kind].append(Fault(Refused(status, code, message), times, skip))

    def outage(self, kind: str = ALL, times: int = 1, status: int = 502, skip: int = 0, done: bool = False) -> None:
        """A page of a proxy; `done`: although the call was carried out."""
        self._faults[kind].append(Fault(Page(status), times, skip, done=done))

    def end_stream(self, message: str = NOT_ALLOWED, times: int = 1, skip: int = 0, kind: str = "stream") -> None:
        """403 ContentStreamNotAllowed; the messages are in `refusals`."""
        self._faults[kind].append(Fault(stream_ended(message), times, skip))

    def too_big(self, kind: str = "create", times: int = 1, skip: int = 0) -> None:
        """413, whatever the size."""
        self._faults[kind].append(Fault(Refused(413, "MessageSizeTooBig", TOO_LARGE), times, skip))

    def accept(self, kind: str = "create", times: int = 1, skip: int = 0) -> None:
        """Carried out, and answered 202 without an id."""
        self._faults[kind].append(Fault(None, times, skip, done=True, accepted=True))

    def break_off(self, kind: str = ALL, times: int = 1, skip: int = 0, done: bool = False) -> None:
        """The connection is reset, before the call was carried out or, `done`, after it."""
        self._faults[kind].append(Fault(None, times, skip, done=done))

    def redirect(self, kind: str, url: str, times: int = 1, skip: int = 0) -> None:
        """The caller is sent elsewhere."""
        self._faults[kind].append(Fault(Refused(307, "Redirected", headers={"Location": url}), times, skip))

    def clear(self) -> None:
        """All is well again."""
        super().clear()
        self._faults.clear()

    async def meet(self, kind: str, request: web.Request) -> Fault | None:
        """Raises what happens before the call is carried out; gives what happens after it."""
        keys = (kind,) if kind in _NOT_OF_ALL else (kind, ALL)
        await self.wait(keys)
        fault = next((fault for key in keys for fault in self._faults[key] if fault.due()), None)
        if fault is None or fault.done:
            return fault
        if fault.what is None:
            return _abort(request)
        raise fault.what

    def after(self, fault: Fault | None, request: web.Request) -> Refused | None:
        """What the caller is told instead of the answer."""
        if fault is None or fault.accepted:
            return None
        if fault.what is None:
            _abort(request)
        return fault.what


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("as the test wanted")
