"""The order of an epoch over a packed set: drawn, split by rank, and such that few shards are needed at a time.

The shards come in random order, and each rank takes an equal run of their clips. Within its run a clip is drawn from a
sliding window of shards: when one is used up, the next one enters. Everything is a function of (seed, epoch, rank), and
only arrays are kept. `ordering.py` has the order of clips in folders, `loading.py` gives out the batches. Legend: B
clips.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from affect_lightning.data.ordering import (
    SampleKey,
    SetBalance,
    check_order_options,
    common_state_options,
    drawn_order,
)
from affect_lightning.errors import ConfigurationError

SHUFFLE_WINDOW = 16  # our choice: about 1000 clips of MER-Caption+ to draw from, and 1 GiB of disk


class EpochBatches(Sequence[list[SampleKey]]):
    """Batches of an epoch, made when they are asked for.

    Args:
        order: The rank's clips, [clips of the rank].
        batch_size: B.
        epoch: Of the keys.
        repeated: How many at the end only fill up, and are not valid.
    """

    def __init__(self, order: np.ndarray, batch_size: int, epoch: int, repeated: int) -> None:
        self.order, self.batch_size, self.epoch, self.repeated = order, batch_size, epoch, repeated

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    @overload
    def __getitem__(self, index: int) -> list[SampleKey]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[SampleKey]]: ...
    def __getitem__(self, index: int | slice) -> list[SampleKey] | list[list[SampleKey]]:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        start = range(len(self))[index] * self.batch_size
        real = len(self.order) - self.repeated
        clips = self.order[start : start + self.batch_size].tolist()
        return [SampleKey(clip, self.epoch, start + offset < real) for offset, clip in enumerate(clips)]

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return (self[position] for position in range(len(self)))


@dataclass(frozen=True)
class ShardedPlan:
    """Which clips each batch of an epoch holds; what `loading.BatchPlan` is for clips in folders, by the same rules.

    Attributes:
        shards: The shard of each clip, ascending [clips].
        batch_size: B.
        shuffle: Draw a new order every epoch; otherwise the set's order.
        seed: Of the order.
        rank: This process.
        world_size: Number of processes.
        groups: Which set each clip is of, from 0 on [clips]; empty if they are all of one.
        balance: See `BatchPlan`.
        weights: Of each set, by its number in `groups`; see `BatchPlan`.
        window: Shards that the clips are drawn from at a time.
        set_hash: Of the packed set, for the state.
    """

    shards: np.ndarray = field(repr=False)
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint16), repr=False)
    balance: SetBalance = "natural"
    weights: tuple[float, ...] = ()
    window: int = SHUFFLE_WINDOW
    set_hash: str = ""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigurationError(f"The batch size must be at least 1; got {self.batch_size}.")
        if self.window < 1:
            raise ConfigurationError(f"shuffle_window must be at least 1 shard; got {self.window}.")
        check_order_options(self.balance, 0)

    @property
    def clip_count(self) -> int:
        """Clips of the split."""
        return len(self.shards)

    @property
    def clips_per_rank(self) -> int:
        """Clips that each rank is given, a repeated one included."""
        return math.ceil(self.clip_count / self.world_size)

    def __len__(self) -> int:
        return math.ceil(self.clips_per_rank / self.batch_size)

    def batches(self, epoch: int) -> EpochBatches:
        """This rank's batches of an epoch, in order. Without shuffling, all epochs are alike."""
        epoch = epoch if self.shuffle else 0
        order, first = self._rank_order(epoch)
        repeated = self.clips_per_rank - len(order)
        filled = np.concatenate([order, np.full(repeated, first, order.dtype)]) if repeated else order
        return EpochBatches(filled, self.batch_size, epoch, repeated)

    def state_options(self) -> dict[str, Any]:
        """What the order depends on."""
        return common_state_options(self, self.weights) | {"packed": self.set_hash, "window": self.window}

    def _rank_order(self, epoch: int) -> tuple[np.ndarray, int]:
        """This rank's clips, and the clip that fills up where one is short."""
        clips = self._clips_by_shard(epoch)
        starts = [rank * len(clips) // self.world_size for rank in (self.rank, self.rank + 1)]
        own = clips[slice(*starts)]
        if self.shuffle:
            own = own[sliding_order(self.shards[own], self.window, self._random(epoch, self.rank + 1))]
        return own, int(own[0] if len(own) else clips[0])

    def _clips_by_shard(self, epoch: int) -> np.ndarray:
        """The epoch's clips of all ranks, shard by shard, the shards in their order of this epoch."""
        if not self.shuffle:
            return np.arange(self.clip_count, dtype=np.int32)
        clips = np.arange(self.clip_count, dtype=np.int32)
        if self.balance != "natural" or self.weights:
            groups = self.groups.tolist()
            clips = np.asarray(drawn_order(groups, self.balance, self.seed, epoch, self.weights), dtype=np.int32)
        places = self._random(epoch, 0).permutation(int(self.shards[-1]) + 1)
        return clips[np.argsort(places[self.shards[clips]], kind="stable")]

    def _random(self, epoch: int, use: int) -> np.random.Generator:
        return np.random.default_rng([self.seed % 2**63, epoch, use])


def sliding_order(shards: np.ndarray, window: int, random: np.random.Generator) -> np.ndarray:
    """An order in which clips are drawn from a window of shards that slides along.

    A clip of the n-th shard comes at a random time between n and n + window. So at most `window + 1` shards are in use
    at any time. With no more shards than that, all clips are simply shuffled.

    Args:
        shards: Of each clip; equal ones are neighbours [clips].
        window: In shards.
        random: Draws.

    Returns:
        Positions in `shards`, each once.

    >>> sorted(sliding_order(np.array([4, 4, 2, 2, 2]), 1, np.random.default_rng(0)).tolist())
    [0, 1, 2, 3, 4]
    """
    changes = np.concatenate([[False], shards[1:] != shards[:-1]]) if len(shards) else np.zeros(0, bool)
    times = np.cumsum(changes, dtype=np.float64)
    window = min(window, int(times[-1]) + 1) if len(times) else window
    drawn = random.random(len(shards)) * window
    if len(times) and window > times[-1]:
        times[:] = 0.0
    return np.argsort(times + drawn, kind="stable")
