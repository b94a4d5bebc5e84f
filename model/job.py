"""One request in the engine, and what each new token of it means. Knows no thread and no network."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model.engine import Finish, FinishReason, Generation
from model.text import TextStream

if TYPE_CHECKING:
    from model.sampler import Sampler


@dataclass(slots=True)
class Job:
    """Its tokens are the engine thread's alone. `limit` is the most tokens of the answer."""

    id: int
    generation: Generation
    prompt: Sequence[int]
    sampler: "Sampler"
    text: TextStream
    limit: int
    written: list[int] = field(default_factory=list)

    @property
    def lora(self) -> str | None:
        return self.generation.lora

    def accept(self, token: int, stops: Collection[int]) -> tuple[str, FinishReason | None]:
        """The text that a new token makes safe to show, and why the answer ends with it, if it does."""
        self.written.append(token)
        if token in stops:
            return self.text.flush(), "stop"
        piece = self.text.push(token)
        if self.text.stopped:
            return piece, "stop"
        if len(self.written) < self.limit:
            return piece, None
        piece += self.text.flush()
        return piece, "stop" if self.text.stopped else "length"

    def finish(self, reason: FinishReason) -> Finish:
        return Finish(reason, len(self.prompt), len(self.written))
