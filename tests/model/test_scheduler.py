"""Who is in which slot, in any order of arrivals, steps and cancellations."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from model.errors import Busy
from model.scheduler import Prefill, Scheduler, Step

CHUNK, IDLE_CHUNK = 4, 9


class AnyOrder(RuleBasedStateMachine):
    """Carries out the steps of a scheduler on rows of its own, which hold the id of the job they were read for."""

    @initialize(slots=st.integers(1, 4), queue=st.integers(0, 3))
    def begin(self, slots: int, queue: int) -> None:
        self.scheduler = Scheduler(slots, queue, CHUNK, IDLE_CHUNK, self.known)
        self.rows = [0] * slots
        self.waiting: list[int] = []
        self.prompts: dict[int, int] = {}  # job → length, of those that are in
        self.read: dict[int, int] = {}  # job → prompt tokens read, of those that hold a slot
        self.last_job = 0

    def known(self, job: int) -> int:
        """Every other job's prompt begins with up to eleven tokens that need no reading."""
        return min(self.prompts[job] - 1, 11) if job % 2 else 0

    @rule(prompt=st.integers(1, 30))
    def add(self, prompt: int) -> None:
        job = self.last_job + 1
        if len(self.prompts) == len(self.rows) + self.scheduler.queue:
            with pytest.raises(Busy):
                self.scheduler.add(job, prompt)
            return
        self.scheduler.add(job, prompt)
        self.last_job = job
        self.prompts[job] = prompt
        self.waiting.append(job)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        job = data.draw(st.integers(0, self.last_job), label="job")
        self.scheduler.remove(job)
        self.prompts.pop(job, None)
        self.read.pop(job, None)
        self.waiting = [waiting for waiting in self.waiting if waiting != job]

    @rule()
    def plan(self) -> None:
        self.step()

    def step(self) -> Step:
        decoding = {job for job, read in self.read.items() if read == self.prompts[job]}
        step = self.scheduler.plan()
        for source, target in step.moves:
            self.rows[target] = self.rows[source]
        if step.prefill is not None:
            self.read_chunk(step.prefill, len(step.decode))
        else:
            assert len(decoding) == len(self.rows) or decoding == set(self.prompts), "somebody waits beside a free slot"
        assert set(step.decode) == decoding
        assert list(step.decode) == self.rows[: len(step.decode)]
        return step

    def read_chunk(self, chunk: Prefill, decoding: int) -> None:
        if chunk.job not in self.read:
            assert chunk.job == self.waiting.pop(0), "first come, first served"
            assert len(self.read) == decoding, "one prompt at a time"
            assert chunk.start == chunk.known == self.known(chunk.job)
            self.rows[chunk.row] = chunk.job
            self.read[chunk.job] = chunk.known
        else:
            assert chunk.known == 0, "what is known is put into the row once"
        assert chunk.row == decoding
        assert self.rows[chunk.row] == chunk.job
        assert chunk.start == self.read[chunk.job]
        assert chunk.start < chunk.stop <= chunk.start + (CHUNK if decoding else IDLE_CHUNK)
        assert chunk.last == (chunk.stop == self.prompts[chunk.job])
        self.read[chunk.job] = chunk.stop

    @invariant()
    def the_counts_are_of_those_that_are_in(self) -> None:
        assert (self.scheduler.running, self.scheduler.waiting) == (len(self.read), len(self.waiting))

    def teardown(self) -> None:
        """Nobody starves: every job is read and decodes within as many steps as there are chunks, and one more each."""
        for _ in range(sum(-(-prompt // CHUNK) + 1 for prompt in self.prompts.values())):
            for job in self.step().decode:
                self.scheduler.remove(job)
                del self.prompts[job], self.read[job]
        assert not self.prompts


TestAnyOrder = AnyOrder.TestCase


def filled(prompts: dict[int, int], *, slots: int) -> Scheduler:
    scheduler = Scheduler(slots, len(prompts), CHUNK, IDLE_CHUNK)
    for job, prompt in prompts.items():
        scheduler.add(job, prompt)
    return scheduler


def test_a_short_job_among_long_ones_finishes_first() -> None:
    scheduler = filled({1: 40, 2: 40, 3: 2}, slots=3)
    tokens_left = {1: 60, 2: 60, 3: 2}
    finished = []
    while tokens_left:
        for job in scheduler.plan().decode:
            tokens_left[job] -= 1
            if tokens_left[job] == 0:
                del tokens_left[job]
                scheduler.remove(job)
                finished.append(job)
    assert finished == [3, 1, 2]


def test_a_long_prompt_does_not_hold_up_those_who_decode() -> None:
    scheduler = filled({1: 3, 2: 40}, slots=2)
    assert scheduler.plan().decode == ()
    assert [scheduler.plan().decode for _ in range(40 // CHUNK)] == [(1,)] * (40 // CHUNK)
    assert scheduler.plan().decode == (1, 2)


def test_a_place_is_free_as_soon_as_its_job_is_gone() -> None:
    scheduler = Scheduler(1, 0, CHUNK)
    scheduler.add(1, 3)
    scheduler.plan()
    scheduler.remove(1)
    assert scheduler.running == 0
    scheduler.add(2, 3)


def test_a_changed_chunk_holds_from_the_next_plan_on() -> None:
    scheduler = filled({1: 3, 2: 40}, slots=2)
    scheduler.plan()
    sizes = []
    for chunk in (4, 10, 2):
        scheduler.chunk = chunk
        prefill = scheduler.plan().prefill
        assert prefill is not None
        sizes.append(prefill.stop - prefill.start)
    assert sizes == [4, 10, 2]
