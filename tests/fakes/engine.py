"""An Engine that answers from a script, at once or when it is told to, and imports no torch."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Literal

from model.engine import EngineStatus, Finish, Generation, Request
from model.errors import Busy, ContextLengthExceeded, EngineError, NotReady, UnknownLora
from model.manifest import Unshelved
from tests.fakes.loras import BASE


def echo(request: Request) -> Sequence[str]:
    """Answers a question with its own words, so that a test can tell whose answer it is."""
    return ["You ", "asked: ", *(f"{word} " for word in request.messages[-1].content.split()), "Bye."]


class ScriptedEngine:
    """`answer` gives the pieces, or raises EngineError; `step` is awaited before each of them."""

    def __init__(
        self,
        answer: Callable[[Request], Sequence[str]] = echo,
        step: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0),
        *,
        slots: int = 8,
        queue: int = 32,
        context_words: int = 500,
    ) -> None:
        self.name = "scripted"
        self.answer = answer
        self.step = step
        self.requests: list[Request] = []
        self.breaks_at: int | None = None  # the request under which the engine breaks for good
        self.state: Literal["loading", "ready", "failed", "closed"] = "loading"
        self.base = BASE
        self.refuses: dict[str, EngineError] = {}  # LoRAs that can't be loaded
        self._loras: list[str] = []
        self._live: str | None = None
        self._slots = slots
        self._queue = queue
        self._context_words = context_words
        self._places = asyncio.Semaphore(slots)
        self._open: dict[int, asyncio.Task[None]] = {}
        self._ids = itertools.count()

    async def start(self) -> None:
        self.state = "ready"

    async def close(self) -> None:
        self.state = "closed"
        for task in list(self._open.values()):
            task.cancel()

    def status(self) -> EngineStatus:
        running = min(len(self._open), self._slots)
        return EngineStatus(
            self.state,
            "the script broke" if self.state == "failed" else self.state,
            running,
            len(self._open) - running,
            self._slots,
            self._queue,
            monotonic() % 1,
            tuple(self._loras),
            self._live,
        )

    async def load(self, lora: Unshelved) -> None:
        if lora.lora.id in self.refuses:
            raise self.refuses[lora.lora.id]
        if lora.lora.id not in self._loras:
            self._loras.append(lora.lora.id)

    async def switch(self, lora_id: str | None) -> None:
        if lora_id is not None and lora_id not in self._loras:
            raise UnknownLora(f"no LoRA {lora_id!r}")
        self._live = lora_id

    async def unload(self, lora_id: str) -> None:
        self._loras.remove(lora_id)

    async def check(self, request: Request) -> None:
        if self.state != "ready":
            raise NotReady("the engine is not ready")
        words = len(request.messages[-1].content.split())
        if words > self._context_words:
            raise ContextLengthExceeded(words, self._context_words)
        if request.lora is not None and request.lora not in self._loras:
            raise UnknownLora(f"no LoRA {request.lora!r}")

    async def generate(self, request: Request) -> Generation:
        await self.check(request)
        if len(self._open) >= self._slots + self._queue:
            raise Busy("the script is busy")
        self.requests.append(request)
        if len(self.requests) == self.breaks_at:
            self.state = "failed"
            raise NotReady("the script broke")
        number = next(self._ids)
        generation = Generation(request.lora, lambda: self._cancel(number))
        self._open[number] = asyncio.create_task(self._play(number, request, generation))
        self._open[number].add_done_callback(lambda _: self._never_begun(number, request, generation))
        return generation

    def _cancel(self, number: int) -> None:
        if number in self._open:
            self._open[number].cancel()

    async def _play(self, number: int, request: Request, generation: Generation) -> None:
        shown = 0
        try:
            async with self._places:
                pieces = self.answer(request)[: request.sampling.max_tokens]
                for piece in pieces:
                    await self.step()
                    generation.feed(piece)
                    shown += 1
            generation.feed(Finish("stop", _words(request), shown))
        except EngineError as error:
            generation.feed(error)
        except asyncio.CancelledError:
            generation.feed(self._cancelled(request, shown))
        finally:
            self._open.pop(number, None)

    def _never_begun(self, number: int, request: Request, generation: Generation) -> None:
        """A task that was cancelled before its first step has not said so."""
        if self._open.pop(number, None) is not None:
            generation.feed(self._cancelled(request, 0))

    def _cancelled(self, request: Request, shown: int) -> Finish | EngineError:
        return NotReady("closed") if self.state == "closed" else Finish("cancelled", _words(request), shown)


def _words(request: Request) -> int:
    return sum(len(message.content.split()) for message in request.messages)
