"""What goes wrong on demand: refusals, rate limits, slowness, outages of single methods. Knows nothing of what methods do."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from tests.fakes.slack.refusals import Refused

ALL = "*"
_MINUTE = 60.0


@dataclass
class Fault:
    """What happens to the next `times` calls of a method."""

    times: int
    refusal: Refused


class Faults:
    """Arranged by a test, met by `Api` before each call. A method of "*" means every method."""

    def __init__(self) -> None:
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._slow: dict[str, float] = {}
        self._holds: dict[str, asyncio.Event] = {}
        self.held: Counter[str] = Counter()  # how many calls wait, or waited, for `release`
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

    def slow(self, method: str, seconds: float) -> None:
        """Every call takes so much longer, until it is set to 0."""
        self._slow[method] = seconds

    def hold(self, method: str = ALL) -> None:
        """Every call waits until `release`, however long that takes."""
        self._holds[method] = asyncio.Event()

    def release(self) -> None:
        """What was held goes on, and nothing more is held."""
        for going in self._holds.values():
            going.set()
        self._holds.clear()

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
        self.release()
        self._faults.clear()
        self._slow.clear()
        self._lost.clear()

    async def meet(self, method: str, limits: Mapping[str, int]) -> None:
        """Raises what was arranged for this call, after what delay was arranged."""
        pause = self._slow.get(method, self._slow.get(ALL, 0.0))
        if pause:
            await asyncio.sleep(pause)
        going = self._holds.get(method, self._holds.get(ALL))
        if going is not None:
            self.held[method] += 1
            await going.wait()
        for key in (method, ALL):
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
