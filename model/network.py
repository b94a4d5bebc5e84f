"""The network at work: reads prompts and decodes rows, on the device that was found. Knows no request and no thread."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from model import decoder, memory, pace, weights
from model.decoder import Decoder
from model.device import DeviceChoice, find_device, free_memory
from model.engine import Sampling
from model.errors import DeviceUnusable, OutOfMemory
from model.lora import Factors, Loras
from model.manifest import Unshelved
from model.memory import Plan
from model.prefixes import BLOCK, Prefixes
from model.sampler import Sampler, next_tokens
from model.slots import Place, SlotCache
from model.tokens import Tokens
from model.weights import Loaded

log = logging.getLogger(__name__)


def open_network(model: str, models: Path, *, device: DeviceChoice, slots: int, context: int, prefix_bytes: int = 0) -> "Network":
    """Finds, loads and warms up the model that CARE_MODEL names. Raises ModelNotFound, ModelDamaged or DeviceUnusable."""
    found = find_device(device)
    disable_progress_bar()  # a server's log is no terminal
    # Nothing is compiled (Pascal has no Triton), and bitsandbytes would import the compiler, which takes 1.5 s.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    base, free = weights.find(model, models), free_memory(found)
    plan = weights.plan(base, found, slots=slots, context=context, prefixes=prefix_bytes)
    log.info("memory", extra={"needed": str(plan), "free_bytes": free})
    memory.require(plan, free, found.name)
    return Network(weights.load(base, found), slots=slots, context=context, prefix_bytes=prefix_bytes, plan=plan)


class Network:
    """A loaded model with a slot cache of `slots` rows. Use it from one thread."""

    def __init__(self, loaded: Loaded, *, slots: int, context: int, prefix_bytes: int = 0, plan: Plan | None = None) -> None:
        """`context` is cut to the window the model was made for; `prefix_bytes` may be spent on beginnings of prompts."""
        self.name = loaded.name
        self.plan = plan
        self.base = loaded.identity
        self.context = min(context, loaded.context)
        self.tokens = Tokens(loaded, self.context)
        self._network = loaded.network
        self._loras = Loras(loaded.network)
        self._device = loaded.network.device
        position = weights.shape(loaded.network.config, loaded.network.dtype)
        self._prefixes: Prefixes[torch.Tensor] = Prefixes(prefix_bytes, BLOCK * position.position_bytes)
        with _start_memory(slots, self.context):
            self._cache = SlotCache(position, slots, self.context, self._device)
            fits = decoder.fits(loaded.network)
            self._decoder = Decoder(loaded.network, self._cache, self._loras, self.context) if fits else None
            self._warm_up(slots)
            self.worthwhile = pace.worthwhile(self._try_reading)

    def sampler(self, sampling: Sampling) -> Sampler:
        """What draws one request's tokens."""
        return Sampler(sampling)

    def unpack(self, lora: Unshelved) -> Factors:
        """A LoRA's tensors on this device, ready to attach; from any thread. Raises LoraDamaged or OutOfMemory."""
        with _memory():
            return self._loras.unpack(lora)

    def attach(self, lora_id: str, factors: Factors) -> None:
        """Makes a LoRA available to the passes that follow."""
        self._loras.attach(lora_id, factors)

    def detach(self, lora_id: str) -> None:
        """Frees a LoRA that no row wants any more, and what was read with it."""
        self._loras.detach(lora_id)
        self._prefixes.drop(lora_id)

    def known(self, prompt: Sequence[int], lora: str | None) -> int:
        """How many tokens at the beginning of a prompt `recall` would put into a row now; fewer than it has."""
        return self._prefixes.known(lora, prompt)

    @torch.inference_mode()
    def recall(self, row: int, prompt: Sequence[int], lora: str | None) -> None:
        """Puts what is known of a prompt into a row, instead of reading it."""
        self._cache.put(row, self._prefixes.find(lora, prompt))

    @torch.inference_mode()
    def keep(self, row: int, tokens: Sequence[int], lora: str | None) -> None:
        """Remembers what was read and written in a row, for prompts that begin alike. Without memory for it, nothing is remembered."""
        try:
            with _memory():
                self._prefixes.keep(lora, tokens, lambda start, stop: self._cache.copy(row, start, stop))
        except OutOfMemory:
            self.forget()

    def forget(self) -> None:
        """Frees the memory of all beginnings of prompts."""
        self._prefixes.clear()

    @torch.inference_mode()
    def move(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copies rows of the cache (source → target), in this order."""
        self._cache.move(moves)

    @torch.inference_mode()
    def read(self, row: int, start: int, tokens: Sequence[int], sampler: Sampler | None, lora: str | None = None) -> int | None:
        """Reads prompt tokens that begin at position `start` into a row; with a sampler, the first token of the answer.

        Raises OutOfMemory.
        """
        with _memory():
            self._loras.choose([lora])
            logits = self._forward([tokens], self._cache.read(row, start, start + len(tokens)))
            if sampler is None:
                logits[0, 0].item()  # a GPU computes on after the call: whoever measures the pass waits for its end
                return None
            return next_tokens(logits, [sampler])[0]

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int], samplers: Sequence[Sampler], loras: Sequence[str | None], first: int = 0) -> list[int]:
        """The next token of as many rows from `first` on, given the last one and the LoRA of each.

        Raises OutOfMemory; it can be tried again.
        """
        rows = range(first, first + len(tokens))
        with _memory():
            self._loras.choose(loras)
            logits = self._forward([[token] for token in tokens], self._cache.decode(rows))
            drawn = next_tokens(logits, samplers)
        self._cache.advance(rows)
        return drawn

    def _forward(self, tokens: Sequence[Sequence[int]], place: Place) -> torch.Tensor:
        """Logits [rows, vocabulary] of the last of each row's tokens [rows, new]."""
        ids = torch.tensor(tokens, device=self._device)
        if self._decoder is not None:
            return self._decoder.forward(ids, place)
        output = self._network(
            input_ids=ids,
            position_ids=place.positions,
            attention_mask=place.mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    @torch.inference_mode()
    def _warm_up(self, slots: int) -> None:
        """One pass of each kind: memory that does not suffice shows now, and the first person does not wait for it."""
        self._forward([[0]], self._cache.read(0, 0, 1))
        self._forward([[0]] * slots, self._cache.decode(range(slots)))

    @torch.inference_mode()
    def _try_reading(self, tokens: int) -> None:
        tokens = min(tokens, self.context)
        self._forward([[0] * tokens], self._cache.read(0, 0, tokens))[0, 0].item()


@contextmanager
def _start_memory(slots: int, context: int) -> Iterator[None]:
    """Memory that runs out at the start, as DeviceUnusable."""
    try:
        with _memory():
            yield
    except OutOfMemory as error:
        room = f"{slots} slots of {context} tokens"
        raise DeviceUnusable(f"{room} do not fit into memory; lower CARE_SLOTS or CARE_CONTEXT ({error})") from error


@contextmanager
def _memory() -> Iterator[None]:
    """Memory that ran out, on whatever device, as OutOfMemory."""
    try:
        yield
    except RuntimeError as error:
        if not weights.out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        raise OutOfMemory(str(error)) from error
