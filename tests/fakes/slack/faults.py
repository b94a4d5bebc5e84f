"""What goes wrong on demand: refusals, rate limits, slowness, outages of single methods. Knows nothing of what methods do."""

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from tests.fakes.delays import ALL, Delays
from tests.fakes.slack.refusals import Refused

_MINUTE = 60.0


@dataclass
class Fault:
    """What happens to the next `times` calls of a method."""

    times: int
    refusal: Refused


class Faults(Delays):
    """Arranged by a test, met by `Api` before each call. A method of "*" means every method."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._lost: dict[str, int] = defaultdict(int)
        self.limited = False  # whether the documented rates are enforced
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def refuse(self, method: str, error: str, times: int = 1) -> None:
        """The next calls are answered with this error: `msg_too_long`, `fatal_error`, …"""
        self._faults[method].append(Fault(times, Refused(error)))

    def rate_limit(self, method: str, times: int = 1, retry_after: int = 1) -> None:
        """The next calls get 429 with Retry-After."""
        self._faults[method].append(Fault(times, _too_many(retry_after)))

    def outage(self, method: str = ALL, times: int = 1, status: int = 503) -> None:
        """The next calls get a page that is no JSON of Slack's."""
        self._faults[method].append(Fault(times, Refused("", status=status)))

    def lose_replies(self, method: str, times: int = 1) -> None:
        """The next calls are carried out, but the connection breaks before the app hears so."""
        self._lost[method] += times

    def lost(self, method: str) -> bool:
        """Whether the answer to this call gets lost."""
        if self._lost[method] == 0:
            return False
        self._lost[method] -= 1
        return True

    def clear(self) -> None:
        """All is well again."""
        super().clear()
        self._faults.clear()
        self._lost.clear()

    async def meet(self, method: str, limits: Mapping[str, int]) -> None:
        """Raises what was arranged for this call, after what delay was arranged."""
        keys = (method, ALL)
        await self.wait(keys)
        for key in keys:
            if self._faults.get(key):
                fault = self._faults[key][0]
                fault.times -= 1
                if fault.times <= 0:
                    self._faults[key].popleft()
                raise fault.refusal
        if self.limited and limits.get(method):
            self._count(method, limits[method])

    def _count(self, method: str, limit: int) -> None:
        calls, now = self._calls[method], time.monotonic()
        while calls and calls[0] <= now - _MINUTE:
            calls.popleft()
        if len(calls) >= limit:
            raise _too_many(int(calls[0] + _MINUTE - now) + 1)
        calls.append(now)


def _too_many(retry_after: int) -> Refused:
    return Refused("ratelimited", status=429, headers={"Retry-After": str(retry_after)})
