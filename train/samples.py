"""What two models write to the same questions, for people to compare: through the engine that serves, with its sampling."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from model.engine import Request, Sampling
from model.errors import ContextLengthExceeded
from model.local import LocalEngine
from model.manifest import Unshelved
from model.network import open_network
from train.examples import Example

Device = Literal["auto", "cpu", "cuda"]
_SLOTS = 8
_TOKENS = 64


def write(
    model: str, models: Path, device: Device, context: int, loras: Mapping[str, Unshelved | None], examples: Sequence[Example]
) -> dict[str, dict[str, str]]:
    """For each example (by id) the answer of each model; None among the LoRAs is the base. Raises EngineError."""
    return asyncio.run(_write(model, models, device, context, loras, examples))


async def _write(
    model: str, models: Path, device: Device, context: int, loras: Mapping[str, Unshelved | None], examples: Sequence[Example]
) -> dict[str, dict[str, str]]:
    engine = LocalEngine(
        model,
        lambda: open_network(model, models, device=device, slots=_SLOTS, context=context),
        slots=_SLOTS,
        queue=len(loras) * len(examples),
    )
    await engine.start()
    try:
        for lora in loras.values():
            if lora is not None:
                await engine.load(lora)
        wanted = [(example, name, lora) for example in examples for name, lora in loras.items()]
        texts = await asyncio.gather(*(_answer(engine, example, lora) for example, _, lora in wanted))
    finally:
        await engine.close()
    found: dict[str, dict[str, str]] = {example.id: {} for example in examples}
    for (example, name, _), text in zip(wanted, texts, strict=True):
        found[example.id][name] = text
    return found


async def _answer(engine: LocalEngine, example: Example, lora: Unshelved | None) -> str:
    sampling = Sampling(max_tokens=_TOKENS, repetition_penalty=1.15)
    try:
        generation = await engine.generate(Request(example.messages, sampling, lora.lora.id if lora is not None else None))
    except ContextLengthExceeded:
        return "(longer than the context window)"
    return "".join([piece async for piece in generation]).strip()
