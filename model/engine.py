"""The engine as its callers see it: a request goes in, pieces of text come out. Knows no network and no tokenizer.

An Engine lives in one process and is used from one asyncio event loop. `model.local.LocalEngine` is the real one.
Errors: see `model.errors`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from model.chat import Message
from model.errors import EngineError
from model.manifest import BaseModel, Unshelved
from model.memory import Plan


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. `temperature` 0 is greedy; the same `seed` gives the same draws whoever is a neighbour.

    `repetition_penalty` makes every token that the answer already holds so many times less likely (1: off).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 512
    seed: int | None = None
    stop: tuple[str, ...] = ()
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to answer, how, and with which LoRA (None: the base model)."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    lora: str | None = None


FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a generation ended, and its size in tokens."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One look at the engine. `beat_age` is the seconds since its thread last showed that it is alive.

    `loras` are those in memory, `live` the one that answers who names none (None: the base). `memory` is what was planned for.
    """

    state: Literal["loading", "ready", "failed", "closed"]
    detail: str
    running: int
    waiting: int
    slots: int
    queue: int
    beat_age: float
    loras: tuple[str, ...] = ()
    live: str | None = None
    memory: Plan | None = None

    @property
    def room(self) -> int:
        """How many more requests would be taken now."""
        return self.slots + self.queue - self.running - self.waiting


class Generation:
    """One answer on its way: iterate over its pieces, or cancel it. The engine feeds it from its event loop."""

    def __init__(self, lora: str | None, on_cancel: Callable[[], None]) -> None:
        self.lora = lora
        self.finish: Finish | None = None
        self._on_cancel = on_cancel
        self._pieces: asyncio.Queue[str | Finish | EngineError] = asyncio.Queue()

    def feed(self, item: str | Finish | EngineError) -> None:
        """The engine's side: a piece of text, or the end of it."""
        self._pieces.put_nowait(item)

    def cancel(self) -> None:
        """Frees the slot between two steps. Harmless once the generation has ended."""
        self._on_cancel()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yields whole characters as they come; `finish` is set when it ends. Raises EngineError."""
        while self.finish is None:
            match await self._pieces.get():
                case Finish() as finish:
                    self.finish = finish
                case str(piece):
                    yield piece
                case error:
                    raise error


class Engine(Protocol):
    """Messages in, text out, for many requests at once."""

    @property
    def name(self) -> str:
        """The base model, as people call it."""
        ...

    @property
    def base(self) -> BaseModel:
        """What a LoRA must have been trained on to run here. Once started."""
        ...

    async def start(self) -> None:
        """Loads the model; returns when it answers. Raises ModelNotFound, ModelDamaged or DeviceUnusable."""
        ...

    async def close(self) -> None:
        """Ends what runs (their callers see NotReady) and frees the model."""
        ...

    def status(self) -> EngineStatus:
        """One look at the engine; cheap, never blocks."""
        ...

    async def check(self, request: Request) -> None:
        """Raises what `generate` would raise now, but for Busy."""
        ...

    async def generate(self, request: Request) -> Generation:
        """Takes the request in. Raises NotReady, Busy, ContextLengthExceeded or UnknownLora."""
        ...

    async def load(self, lora: Unshelved) -> None:
        """Takes a verified LoRA into memory between two steps; one that is there already stays.

        Raises LoraDamaged (shapes that do not fit the base), Busy (no memory for it) or NotReady.
        """
        ...

    async def switch(self, lora_id: str | None) -> None:
        """Makes a loaded LoRA, or the base, `live` for requests from now on. Raises UnknownLora or NotReady."""
        ...

    async def unload(self, lora_id: str) -> None:
        """Frees a LoRA once its last request has ended; new ones no longer get it. Raises UnknownLora for the live one."""
        ...
