"""Who is in which slot, who waits, who is cancelled: continuous batching as plain bookkeeping. Pure; knows no network.

The jobs that decode are packed into rows 0..n-1, so that one step is one batch without gaps; the job whose prompt is
being read sits in the row behind them. Reading goes in chunks, with a decode step between two of them, so that a
long prompt does not hold up those who are already being answered.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from model.errors import Busy


@dataclass(frozen=True, slots=True)
class Prefill:
    """Read prompt tokens `start`..`stop` of job `job` into row `row`; the first token comes after the `last` chunk.

    `known` tokens before `start` need no reading: they are to be put into the row first.
    """

    job: int
    row: int
    start: int
    stop: int
    last: bool
    known: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, in this order: move rows (source → target), read one chunk, decode rows 0..n-1."""

    moves: tuple[tuple[int, int], ...] = ()
    prefill: Prefill | None = None
    decode: tuple[int, ...] = ()


_GONE = -1  # a row whose job was removed, until the next plan closes the gap


@dataclass(slots=True)
class _Reading:
    job: int
    length: int
    done: int = 0


class Scheduler:
    """Continuous batching over `slots` rows with a queue of at most `queue` waiting jobs.

    `chunk` is the most prompt tokens to read between two steps, from the next plan on.
    """

    def __init__(
        self, slots: int, queue: int, chunk: int, idle_chunk: int | None = None, known: Callable[[int], int] = lambda job: 0
    ) -> None:
        """`idle_chunk`: the most prompt tokens to read at once with nobody decoding. `known`: how many tokens at the beginning
        of a job's prompt need no reading, fewer than it has; asked when the job gets its row."""
        self.slots = slots
        self.queue = queue
        self.chunk = chunk
        self._idle_chunk = idle_chunk or chunk
        self._known = known
        self._waiting: deque[_Reading] = deque()
        self._reading: _Reading | None = None
        self._rows: list[int] = []
        self._reading_row = 0

    @property
    def running(self) -> int:
        """Jobs that hold a slot."""
        return len(self._rows) - self._rows.count(_GONE) + (self._reading is not None)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a slot."""
        return len(self._waiting)

    def add(self, job: int, prompt_tokens: int) -> None:
        """Takes a job in. Raises Busy when every slot and every place in the queue is taken."""
        if self.running + self.waiting >= self.slots + self.queue:
            raise Busy(f"all {self.slots} slots and {self.queue} places in the queue are taken; try again shortly")
        self._waiting.append(_Reading(job, prompt_tokens))

    def remove(self, job: int) -> None:
        """Takes a job out, wherever it is: finished, cancelled or failed. A job that is gone already is ignored."""
        self._waiting = deque(waiting for waiting in self._waiting if waiting.job != job)
        if self._reading is not None and self._reading.job == job:
            self._reading = None
        if job in self._rows:
            self._rows[self._rows.index(job)] = _GONE

    def plan(self) -> Step:
        """The next step. The caller carries it out whole, and removes the jobs that end in it."""
        moves = self._pack()
        prefill = self._next_chunk()
        step = Step(moves, prefill, tuple(self._rows))
        if prefill is not None and prefill.last:
            self._rows.append(prefill.job)
            self._reading = None
        return step

    def _pack(self) -> tuple[tuple[int, int], ...]:
        """Closes gaps with the last rows, then brings the row being read up behind them."""
        moves = []
        while _GONE in self._rows:
            gap, last = self._rows.index(_GONE), self._rows.pop()
            if gap < len(self._rows):
                self._rows[gap] = last
                if last != _GONE:
                    moves.append((len(self._rows), gap))
        if self._reading is not None and self._reading_row != len(self._rows):
            if self._reading.done:
                moves.append((self._reading_row, len(self._rows)))
            self._reading_row = len(self._rows)
        return tuple(moves)

    def _next_chunk(self) -> Prefill | None:
        known = 0
        if self._reading is None and self._waiting and len(self._rows) < self.slots:
            self._reading, self._reading_row = self._waiting.popleft(), len(self._rows)
            known = self._reading.done = self._known(self._reading.job)
        reading = self._reading
        if reading is None:
            return None
        start = reading.done
        reading.done = min(reading.length, start + (self.chunk if self._rows else self._idle_chunk))
        return Prefill(reading.job, self._reading_row, start, reading.done, reading.done == reading.length, known)
