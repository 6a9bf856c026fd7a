"""Keys and values of a running decoding, in blocks with free space: a new token is written in place, nothing is copied.

Hand-written for a measured reason. A step of a model of the size of SmolLM2-135M (fp32, one thread, 160 tokens read)
took with 16 clips 118 ms here, 119 with transformers' dynamic cache, and 125, 131 and 147 with its static cache of 48,
128 and 352 more tokens. With 48 clips it took 260 ms here, 288, and 264, 287 and 323. The dynamic cache joins all keys
and values again at every token. The static cache attends to its whole length, written or not, and cannot drop clips
that have ended. Here blocks are added as responses grow, and attention sees views of what has been written. It has its
own file because it loads transformers, which `response_decoding.py` does only at the first response.
Legend: B clips, H heads of keys and values, N tokens so far, D width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from affect_lightning_plugins.transformers_versions import cache_argument, context_length, kept_cache

BLOCK = 64  # tokens; our choice: most responses need one block, and little memory is set aside in vain


class GrowingLayer(DynamicLayer):
    """One layer's keys and values [B, H, N, D], with room for more behind them."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, room: int) -> None:
        """Copy what has been read.

        Args:
            keys: [B, H, N, D].
            values: [B, H, N, D of the values].
            room: Tokens to make room for.
        """
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.keys, self.values = keys, values
        self._make_room(room)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        """Write the next tokens.

        Args:
            key_states: [B, H, new, D].
            value_states: [B, H, new, D of the values].
            args: Of other kinds of layers.
            options: The same.

        Returns:
            Views of all keys and all values so far.
        """
        before, new = self.keys.shape[2], key_states.shape[2]
        # What chooses, repeats or reorders rows puts tensors of its own in the place of our views.
        ours = self.keys.data_ptr() == self._key_blocks.data_ptr() and len(self.keys) == len(self._key_blocks)
        if not ours or before + new > self._key_blocks.shape[2]:
            self._make_room(max(BLOCK, new))
        self._key_blocks[:, :, before : before + new] = key_states
        self._value_blocks[:, :, before : before + new] = value_states
        self._show(before + new)
        return self.keys, self.values

    def _make_room(self, room: int) -> None:
        written = self.keys.shape[2]
        self._key_blocks, self._value_blocks = _with_room(self.keys, room), _with_room(self.values, room)
        self._show(written)

    def _show(self, written: int) -> None:
        self.keys = self._key_blocks[:, :, :written]
        self.values = self._value_blocks[:, :, :written]


def make_room(cache: Any, tokens: int) -> None:
    """Let a cache that has read the prompts take the tokens of the responses in place.

    Only layers that keep everything are changed. A sliding window, a linear attention or any other kind that
    transformers has or will have stays what it is, and so does a cache without layers.

    Args:
        cache: A transformers cache; changed in place.
        tokens: Tokens that may follow at most.
    """
    layers: list[Any] = getattr(cache, "layers", [])
    for index, layer in enumerate(layers):
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None:
            layers[index] = GrowingLayer(layer.keys, layer.values, min(tokens, BLOCK))


class GrowingSteps:
    """A running decoding whose keys and values grow with the responses; any kind of cache and of attention."""

    def __init__(self, model: Any, cache: Any, mask: Tensor, positions: Tensor, tokens: int) -> None:
        """Make room behind what has been read.

        Args:
            model: A transformers causal language model.
            cache: What it has read; changed in place.
            mask: [B, N], 0 for padding.
            positions: Of the next token, [B, 1].
            tokens: That may follow at most.
        """
        self._model, self._cache, self._mask, self._positions = model, cache, mask, positions
        self._padded = not bool(mask.all())
        context = context_length(model)
        self._last_position = None if context is None else context - 1
        make_room(cache, tokens)

    def row_counts(self, rows: int) -> int:
        """How many rows run on where this many are open: these and no others."""
        return rows

    def advance(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] after the chosen tokens [B]."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
        output = self._model(
            input_ids=chosen.unsqueeze(1),
            attention_mask=self._mask if self._padded else None,
            position_ids=self._positions,
            **cache_argument(self._model, self._cache),
            use_cache=True,
            logits_to_keep=1,
        )
        # A row that has ended with the context may stay for a while.
        self._cache, self._positions = kept_cache(output), (self._positions + 1).clamp(max=self._last_position)
        return output.logits[:, -1]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, given by their places in the batch."""
        kept = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(kept)
        self._mask, self._positions = self._mask[kept], self._positions[kept]


def _with_room(kept: Tensor, room: int) -> Tensor:
    clips, heads, written, width = kept.shape
    blocks = kept.new_empty(clips, heads, written + room, width)
    blocks[:, :, :written] = kept
    return blocks
