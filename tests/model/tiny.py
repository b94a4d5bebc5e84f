"""Tiny random models of real families, and an engine whose passes a test can interrupt. Knows nothing of the embedded model."""

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config, PreTrainedConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen3Config

from model.chat import Message
from model.device import Device
from model.engine import Generation, Request, Sampling
from model.local import LocalEngine
from model.network import Network
from model.sampler import Sampler
from model.slots import Place
from model.weights import Base, Loaded

FP32 = Device("cpu", torch.float32)
CONTEXT = 512
_SENTENCE = "hello the quick brown fox jumps over my lazy card and how do I cancel order 0123456789 ?"
_WORDS = _SENTENCE.split()
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
    "original_max_position_embeddings": CONTEXT // 2,
}
FAMILIES: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "llama": (LlamaConfig, {"num_key_value_heads": 2}),
    "qwen2": (Qwen2Config, {"num_key_value_heads": 2}),
    "phi3": (Phi3Config, {"sliding_window": 262144}),
    "qwen3": (Qwen3Config, {"num_key_value_heads": 2, "head_dim": 16}),  # norms of q and k: runs through transformers' own forward pass
    "phi3.5": (Phi3Config, {"rope_parameters": LONGROPE, "original_max_position_embeddings": CONTEXT // 2}),
}


def save_tiny(folder: Path, family: str, **changes: object) -> Base:
    """A random model of two layers and its tokenizer, in fp32. It never ends an answer by itself: the stop token's logit is 0."""
    tokenizer = _tokenizer()
    config_class, shape = FAMILIES[family]
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.5,  # far apart logits: a greedy answer wanders instead of repeating one token
    }
    config = config_class(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        **(sizes | shape | changes),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        network.lm_head.weight[tokenizer.all_special_ids] = 0.0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Base(f"tiny-{family}", folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE over a few words; without the other bytes, so that every random answer is text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False)
    bpe.train_from_iterator([f"{_SENTENCE} system user assistant\n"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"], chat_template=_TEMPLATE
    )


def ask(label: int | None, words: int = 5, lora: str | None = None, **sampling: Any) -> Request:
    """A request with a question of so many words, greedy unless told. `label` seeds question and sampling: it tells requests apart."""
    question = " ".join(random.Random(label).choices(_WORDS, k=words))
    settings: dict[str, Any] = {"temperature": 0.0, "max_tokens": 24, "seed": label}
    return Request((Message("system", "hello"), Message("user", question)), Sampling(**settings | sampling), lora)


class Traced(Network):
    """A Network that remembers the tokens of every answer, and lets a test act in the middle of a pass.

    `script` says what happens in the event loop while pass n runs (1 is the first), after its keys and values were
    written; what that raises, the pass raises.
    """

    def __init__(self, loaded: Loaded, *, slots: int = 4, context: int = CONTEXT, prefix_bytes: int = 2**20) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(loaded, slots=slots, context=context, prefix_bytes=prefix_bytes)
        self.worthwhile = 0  # tiny networks would read everything in one chunk
        self.loaded = loaded
        self.script: dict[int, Callable[[], object]] = {}
        self.answers: dict[Sampling, list[int]] = {}
        self.passes = 0
        self.tokens_read = 0
        self._drawn: dict[Sampler, list[int]] = {}

    def sampler(self, sampling: Sampling) -> Sampler:
        sampler = super().sampler(sampling)
        self.answers[sampling] = self._drawn[sampler] = []
        return sampler

    def read(self, row: int, start: int, tokens: Sequence[int], sampler: Sampler | None, lora: str | None = None) -> int | None:
        first = super().read(row, start, tokens, sampler, lora)
        self.tokens_read += len(tokens)
        if sampler is not None and first is not None:
            self._drawn[sampler].append(first)
        return first

    def decode(self, tokens: Sequence[int], samplers: Sequence[Sampler], loras: Sequence[str | None], first: int = 0) -> list[int]:
        drawn = super().decode(tokens, samplers, loras, first)
        for sampler, token in zip(samplers, drawn, strict=True):
            self._drawn[sampler].append(token)
        return drawn

    def _forward(self, tokens: Sequence[Sequence[int]], place: Place) -> torch.Tensor:
        logits = super()._forward(tokens, place)
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._play(), self._loop).result(timeout=60)
        return logits

    @contextmanager
    def scripted(self) -> Iterator[None]:
        """Within, every pass waits for the event loop that runs now to play its part of the script."""
        self._loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            self._loop = None

    async def _play(self) -> None:
        self.passes += 1
        result = self.script.get(self.passes, lambda: None)()
        if inspect.isawaitable(result):
            await result


def throw(error: Exception) -> NoReturn:
    """Raises it, where only an expression fits."""
    raise error


@asynccontextmanager
async def serving(network: Traced, *, slots: int = 4, queue: int = 8) -> AsyncIterator[LocalEngine]:
    """A started engine over this network, closed at the end."""
    engine = LocalEngine("tiny", lambda: network, slots=slots, queue=queue)
    with network.scripted():
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()


async def text_of(generation: Generation) -> str:
    """All of an answer."""
    return "".join([piece async for piece in generation])


async def answers(engine: LocalEngine, requests: Iterable[Request]) -> list[str]:
    """The answers to requests that arrive together."""
    generations = [await engine.generate(request) for request in requests]
    return [await text_of(generation) for generation in generations]


@dataclass(frozen=True)
class Alone:
    """The greedy answer of transformers' own `generate` to one request; `gaps` are its top-2 logit differences."""

    tokens: list[int]
    gaps: list[float]

    def confirms(self, tokens: Sequence[int], *, cut: bool = False) -> bool:
        """Whether `tokens` are this answer (with `cut`: its beginning).

        Batched and single products round differently, so at a tie (a gap below 1e-4) they may part, and what
        follows is then another answer; anywhere else every token has to agree.
        """
        for ours, theirs, gap in zip(tokens, self.tokens, self.gaps, strict=False):
            if ours != theirs:
                return gap < 1e-4
        return len(tokens) == len(self.tokens) or (cut and len(tokens) < len(self.tokens))


def alone(network: Traced, request: Request) -> Alone:
    """What the request is answered when it has the model for itself."""
    prompt = torch.tensor([network.tokens.prompt(request.messages, request.sampling.max_tokens)])
    output = network.loaded.network.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=min(request.sampling.max_tokens, network.context - prompt.shape[1]),
        eos_token_id=sorted(network.tokens.stops),
        return_dict_in_generate=True,
        output_logits=True,
    )
    best = torch.cat(output.logits).topk(2).values
    return Alone(output.sequences[0, prompt.shape[1] :].tolist(), (best[:, 0] - best[:, 1]).tolist())
