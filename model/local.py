"""The engine in this process: runs the network in a thread of its own and hands pieces of text to the event loop.

The thread owns the network. It asks the scheduler what to do, runs that step, and repeats; requests and cancellations
from the event loop take effect between two steps. What a step can't survive is decided here: a pass for which memory ran out
is run again in halves; if that fails too, it costs the youngest request its slot ("busy"). Any other failure costs the requests
of that pass.
"""

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Literal

from model.engine import EngineStatus, Finish, Generation, Request
from model.errors import Busy, EngineError, GenerationFailed, NotReady, OutOfMemory, UnknownLora
from model.job import Job
from model.manifest import BaseModel, Unshelved
from model.pace import Pace
from model.scheduler import Prefill, Scheduler, Step
from model.text import TextStream

if TYPE_CHECKING:  # importing torch takes seconds: the engine's thread does it
    from model.network import Network

log = logging.getLogger(__name__)

# Prompt tokens read at once while nobody else is being answered.
_IDLE_CHUNK = 512
_IDLE_BEAT_SECONDS = 1.0
_CLOSE_SECONDS = 10.0

_Event = tuple[Generation, str | Finish | EngineError]
_Pass = tuple[Sequence[Job], Callable[[], list[_Event]]]  # whose it is, and what it does


class LocalEngine:
    """Continuous batching on this machine's GPU or CPU. See `model.engine.Engine` for the contract."""

    def __init__(self, name: str, load: Callable[[], "Network"], *, slots: int, queue: int) -> None:
        """`load` runs in the engine's thread and raises EngineError."""
        self.name = name
        self._load = load
        self._pace = Pace()
        self._scheduler = Scheduler(slots, queue, self._pace.chunk, _IDLE_CHUNK, self._known)
        self._changed = threading.Condition()  # guards the scheduler, the jobs and the state
        self._jobs: dict[int, Job] = {}
        self._calls: deque[tuple[Callable[[], None], asyncio.Future[None]]] = deque()  # to run between two steps
        self._loras: dict[str, bool] = {}  # those in memory, and whether new requests may have them
        self._live: str | None = None
        self._reservations: Counter[str | None] = Counter()
        self._ids = count(1)
        self._state: Literal["loading", "ready", "failed", "closed"] = "loading"
        self._detail = "the model is still loading"
        self._beat = time.monotonic()
        self._tokenizing = ThreadPoolExecutor(1, "care-tokens")
        self._thread = threading.Thread(target=self._run, name="care-engine", daemon=True)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        await self._started

    async def close(self) -> None:
        with self._changed:
            self._state, self._detail = "closed", "the engine has been closed"
            self._changed.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, _CLOSE_SECONDS)
        self._tokenizing.shutdown(wait=False)

    def status(self) -> EngineStatus:
        with self._changed:
            scheduler = self._scheduler
            return EngineStatus(
                state=self._state,
                detail=self._detail,
                running=scheduler.running,
                waiting=scheduler.waiting,
                slots=scheduler.slots,
                queue=scheduler.queue,
                beat_age=time.monotonic() - self._beat,
                loras=tuple(lora for lora, open_to_all in self._loras.items() if open_to_all),
                live=self._live,
                memory=self._network.plan if self._state == "ready" else None,
            )

    @property
    def base(self) -> BaseModel:
        self._require_ready()
        return self._network.base

    async def load(self, lora: Unshelved) -> None:
        self._require_ready()
        lora_id = lora.lora.id
        with self._changed:
            if lora_id in self._loras:
                self._loras[lora_id] = True  # also one that was about to go
                return
        try:
            await self._between_steps(lambda: self._attach(lora))
        except OutOfMemory as error:
            raise Busy(f"there is no memory for LoRA {lora_id!r} now ({error})") from error

    async def switch(self, lora_id: str | None) -> None:
        with self._changed:
            self._require_lora(lora_id)
            self._live = lora_id

    async def unload(self, lora_id: str) -> None:
        with self._changed:
            self._require_lora(lora_id)
            if lora_id == self._live:
                raise UnknownLora(f"LoRA {lora_id!r} is live; switch to another before it is unloaded")
            self._loras[lora_id] = False
        await self._between_steps(self._detach_unused)

    async def _between_steps(self, call: Callable[[], None]) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            self._require_ready()
            self._calls.append((call, done))
            self._changed.notify()
        await done

    def _require_lora(self, lora_id: str | None) -> None:
        self._require_ready()
        if lora_id is not None and not self._loras.get(lora_id, False):
            raise UnknownLora(f"LoRA {lora_id!r} is not in memory; there are {', '.join(self._loras) or 'none'}")

    async def check(self, request: Request) -> None:
        self._require_lora(request.lora)
        await self._prompt(request)

    async def generate(self, request: Request) -> Generation:
        with self._reserved(request.lora):
            return self._start_job(request, await self._prompt(request))

    @contextmanager
    def _reserved(self, lora_id: str | None) -> Iterator[None]:
        """A LoRA that a request was taken in with stays in memory until its job holds it."""
        with self._changed:
            self._require_lora(lora_id)
            self._reservations[lora_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._reservations[lora_id] -= 1

    def _start_job(self, request: Request, prompt: list[int]) -> Generation:
        job_id = next(self._ids)
        generation = Generation(request.lora, lambda: self._cancel(job_id))
        job = Job(
            id=job_id,
            generation=generation,
            prompt=prompt,
            sampler=self._network.sampler(request.sampling),
            text=TextStream(self._network.tokens.decode, request.sampling.stop),
            limit=min(request.sampling.max_tokens, self._network.context - len(prompt)),
        )
        self._submit(job)
        return generation

    async def _prompt(self, request: Request) -> list[int]:
        """Off the loop: a long text takes a second to encode."""
        prompt, room = self._network.tokens.prompt, request.sampling.max_tokens
        return await self._loop.run_in_executor(self._tokenizing, prompt, request.messages, room)

    def _require_ready(self) -> None:
        if self._state != "ready":
            raise NotReady(self._detail)

    def _submit(self, job: Job) -> None:
        with self._changed:
            self._require_ready()
            self._scheduler.add(job.id, len(job.prompt))
            self._jobs[job.id] = job
            self._changed.notify()

    def _cancel(self, job_id: int) -> None:
        with self._changed:
            job = self._jobs.pop(job_id, None)
            self._scheduler.remove(job_id)
        if job is not None:
            job.generation.feed(job.finish("cancelled"))

    # From here on: the engine's thread.

    def _run(self) -> None:
        try:
            self._prepare()
        except Exception as error:  # noqa: BLE001  # the edge of the thread: whoever awaits `start` gets it
            self._fail_to_start(error)
            return
        self._tell(_resolve, self._started, None if self._state == "ready" else NotReady(self._detail))
        try:
            while self._wait_for_work():
                self._run_calls()
                self._detach_unused()
                self._step()
        except Exception:  # our own bug: nothing more will be answered, and readiness says so
            log.exception("the engine broke")
            with self._changed:
                self._state, self._detail = "failed", "the engine broke; restart CARE, the reason is in its log"
        self._end_all(NotReady(self._detail))

    def _prepare(self) -> None:
        self._network = self._load()
        self._pace.least = self._network.worthwhile
        with self._changed:
            self.name = self._network.name
            if self._state == "loading":
                self._state, self._detail = "ready", "ready"

    def _fail_to_start(self, error: Exception) -> None:
        with self._changed:
            self._state, self._detail = "failed", f"the model could not be loaded: {error}"
        self._tell(_resolve, self._started, error)

    def _wait_for_work(self) -> bool:
        """Waits until there is a step to run; False once the engine is closed."""
        with self._changed:
            self._beat = time.monotonic()
            while self._state == "ready" and not self._jobs and not self._calls:
                self._changed.wait(_IDLE_BEAT_SECONDS)
                self._beat = time.monotonic()
            return self._state == "ready"

    def _run_calls(self) -> None:
        with self._changed:
            calls = [self._calls.popleft() for _ in range(len(self._calls))]
        for call, done in calls:
            error: Exception | None = None
            try:
                call()
            except Exception as raised:  # noqa: BLE001  # whoever waits for the call gets it
                error = raised
            self._tell(_resolve, done, error)

    def _attach(self, lora: Unshelved) -> None:
        """Unpacks it here too: threads that torch starts for another thread make those of this one sleep between products."""
        lora_id = lora.lora.id
        self._network.attach(lora_id, self._network.unpack(lora))
        with self._changed:
            self._loras[lora_id] = True

    def _detach_unused(self) -> None:
        """Frees the LoRAs that were unloaded, once nobody's answer is written with them."""
        if all(self._loras.values()):
            return
        with self._changed:
            wanted = {job.lora for job in self._jobs.values()} | {lora for lora, n in self._reservations.items() if n}
            unused = [lora for lora, open_to_all in self._loras.items() if not open_to_all and lora not in wanted]
            for lora in unused:
                del self._loras[lora]
        for lora in unused:
            self._network.detach(lora)

    def _known(self, job_id: int) -> int:
        job = self._jobs[job_id]
        return self._network.known(job.prompt, job.lora)

    def _step(self) -> None:
        with self._changed:
            self._scheduler.chunk = self._pace.chunk
            step = self._scheduler.plan()
            readers = [self._jobs[step.prefill.job]] if step.prefill is not None else []
            decoders = [self._jobs[job] for job in step.decode]
        events: list[_Event] = []
        for jobs, run, halves in (
            ([*decoders, *readers], lambda: self._move(step), None),
            (readers, lambda: self._read(readers[0], step.prefill), lambda: self._read_halves(readers[0], step.prefill)),
            (decoders, lambda: self._decode(decoders, 0), lambda: self._decode_halves(decoders)),
        ):
            if any(job.id in self._jobs for job in jobs):  # not all cancelled, or dropped by the pass before
                events += self._guarded(jobs, run, halves)
        if events:
            self._tell(_feed, events)

    def _guarded(
        self, jobs: Sequence[Job], run: Callable[[], list[_Event]], halves: Callable[[], Iterator[_Pass]] | None = None
    ) -> list[_Event]:
        """Runs one pass. Out of memory: again in halves, then the youngest job loses its slot. Anything else costs all of them theirs."""
        try:
            return run()
        except OutOfMemory:
            log.warning("out of memory", extra={"running": len(jobs), "again": halves is not None})
            if halves is not None:
                self._network.forget()
                return [event for half in halves() for event in self._guarded(*half)]
            youngest = max(jobs, key=lambda job: job.id)
            return self._drop([youngest], Busy("the machine is out of memory for so many requests; try again shortly"))
        except Exception as error:  # the edge of a pass: the other requests go on
            log.exception("a pass failed", extra={"jobs": [job.id for job in jobs]})
            return self._drop(jobs, GenerationFailed(f"the model failed under this request ({type(error).__name__}); ask again"))

    def _move(self, step: Step) -> list[_Event]:
        self._network.move(step.moves)
        if step.prefill is not None and step.prefill.known:
            job = self._jobs.get(step.prefill.job)
            if job is not None:
                self._network.recall(step.prefill.row, job.prompt, job.lora)
        return []

    def _read(self, job: Job, chunk: Prefill | None) -> list[_Event]:
        assert chunk is not None
        started = time.perf_counter()
        tokens = job.prompt[chunk.start : chunk.stop]
        first = self._network.read(chunk.row, chunk.start, tokens, job.sampler if chunk.last else None, job.lora)
        self._pace.read(len(tokens), time.perf_counter() - started)
        if first is None:
            return []
        self._network.keep(chunk.row, job.prompt, job.lora)
        return self._accept(job, first, chunk.row)

    def _read_halves(self, job: Job, chunk: Prefill | None) -> Iterator[_Pass]:
        assert chunk is not None
        middle = (chunk.start + chunk.stop) // 2
        if middle > chunk.start:
            yield [job], lambda: self._read(job, replace(chunk, stop=middle, last=False))
        if job.id in self._jobs:
            yield [job], lambda: self._read(job, replace(chunk, start=middle))

    def _decode(self, jobs: Sequence[Job], first: int) -> list[_Event]:
        """One token more for the jobs in rows `first`, `first` + 1, …"""
        started = time.perf_counter()
        last = [job.written[-1] for job in jobs]
        tokens = self._network.decode(last, [job.sampler for job in jobs], [job.lora for job in jobs], first)
        self._pace.stepped(time.perf_counter() - started)
        accepted = zip(jobs, tokens, range(first, first + len(jobs)), strict=True)
        return [event for job, token, row in accepted for event in self._accept(job, token, row)]

    def _decode_halves(self, jobs: Sequence[Job]) -> Iterator[_Pass]:
        middle = (len(jobs) + 1) // 2
        yield jobs[:middle], lambda: self._decode(jobs[:middle], 0)
        if jobs[middle:]:
            yield jobs[middle:], lambda: self._decode(jobs[middle:], middle)

    def _accept(self, job: Job, token: int, row: int) -> list[_Event]:
        """What a new token of a job makes its reader see."""
        piece, reason = job.accept(token, self._network.tokens.stops)
        events: list[_Event] = [(job.generation, piece)] if piece else []
        if reason is None:
            return events
        self._network.keep(row, [*job.prompt, *job.written[:-1]], job.lora)  # the next question of this conversation begins so
        return [*events, (job.generation, job.finish(reason))] if self._forget(job) else []

    def _drop(self, jobs: Sequence[Job], error: EngineError) -> list[_Event]:
        return [(job.generation, error) for job in jobs if self._forget(job)]

    def _forget(self, job: Job) -> bool:
        """Frees the slot; False when the job was cancelled in the meantime and has had its end."""
        with self._changed:
            self._scheduler.remove(job.id)
            return self._jobs.pop(job.id, None) is not None

    def _end_all(self, error: EngineError) -> None:
        self._tell(_feed, self._drop(list(self._jobs.values()), error))
        with self._changed:
            calls, self._calls = self._calls, deque()
        for _, done in calls:
            self._tell(_resolve, done, error)

    def _tell(self, call: Callable[..., object], *args: object) -> None:
        """Calls into the event loop, unless that is gone: then nobody is left to hear it."""
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            log.debug("the event loop is closed")


def _feed(events: Sequence[_Event]) -> None:
    for generation, item in events:
        generation.feed(item)


def _resolve(future: asyncio.Future[None], error: Exception | None) -> None:
    """Ends the wait for the start, unless whoever waited has gone."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(None)
