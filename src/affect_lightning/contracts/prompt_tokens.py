"""Prompts as numbers: token ids of a batch, and where feature tokens and learnt positions are in them.

All of it is known from texts alone, so it is made on the processor, where clips are read, and sent along with a batch:
the device never has to be asked how long a clip is. `model/prompt_tokens.py` makes it, `model/prompt_assembly.py` and the
language models use it.
Legend: B clips, L tokens of the longest, T real tokens of all clips, R learnt positions, K feature tokens of a stream, P tokens
put before a row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

IGNORED_LABEL = -100


@dataclass(frozen=True)
class RowLayout:
    """Where the tokens of a batch of padded rows [B, L] are. A place counts row after row: row * L + column.

    Attributes:
        lengths: Real tokens of each clip; plain numbers.
        real: Places of all real tokens, clip by clip [T].
        positions: Of each real token in its clip, from 0 [T].
        cumulative: Real tokens before each clip, and after the last, int32 [B + 1].
        predicting: Places of tokens after which a token is learnt [R].
        predicting_packed: Which of the T real tokens they are [R].
    """

    lengths: tuple[int, ...]
    real: Tensor
    positions: Tensor
    cumulative: Tensor
    predicting: Tensor
    predicting_packed: Tensor

    @classmethod
    def of(cls, attention_mask: Tensor, labels: Tensor) -> RowLayout:
        """The layout of rows; it reads both tensors, so it waits for a device that holds them, and stays on the processor.

        Args:
            attention_mask: [B, L], 1 for real tokens.
            labels: [B, L]; -100 where nothing is learnt. A token is predicted by the real token before it.
        """
        import torch

        mask = attention_mask.detach().cpu().numpy().astype(bool)
        learnt = np.zeros_like(mask)
        learnt[:, :-1] = (labels.detach().cpu().numpy()[:, 1:] != IGNORED_LABEL) & mask[:, :-1]
        lengths = mask.sum(axis=1)
        predicting = np.flatnonzero(learnt)
        return cls(
            lengths=tuple(map(int, lengths)),
            real=torch.from_numpy(np.flatnonzero(mask)),
            positions=torch.from_numpy((mask.cumsum(axis=1, dtype=np.int64) - 1)[mask]),
            cumulative=torch.from_numpy(np.concatenate([[0], lengths.cumsum()]).astype(np.int32)),
            predicting=torch.from_numpy(predicting),
            predicting_packed=torch.from_numpy((mask.cumsum(dtype=np.int64) - 1)[predicting]),
        )

    def behind(self, tokens: int, width: int) -> RowLayout:
        """The layout of the same rows with so many real tokens before each, of which none is learnt; nobody is asked.

        Args:
            tokens: P, put before each of the B rows.
            width: L, places of a row before.
        """
        import torch

        clips, device = len(self.lengths), self.real.device
        before = torch.arange(tokens, device=device)
        rows = self.real.div(width, rounding_mode="floor")  # of each real token
        places = torch.arange(len(self.real), device=device) + (rows + 1) * tokens
        starts = self.cumulative[:-1].long() + torch.arange(clips, device=device) * tokens
        order = torch.cat([(starts[:, None] + before).flatten(), places])  # where each token comes to stand
        firsts = (torch.arange(clips, device=device) * (width + tokens))[:, None] + before
        real = torch.cat([firsts.flatten(), self.real + (rows + 1) * tokens])
        positions = torch.cat([before.repeat(clips), self.positions + tokens])
        learning = self.predicting.div(width, rounding_mode="floor") + 1
        return RowLayout(
            lengths=tuple(length + tokens for length in self.lengths),
            real=torch.empty_like(real).index_copy(0, order, real),
            positions=torch.empty_like(positions).index_copy(0, order, positions),
            cumulative=self.cumulative + (torch.arange(clips + 1, device=device) * tokens).int(),
            predicting=self.predicting + learning * tokens,
            predicting_packed=self.predicting_packed + learning * tokens,
        )

    def with_each(self, change: Callable[[Tensor], Tensor]) -> RowLayout:
        """The same with every tensor changed, such as moved to a device."""
        return RowLayout(
            self.lengths,
            change(self.real),
            change(self.positions),
            change(self.cumulative),
            change(self.predicting),
            change(self.predicting_packed),
        )


@dataclass(frozen=True)
class PromptTokens:
    """The prompts of a batch, with responses where these are known.

    Attributes:
        ids: Token ids [B, L]; 0 at padding and where a feature token goes.
        attention_mask: [B, L], 1 for real tokens.
        labels: [B, L]; -100 everywhere but on responses.
        feature_places: By stream, where its feature tokens go, clip by clip [B * K]; a place is row * L + column.
        layout: Of the rows.
        made_of: What they were made of, to tell whether a batch still has them.
    """

    ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    feature_places: Mapping[str, Tensor]
    layout: RowLayout
    made_of: Hashable = field(default=None, compare=False)

    def with_each(self, change: Callable[[Tensor], Tensor]) -> PromptTokens:
        """The same with every tensor changed, such as moved to a device."""
        return replace(
            self,
            ids=change(self.ids),
            attention_mask=change(self.attention_mask),
            labels=change(self.labels),
            feature_places={name: change(places) for name, places in self.feature_places.items()},
            layout=self.layout.with_each(change),
        )
