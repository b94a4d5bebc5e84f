"""Our engine at work, asked as the bot asks it. Reads one JSON task a line and answers each with one; see `_TASKS`.

Started as `python -m deploy.bench.ours MODELS`. Times are taken where tokens are drawn, in the engine's thread.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save
from transformers.utils.logging import disable_progress_bar

from model import weights
from model.chat import Message
from model.device import find_device
from model.engine import Request, Sampling
from model.errors import EngineError
from model.local import LocalEngine
from model.manifest import Draft, Lora, Unshelved
from model.network import Network
from model.sampler import Sampler

STREAMS, _CONTEXT, _RANK, _PREFIX_BYTES = 16, 2048, 8, 256 * 2**20
_WORDS = ("the", "my", "router", "bank", "card", "line", "phone", "bill", "account", "why", "how", "is", "slow", "lost", "open", "pay")
LORAS = ("night-1", "night-2", "night-3")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens of `rows` rows were there at `at`."""

    at: float
    rows: int


class Timed(Network):
    """A Network that notes when its tokens were there, and never ends an answer by itself."""

    def __init__(self, loaded: weights.Loaded) -> None:
        super().__init__(loaded, slots=STREAMS, context=_CONTEXT, prefix_bytes=_PREFIX_BYTES)
        self.steps: list[Drawn] = []
        self.firsts: list[float] = []
        self.linears = {
            name: (module.in_features, module.out_features)
            for name, module in loaded.network.named_modules()
            if isinstance(module, torch.nn.Linear) and name != "lm_head"
        }

    def read(self, row: int, start: int, tokens: Sequence[int], sampler: Sampler | None, lora: str | None = None) -> int | None:
        first = super().read(row, start, tokens, sampler, lora)
        if sampler is not None:
            self.firsts.append(time.perf_counter())
        return first

    def decode(self, tokens: Sequence[int], samplers: Sequence[Sampler], loras: Sequence[str | None], first: int = 0) -> list[int]:
        drawn = super().decode(tokens, samplers, loras, first)
        self.steps.append(Drawn(time.perf_counter(), len(tokens)))
        return drawn


class Bench:
    """The tasks. Every figure in tokens a second, or seconds."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._numbers = random.Random(0)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator["Bench"]:
        self._engine = LocalEngine("embedded", self._load, slots=STREAMS, queue=32)
        await self._engine.start()
        for number, name in enumerate(LORAS):
            await self._engine.load(self._lora(name, number))
        try:
            yield self
        finally:
            await self._engine.close()

    def _load(self) -> Network:
        """In the engine's thread, as when it serves: threads of torch for another one would make its own sleep between products."""
        self._network = Timed(weights.load(weights.find("embedded", self._models), find_device("auto")))
        self._network.tokens.stops = frozenset()
        return self._network

    def _lora(self, name: str, seed: int) -> Unshelved:
        """Small random factors on every linear layer."""
        numbers = torch.Generator().manual_seed(seed)
        tensors = {}
        for path, (width, out) in self._network.linears.items():
            tensors[f"base_model.model.{path}.lora_A.weight"] = torch.randn(_RANK, width, generator=numbers) * 0.02
            tensors[f"base_model.model.{path}.lora_B.weight"] = torch.randn(out, _RANK, generator=numbers) * 0.02
        draft = Draft(name, datetime.now(UTC), self._network.base, "0" * 64, 0, {}, (), ())
        return Unshelved(Lora(draft, 1, {}, Path()), save(tensors), _RANK, 2 * _RANK, False)

    def _words(self, count: int) -> str:
        return " ".join(self._numbers.choices(_WORDS, k=count))

    def _request(self, words: int, tokens: int, system: str = "You help.", lora: str | None = None) -> Request:
        return Request((Message("system", system), Message("user", self._words(words))), Sampling(max_tokens=tokens), lora)

    async def _answer(self, request: Request) -> None:
        async for _ in await self._engine.generate(request):
            pass

    async def prompts(self, words: int) -> object:
        """Sixteen prompts as token ids, for the others too."""
        self._asked = [self._request(words, 64) for _ in range(STREAMS)]
        return {"prompts": [self._network.tokens.prompt(request.messages, 64) for request in self._asked]}

    async def decode(self, streams: int, tokens: int, lora: str = "none") -> object:
        """Tokens a second of all streams together, while all of them are being answered. `lora`: none, one for all, or mixed."""
        chosen = {"none": [None], "one": [LORAS[0]], "mixed": [*LORAS, None]}[lora]
        asked = [
            replace(request, sampling=Sampling(max_tokens=tokens + 5 * streams), lora=chosen[at % len(chosen)])  # the first begin early
            for at, request in enumerate(self._asked[:streams])
        ]
        self._network.forget()
        self._network.steps.clear()
        await asyncio.gather(*map(self._answer, asked))
        full = [step.at for step in self._network.steps if step.rows == streams][:tokens]
        return {"rate": streams * (len(full) - 1) / (full[-1] - full[0])}

    async def first_token(self, shared: int, new: int) -> object:
        """Seconds to the first token after a system prompt of about `shared` tokens: never seen, and seen before."""
        system = self._words(shared - 10)
        found = []
        for _ in range(2):
            self._network.firsts.clear()
            started = time.perf_counter()
            await self._answer(self._request(new - 8, 2, system))
            found.append(self._network.firsts[0] - started)
        return {"uncached": found[0], "cached": found[1]}

    async def long_prompt(self, streams: int, length: int) -> object:
        """Gaps of streams while a long prompt is read beside them, against before; and its first token, against an idle engine's."""
        self._network.forget()
        long = self._request(length - 20, 2)
        alone = await self._first_of(long)
        self._network.forget()
        self._network.steps.clear()
        running = [asyncio.create_task(self._answer(request)) for request in (self._request(20, 250) for _ in range(streams))]
        while len([step for step in self._network.steps if step.rows == streams]) < 40:
            await asyncio.sleep(0.005)
        started = time.perf_counter()
        beside = await self._first_of(long)
        ended = time.perf_counter()
        times = [step.at for step in self._network.steps if step.rows >= streams]
        gaps = [(at, at - before) for before, at in pairwise(times)]
        usual = statistics.median(gap for at, gap in gaps if at < started)
        reading = sorted(gap for at, gap in gaps if started < at <= ended)
        await asyncio.gather(*running)
        return {
            "gap": reading[int(0.99 * (len(reading) - 1))] / usual,
            "usual_s": usual,
            "gaps": len(reading),
            "first_alone_s": alone,
            "first_beside_s": beside,
        }

    async def _first_of(self, request: Request) -> float:
        self._network.firsts.clear()
        started = time.perf_counter()
        await self._answer(request)
        return self._network.firsts[0] - started

    async def change(self, old: str | None, new: str) -> None:
        """Loads another LoRA, makes it live and lets the old one go."""
        await self._engine.load(await asyncio.to_thread(self._lora, new, self._numbers.randrange(1000)))
        await self._engine.switch(new)
        if old is not None:
            await self._engine.unload(old)

    async def ask_often(self, times: int) -> None:
        """Short requests one after another, with the live LoRA."""
        for _ in range(times):
            await self._answer(self._request(6, 2, lora=self._engine.status().live))

    async def swap(self, streams: int, tokens: int) -> object:
        """The longest gap of streams while the live LoRA is changed ten times under them, and how many of them failed."""
        self._network.steps.clear()
        failed = 0
        done = asyncio.Event()

        async def stream(number: int) -> None:
            nonlocal failed
            while not done.is_set():
                try:
                    await self._answer(self._request(20, tokens, lora=self._engine.status().live))
                except EngineError:
                    failed += 1

        await self._engine.switch(LORAS[0])
        running = [asyncio.create_task(stream(number)) for number in range(streams)]
        await asyncio.sleep(0.5)
        for change in range(10):
            await self.change(f"swap-{change - 1}" if change else None, f"swap-{change}")
            await asyncio.sleep(0.2)
        done.set()
        await asyncio.gather(*running)
        await self._engine.switch(None)
        await self._engine.unload("swap-9")
        times = [step.at for step in self._network.steps]
        return {"gap_s": max(at - before for before, at in pairwise(times)), "failed": failed}


async def main() -> None:
    disable_progress_bar()
    async with Bench(Path(sys.argv[1])).engine() as bench:
        print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
        tasks = {task.__name__: task for task in (bench.prompts, bench.decode, bench.first_token, bench.long_prompt, bench.swap)}
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)
            print(json.dumps(await tasks[told.pop("task")](**told)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
