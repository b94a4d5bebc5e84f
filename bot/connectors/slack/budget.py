"""What Slack lets an app do in a minute in one workspace, and how much of it is left. Pure but for its clock.

Numbers: docs.slack.dev, the tier of each method; a tenth is left for what must get through.
"""

import time
from collections import deque
from collections.abc import Callable

_MINUTE = 60.0
_STARTS = 18  # chat.startStream and chat.stopStream: 20
_APPENDS = 90  # chat.appendStream: 100
_UPDATES = 45  # chat.update: 50
_SESSIONS = 45  # agents.sessions.setStatus: 50
_STATUSES = 500  # assistant.threads.setStatus: 600
_PAUSE_SECONDS = 0.7  # between two appends of one reply, when nobody else streams


class Window:
    """At most `limit` in any minute."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._taken: deque[float] = deque()
        self._closed_until = 0.0

    def take(self) -> bool:
        """Takes one, if one is left."""
        moment = self._clock()
        while self._taken and self._taken[0] <= moment - _MINUTE:
            self._taken.popleft()
        if moment < self._closed_until or len(self._taken) >= self._limit:
            return False
        self._taken.append(moment)
        return True

    def close(self, seconds: float) -> None:
        """Slack said that it is used up for so long, whatever we counted."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)


class Budget:
    """One for each workspace; every reply takes from it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.starts = Window(_STARTS, clock)
        self.appends = Window(_APPENDS, clock)
        self.updates = Window(_UPDATES, clock)
        self.sessions = Window(_SESSIONS, clock)
        self.statuses = Window(_STATUSES, clock)
        self.streaming = 0  # replies that stream now

    def pause(self) -> float:
        """How long a reply waits between two appends so that all that stream now get along."""
        return max(_PAUSE_SECONDS, self.streaming * _MINUTE / _APPENDS)
