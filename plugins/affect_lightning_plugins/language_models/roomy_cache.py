"""Keys and values of a running decoding, kept in blocks with room, so that a token is written and nothing is copied.

Not in the paper, whose generation (Section 3.1, Eq. 2) is one clip at a time. transformers' dynamic cache joins all keys
and values anew at every token, which at 48 clips moves more memory than the weights of a small model; its static cache
attends to the whole length that was set aside, written or not. Here blocks are added as responses grow, and attention
sees views of what has been written. Used by `decoding.py`.
Legend: B clips, H heads of keys and values, N tokens so far, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

BLOCK = 64  # tokens; our choice: most responses need one block, and little memory is set aside in vain


class RoomyLayer(DynamicLayer):
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
        self._key_blocks, self._value_blocks = _with_room(keys, room), _with_room(values, room)
        self._show(keys.shape[2])

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
        before = self.keys.shape[2]
        after = before + key_states.shape[2]
        if after > self._key_blocks.shape[2]:
            room = max(BLOCK, key_states.shape[2])
            self._key_blocks, self._value_blocks = _with_room(self.keys, room), _with_room(self.values, room)
        self._key_blocks[:, :, before:after] = key_states
        self._value_blocks[:, :, before:after] = value_states
        self._show(after)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows of the batch, with their room."""
        written = self.keys.shape[2]
        self._key_blocks = self._key_blocks.index_select(0, indices)
        self._value_blocks = self._value_blocks.index_select(0, indices)
        self._show(written)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row of the batch, with its room."""
        rows = torch.arange(self.keys.shape[0], device=self.keys.device)
        self.batch_select_indices(rows.repeat_interleave(repeats))

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put the rows of the batch into another order."""
        self.batch_select_indices(beam_idx.to(self.keys.device))

    def reset(self) -> None:
        """Forget everything; the room stays."""
        self._show(0)

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
            layers[index] = RoomyLayer(layer.keys, layer.values, min(tokens, BLOCK))


def _with_room(kept: Tensor, room: int) -> Tensor:
    clips, heads, written, width = kept.shape
    blocks = kept.new_empty(clips, heads, written + room, width)
    blocks[:, :, :written] = kept
    return blocks
