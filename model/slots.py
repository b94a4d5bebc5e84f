"""The slot KV cache: one fixed row of keys and values a running request. Knows nothing of tokens or requests.

Every layer holds K and V as [slots, heads, context, head_dim]. A decode step is one batch over the first n rows, each
writing at its own position; reading a prompt writes one row. Attention gets views, so nothing is copied.
"""

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class _Window:
    """Where the pass that runs now reads and writes; shared by all layers."""

    def __init__(self) -> None:
        self.rows = slice(0, 0)
        self.length = 0  # how far the longest row reaches, this pass included
        self.row_index: torch.Tensor | None = None  # [n], decode only
        self.positions: torch.Tensor | None = None  # [n], decode only
        self.span = slice(0, 0)  # prefill only


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not typed
    is_sliding = False

    def __init__(self, slots: int, context: int, window: _Window) -> None:
        super().__init__()
        self._slots, self._context, self._window = slots, context, window

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = self._empty(key_states)
        self.values = self._empty(value_states)
        self.is_initialized = True

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        """Zeros, not garbage: what is masked is multiplied by 0, and 0 times NaN would be NaN."""
        return like.new_zeros(self._slots, like.shape[1], self._context, like.shape[3])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes [rows, heads, new, dim] at the window; returns views [rows, heads, length, dim]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self._window
        if window.positions is None:
            self.keys[window.rows, :, window.span] = key_states
            self.values[window.rows, :, window.span] = value_states
        else:
            self.keys[window.row_index, :, window.positions] = key_states[:, :, 0]
            self.values[window.row_index, :, window.positions] = value_states[:, :, 0]
        return self.keys[window.rows, :, : window.length], self.values[window.rows, :, : window.length]

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of a row over another."""
        self.keys[target, :, :length] = self.keys[source, :, :length]
        self.values[target, :, :length] = self.values[source, :, :length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._window.length, 0

    def get_seq_length(self) -> int:
        return self._window.length

    def get_max_length(self) -> int:
        return self._context


class SlotCache(Cache):  # type: ignore[misc]  # transformers is not typed
    """Keys and values of `slots` requests of at most `context` tokens each, for a decoder of `layers` layers.

    Call `read` or `decode` before each forward pass; both return what the pass needs besides its tokens. A decode pass
    counts only after `advance`: one that failed can be run again.
    """

    def __init__(self, layers: int, slots: int, context: int, device: torch.device) -> None:
        self._window = _Window()
        super().__init__(layers=[_SlotLayer(slots, context, self._window) for _ in range(layers)])
        self._lengths = [0] * slots
        self._device = device

    def read(self, row: int, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A pass over prompt tokens `start`..`stop` of one row: positions [1, new] and a causal mask [1, 1, new, stop]."""
        window = self._window
        window.rows, window.span, window.length = slice(row, row + 1), slice(start, stop), stop
        window.row_index = window.positions = None
        self._lengths[row] = stop
        positions = torch.arange(start, stop, device=self._device)
        mask = torch.arange(stop, device=self._device) <= positions[:, None]
        return positions[None], mask[None, None]

    def decode(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A pass over one new token of each of the first rows: positions [rows, 1], mask [rows, 1, 1, longest]."""
        lengths = self._lengths[:rows]
        window = self._window
        window.rows, window.length = slice(0, rows), max(lengths) + 1
        window.row_index = torch.arange(rows, device=self._device)
        window.positions = torch.tensor(lengths, device=self._device)
        mask = torch.arange(window.length, device=self._device) <= window.positions[:, None]
        return window.positions[:, None], mask[:, None, None]

    def advance(self, rows: int) -> None:
        """The decode pass over the first rows went through: each is one token longer."""
        for row in range(rows):
            self._lengths[row] += 1

    def move(self, moves: Sequence[tuple[int, int]]) -> None:
        """Copies rows (source → target) in this order."""
        for source, target in moves:
            self._lengths[target] = self._lengths[source]
            for layer in self.layers:
                if layer.is_initialized:
                    layer.move(source, target, self._lengths[source])
