"""The slot KV cache: one fixed row of keys and values a running request. Knows nothing of tokens or requests.

One tensor holds K and V of every layer as [layers, slots, context, 2, heads, head_dim]. A decode step is one batch over the
first n rows, each writing at its own position; reading a prompt writes one row. Attention gets views, so nothing is copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass(frozen=True, slots=True)
class Shape:
    """What one position of a row takes: `layers` times K and V of `heads` heads of `head_dim` numbers of type `dtype`."""

    layers: int
    heads: int
    head_dim: int
    dtype: torch.dtype

    @property
    def position_bytes(self) -> int:
        return self.layers * 2 * self.heads * self.head_dim * self.dtype.itemsize


@dataclass(slots=True)
class Place:
    """Where the pass that runs now reads and writes.

    `rows` of the cache up to `length`, this pass included; `flat` [rows · new] are the positions it writes, counted over all
    slots; `positions` and `mask` are [rows, new] and [rows, 1, new, length] (True: is seen).
    """

    rows: slice
    length: int
    flat: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not typed
    """One layer, as transformers' own forward pass uses it."""

    is_sliding = False

    def __init__(self, cache: "SlotCache", layer: int) -> None:
        super().__init__()
        self._cache, self._layer = cache, layer
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """There is nothing left to do."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes [rows, heads, new, dim] at the place of the pass; returns views [rows, heads, length, dim]."""
        both = torch.stack((key_states.transpose(1, 2), value_states.transpose(1, 2)), dim=2)
        self._cache.write(self._layer, both.flatten(0, 1).flatten(1))
        return self._cache.view(self._layer)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.place.length, 0

    def get_seq_length(self) -> int:
        return self._cache.place.length

    def get_max_length(self) -> int:
        return self._cache.context


class SlotCache(Cache):  # type: ignore[misc]  # transformers is not typed
    """Keys and values of `slots` requests of at most `context` tokens each.

    Call `read` or `decode` before each forward pass; both say what its `place` is. A decode pass counts only after
    `advance`: one that failed can be run again.
    """

    def __init__(self, shape: Shape, slots: int, context: int, device: torch.device) -> None:
        """Takes all its memory now. Zeros, not garbage: what is masked is multiplied by 0, and 0 times NaN would be NaN."""
        super().__init__(layers=[_SlotLayer(self, layer) for layer in range(shape.layers)])
        self.context = context
        self._shape = shape
        self._store = torch.zeros(
            shape.layers, slots, context, 2 * shape.heads * shape.head_dim, dtype=shape.dtype, device=device
        )  # fmt: skip
        self._flat = [layer.view(slots * context, -1) for layer in self._store]
        self._halves = [layer.view(slots, context, 2, shape.heads, shape.head_dim).transpose(1, 3) for layer in self._store]
        self._lengths = [0] * slots
        self._device = device

    def read(self, row: int, start: int, stop: int) -> Place:
        """A pass over prompt tokens `start`..`stop` of one row."""
        self._lengths[row] = stop
        positions = torch.arange(start, stop, device=self._device)
        mask = torch.arange(stop, device=self._device) <= positions[:, None]
        self.place = Place(slice(row, row + 1), stop, positions + row * self.context, positions[None], mask[None, None])
        return self.place

    def decode(self, rows: range) -> Place:
        """A pass over one new token of each of these rows."""
        lengths = [self._lengths[row] for row in rows]
        length = max(lengths) + 1
        positions = torch.tensor(lengths, device=self._device)
        flat = torch.tensor([row * self.context + at for row, at in zip(rows, lengths, strict=True)], device=self._device)
        mask = torch.arange(length, device=self._device) <= positions[:, None]
        self.place = Place(slice(rows.start, rows.stop), length, flat, positions[:, None], mask[:, None, None])
        return self.place

    def advance(self, rows: range) -> None:
        """The decode pass over these rows went through: each is one token longer."""
        for row in rows:
            self._lengths[row] += 1

    def copy(self, row: int, start: int, stop: int) -> torch.Tensor:
        """What positions `start`..`stop` of a row hold: [layers, stop - start, 2 · heads · head_dim]."""
        return self._store[:, row, start:stop].clone()

    def put(self, row: int, blocks: Sequence[torch.Tensor]) -> None:
        """Begins a row with what was copied from another, one block behind the other."""
        at = 0
        for block in blocks:
            self._store[:, row, at : at + block.shape[1]] = block
            at += block.shape[1]
        self._lengths[row] = at

    def write(self, layer: int, both: torch.Tensor) -> None:
        """Keys and values [rows · new, 2 · heads · head_dim] of this pass."""
        self._flat[layer].index_copy_(0, self.place.flat, both)

    def view(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values that this pass may see, each [rows, heads, length, head_dim]."""
        halves = self._halves[layer][self.place.rows, :, :, : self.place.length]
        return halves[:, :, 0], halves[:, :, 1]

    def move(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copies rows (source → target) in this order."""
        for source, target in moves:
            length = self._lengths[target] = self._lengths[source]
            self._store[:, target, :length] = self._store[:, source, :length]
