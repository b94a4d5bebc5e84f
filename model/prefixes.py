"""Beginnings of prompts that were read before: which of them are kept, and for how long. Pure; knows no network and no tensor.

Prompts are kept in blocks of 32 tokens, each known by everything before it, so that conversations share the system prompt
and each its own past. What was read with one LoRA is nothing to another. The bytes are bounded; who was not asked for longest goes first.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

Kept = TypeVar("Kept")

BLOCK = 32


class Prefixes(Generic[Kept]):
    """Whatever was kept of each block; every block takes `block_bytes`, all together at most `limit`."""

    def __init__(self, limit: int, block_bytes: int) -> None:
        self._most = limit // block_bytes
        self._blocks: OrderedDict[bytes, Kept] = OrderedDict()
        self._loras: dict[bytes, str | None] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def known(self, lora: str | None, tokens: Sequence[int]) -> int:
        """How many tokens at the beginning are kept: whole blocks, and never the last token, whose logits are wanted."""
        return BLOCK * len(self.find(lora, tokens))

    def find(self, lora: str | None, tokens: Sequence[int]) -> Sequence[Kept]:
        """The blocks at the beginning of these tokens that are kept, in order; they count as asked for."""
        found = []
        for key in _keys(lora, tokens[:-1]):
            if key not in self._blocks:
                break
            found.append(key)
        self._touch(found)
        return [self._blocks[key] for key in found]

    def keep(self, lora: str | None, tokens: Sequence[int], copy: Callable[[int, int], Kept]) -> None:
        """Keeps every whole block of these tokens; `copy(start, stop)` makes what is kept of one that is not there yet."""
        keys = list(_keys(lora, tokens))[: self._most]
        for number, key in enumerate(keys):
            if key not in self._blocks:
                self._blocks[key] = copy(BLOCK * number, BLOCK * (number + 1))
                self._loras[key] = lora
        self._touch(keys)
        while len(self._blocks) > self._most:
            oldest, _ = self._blocks.popitem(last=False)
            del self._loras[oldest]

    def drop(self, lora: str) -> None:
        """Forgets all that was read with this LoRA: another one may come under its name."""
        for key in [key for key, owner in self._loras.items() if owner == lora]:
            del self._blocks[key], self._loras[key]

    def clear(self) -> None:
        self._blocks.clear()
        self._loras.clear()

    def _touch(self, keys: Sequence[bytes]) -> None:
        """The first block last: without it, those behind it can't be found, so it goes after them."""
        for key in reversed(keys):
            self._blocks.move_to_end(key)


def _keys(lora: str | None, tokens: Sequence[int]) -> Iterator[bytes]:
    """A digest for each whole block, of it and of all that is before it."""
    digest = repr(lora).encode()
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        digest = blake2b(digest + array("q", tokens[start : start + BLOCK]).tobytes(), digest_size=16).digest()
        yield digest
