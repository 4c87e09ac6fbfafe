"""Keys and values of a batch whose rows share prompts, start at different lengths and leave at different times.

transformers' own caches copy the whole batch at every token and keep finished rows to the end. This one writes in place
into buffers with room to grow, is filled by small groups of prompts (which keeps prefill in the processor's caches) and
drops rows. It knows nothing of tokens or sampling.

Shapes: ``R`` rows, ``H`` key heads, ``C`` capacity in positions, ``D`` size of a head.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

from agentark.errors import InvalidInput

_ROOM = 64  # Positions added at a time; growing copies, so neither one by one nor all of a generous max_tokens at once.


class RowCache:
    """A cache for `rows` rows; prompts end at position `width`, shorter ones are padded on the left.

    Args:
        config: The model's configuration.
        rows: Rows in the batch.
        width: Length of the longest prompt, in tokens.

    Raises:
        InvalidInput: If the architecture keeps another state than keys and values.
    """

    def __init__(self, config: Any, rows: int, width: int) -> None:
        layers = DynamicCache(config=config).layers
        if not layers or any(not hasattr(layer, "keys") or hasattr(layer, "conv_states") for layer in layers):
            raise InvalidInput(
                f"models of type {config.model_type!r} keep more than keys and values, which the in-process engine "
                "cannot batch; serve the model with vLLM and give its URL instead"
            )
        self._layers = [_RowLayer(rows, width + _ROOM) for _ in layers]
        self._capacity = width + _ROOM
        self._width = width
        self.used = width
        """Positions in use, padding included."""
        self.past = Cache(layers=self._layers)
        """What a transformers model takes as ``past_key_values``."""

    def fill(self, start: int, repeats: torch.Tensor) -> None:
        """Send the next forward pass, over prompts only, to the rows from `start` on.

        Args:
            start: First row.
            repeats: How many rows each prompt of the pass gets, shape ``(prompts,)``.
        """
        for layer in self._layers:
            layer.fill(start, repeats, self._width)

    def extend(self) -> None:
        """Make the next forward pass, over one token of every row, take the next position."""
        if self.used == self._capacity:
            self.keep(torch.arange(self._layers[0].rows), 0)
        self.used += 1
        for layer in self._layers:
            layer.extend(self.used)

    def keep(self, rows: torch.Tensor, drop: int) -> None:
        """Keep only some rows, and forget the first positions.

        Args:
            rows: Indices of the rows that stay, in their new order, shape ``(R,)``.
            drop: Leading positions that none of them needs.
        """
        self._capacity = self.used - drop + _ROOM
        for layer in self._layers:
            layer.keep(rows, drop, self.used, self._capacity)
        self.used -= drop
        self._width -= drop


class _RowLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers has no types
    """One layer's buffers, both ``(R, H, C, D)``."""

    keys: torch.Tensor
    values: torch.Tensor
    is_sliding = False  # A sliding window is applied by the mask; the buffers hold every position.

    def __init__(self, rows: int, capacity: int) -> None:
        super().__init__()
        self.rows = rows
        self._capacity = capacity
        self._used = 0
        self._target: tuple[int, torch.Tensor, int] | None = None

    def fill(self, start: int, repeats: torch.Tensor, end: int) -> None:
        self._target = (start, repeats, end)
        self._used = 0

    def extend(self, used: int) -> None:
        self._target = None
        self._used = used - 1

    def keep(self, rows: torch.Tensor, drop: int, used: int, capacity: int) -> None:
        self.rows, self._capacity = len(rows), capacity
        rows = rows.to(self.keys.device)
        self.keys = self._moved(self.keys, rows, drop, used)
        self.values = self._moved(self.values, rows, drop, used)

    def _moved(self, old: torch.Tensor, rows: torch.Tensor, drop: int, used: int) -> torch.Tensor:
        new = self._buffer(old)
        torch.index_select(old[:, :, drop:used], 0, rows, out=new[:, :, : used - drop])
        return new

    def _buffer(self, like: torch.Tensor) -> torch.Tensor:
        # Zeros, for padded positions have no weight only as long as what lies there is a number.
        return like.new_zeros(self.rows, like.shape[1], self._capacity, like.shape[3])

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = self._buffer(key_states), self._buffer(value_states)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._target is not None:
            start, repeats, end = self._target
            stop, first = start + int(repeats.sum()), end - key_states.shape[2]
            self.keys[start:stop, :, first:end] = key_states.repeat_interleave(repeats, dim=0)
            self.values[start:stop, :, first:end] = value_states.repeat_interleave(repeats, dim=0)
            return key_states, value_states
        used = self._used + 1
        self.keys[:, :, used - 1 : used] = key_states
        self.values[:, :, used - 1 : used] = value_states
        return self.keys[:, :, :used], self.values[:, :, :used]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._used + query_length, 0

    def get_seq_length(self) -> int:
        return self._used

    def get_max_length(self) -> int:
        return -1
