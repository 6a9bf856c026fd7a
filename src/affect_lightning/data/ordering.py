"""The order of an epoch's clips: drawn, balanced between sets, batched by length; a pure function of seed and epoch.

Not in the paper, which trains on one set of clips of a few seconds each. Sets of very different size (MELD has eight
times the clips of CH-SIMS) and texts of very different length need both. `loading.py` gives out the batches; a packed
set has its own plan. Legend: B clips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, NamedTuple, Protocol, get_args

from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import ConfigurationError

SetBalance = Literal["natural", "square_root", "equal"]
_EXPONENTS = {"natural": 1.0, "square_root": 0.5, "equal": 0.0}


class SampleKey(NamedTuple):
    """What the loader asks a worker for.

    Attributes:
        clip: Position in the set.
        epoch: Counted from 0.
        valid: False for a repeated clip that only fills up a rank's last batch.
    """

    clip: int
    epoch: int = 0
    valid: bool = True


class EpochPlan(Protocol):
    """Which clips each batch of an epoch holds: `BatchPlan` for clips in folders, or the plan of a packed set."""

    @property
    def shuffle(self) -> bool:
        """Whether a new order is drawn every epoch."""

    @property
    def world_size(self) -> int:
        """Number of processes."""

    @property
    def clips_per_rank(self) -> int:
        """Clips that each rank is given, a repeated one included."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int) -> Sequence[list[SampleKey]]:
        """This rank's batches of an epoch, in order."""

    def state_options(self) -> dict[str, Any]:
        """What the order depends on."""


def common_state_options(plan: EpochPlan, weights: Sequence[float]) -> dict[str, Any]:
    """What the order of every plan depends on; the rank is left out, because one state serves all ranks."""
    names = ("clip_count", "batch_size", "shuffle", "seed", "world_size", "balance")
    return {name: getattr(plan, name) for name in names} | ({"weights": list(weights)} if weights else {})


def check_order_options(balance: str, length_pool: int) -> None:
    """Check the two options that rule the order.

    Raises:
        ConfigurationError: `balance` is none of `SetBalance`, or `length_pool` is negative.
    """
    if length_pool < 0:
        raise ConfigurationError(f"length_pool must be 0 or more batches; got {length_pool}.")
    if balance not in _EXPONENTS:
        raise ConfigurationError(f"set_balance must be one of {', '.join(get_args(SetBalance))}; got {balance!r}.")


def checked_weights(weights: Mapping[str, float] | None, sets: Sequence[str]) -> tuple[float, ...]:
    """The weight of each set; 1 for one that is not named, nothing at all if no set is named.

    Args:
        weights: By name of the set.
        sets: Names of all sets, in their order.

    Raises:
        ConfigurationError: A name is none of the sets, or a weight is not above 0.

    >>> checked_weights({"ovmerd": 3}, ["mer-caption-plus", "ovmerd"])
    (1.0, 3.0)
    """
    if not weights:
        return ()
    unknown = [name for name in weights if name not in sets]
    if unknown:
        raise ConfigurationError(
            f"set_weights names {', '.join(unknown)}, but train_sets names only {', '.join(sets)}."
        )
    wrong = {name: weight for name, weight in weights.items() if not 0.0 < weight < math.inf}
    if wrong:
        raise ConfigurationError(
            f"A weight in set_weights must be a number above 0; got {wrong}. To skip a set, remove it from train_sets."
        )
    return tuple(float(weights.get(name, 1.0)) for name in sets)


def clips_per_set(sizes: Sequence[int], balance: SetBalance, weights: Sequence[float] = ()) -> list[int]:
    """How many clips an epoch takes from each set; together as many as there are.

    A set's share grows with its size (natural), with the square root of it, or is the same for all (equal), times the
    set's weight. So with `natural` a weight says how often a clip of this set comes up for each time that a clip of
    weight 1 does; with `equal` the weights are the shares themselves.

    Args:
        sizes: Clips of each set, at least one.
        balance: Which of the three.
        weights: Of each set; empty for 1 each.

    >>> clips_per_set([900, 100], "natural"), clips_per_set([900, 100], "square_root"), clips_per_set([9, 1], "equal")
    ([900, 100], [750, 250], [5, 5])
    >>> clips_per_set([900, 100], "natural", [1, 3]), clips_per_set([900, 100], "equal", [1, 3])
    ([750, 250], [250, 750])
    """
    check_order_options(balance, 0)
    factors = weights or [1.0] * len(sizes)
    parts = [factor * size ** _EXPONENTS[balance] for size, factor in zip(sizes, factors, strict=True)]
    ends = [round(sum(sizes) * part / sum(parts)) for part in accumulate(parts)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def drawn_order(
    groups: Sequence[int], balance: SetBalance, seed: int, epoch: int, weights: Sequence[float] = ()
) -> list[int]:
    """Positions of an epoch's clips in a random order.

    Within a set every clip comes up equally often: a set that gives more clips than it has starts a new round.

    Args:
        groups: Which set each clip is of, as numbers from 0 on.
        balance: See `clips_per_set`.
        seed: Of the order.
        epoch: Counted from 0.
        weights: See `clips_per_set`.
    """
    if balance == "natural" and not weights:
        return _shuffled(len(groups), seed, epoch)
    members: list[list[int]] = [[] for _ in range(max(groups) + 1)]
    for clip, group in enumerate(groups):
        members[group].append(clip)
    chosen: list[int] = []
    for group, number in enumerate(clips_per_set([len(clips) for clips in members], balance, weights)):
        chosen += _next_of_set(members[group], number, epoch * number, seed * 1009 + group)
    shuffled = _shuffled(len(chosen), seed, epoch)
    return [chosen[position] for position in shuffled]


def _next_of_set(clips: Sequence[int], number: int, start: int, seed: int) -> list[int]:
    """`number` clips from the `start`-th on of the endless row of this set's shuffled rounds."""
    first, last = start // len(clips), (start + number - 1) // len(clips)
    row: list[int] = []
    for turn in range(first, last + 1):
        order = _shuffled(len(clips), seed, turn)
        row += [clips[position] for position in order]
    offset = start - first * len(clips)
    return row[offset : offset + number]


def batched_by_length(
    order: Sequence[int], lengths: Sequence[int], batch_size: int, pool: int | None, seed: int, epoch: int
) -> list[int]:
    """The order rearranged so that batches hold clips of like length; the batches themselves come in random order.

    Args:
        order: Positions of clips.
        lengths: Length of each clip, in any unit.
        batch_size: Clips a batch, over all processes.
        pool: So many batches are sorted together; None sorts everything.
        seed: Of the order of the batches.
        epoch: Counted from 0.
    """
    size = batch_size * (pool or math.ceil(len(order) / batch_size))
    ordered: list[int] = []
    for start in range(0, len(order), size):
        ordered += sorted(order[start : start + size], key=lambda clip: lengths[clip])
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    whole = len(batches) - (len(batches[-1]) < batch_size)  # a short batch stays the last one
    drawn = _shuffled(whole, seed + 1, epoch)
    return [clip for batch in [*(batches[index] for index in drawn), *batches[whole:]] for clip in batch]


def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers below `count` in an order that depends on nothing else."""
    import torch

    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(count, generator=generator).tolist()


@dataclass(frozen=True)
class BatchPlan:
    """Which clips each batch of an epoch holds.

    Every rank gets the same number of clips, and no clip goes to two ranks, except that a rank that would come short
    repeats its first clip with `valid` False.

    Attributes:
        clip_count: Clips in the set.
        batch_size: B.
        shuffle: Draw a new order every epoch; otherwise the set's order.
        seed: Of the order.
        rank: This process.
        world_size: Number of processes.
        groups: Which set each clip is of, from 0 on; empty if they are all of one.
        balance: How much each set gives to a shuffled epoch; see `ordering.clips_per_set`.
        lengths: Length of each clip, in any unit; needed with `length_pool` and `longest_first`.
        length_pool: Batches whose clips are sorted by length together, so that a batch holds clips of like length; in
            an order without shuffling all of them are. 0 leaves the order alone.
        weights: Of each set, by its number in `groups`; empty for 1 each. See `ordering.clips_per_set`.
        longest_first: Without shuffling, from the longest clip to the shortest, whatever `length_pool` is: little is
            padded, and a batch that does not fit into memory is the first one.
    """

    clip_count: int
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    groups: tuple[int, ...] = ()
    balance: SetBalance = "natural"
    lengths: tuple[int, ...] = ()
    length_pool: int = 0
    weights: tuple[float, ...] = ()
    longest_first: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigurationError(f"The batch size must be at least 1; got {self.batch_size}.")
        check_order_options(self.balance, self.length_pool)

    @classmethod
    def of_clips(
        cls, records: Sequence[ClipRecord], subtitle: str, weights: Mapping[str, float], **order: Any
    ) -> BatchPlan:
        """The plan of listed clips.

        Args:
            records: The clips.
            subtitle: Name of the record's subtitle that gives a clip's length.
            weights: Of all sets by `ClipRecord.corpus`; empty for 1 each.
            **order: The other attributes.
        """
        corpora = list(dict.fromkeys(record.corpus for record in records))
        return cls(
            len(records),
            groups=tuple(corpora.index(record.corpus) for record in records),
            lengths=tuple(len(getattr(record, subtitle)) for record in records),
            weights=tuple(weights[corpus] for corpus in corpora) if weights else (),
            **order,
        )

    @property
    def clips_per_rank(self) -> int:
        """Clips that each rank is given, a repeated one included."""
        return math.ceil(self.clip_count / self.world_size)

    def __len__(self) -> int:
        return math.ceil(self.clips_per_rank / self.batch_size)

    def batches(self, epoch: int) -> list[list[SampleKey]]:
        """This rank's batches of an epoch, in order. Without shuffling, all epochs are alike."""
        epoch = epoch if self.shuffle else 0
        order = self._order(epoch)
        keys = [SampleKey(index, epoch) for index in order[self.rank :: self.world_size]]
        repeated = SampleKey((keys[0].clip if keys else order[0]), epoch, valid=False)
        keys += [repeated] * (self.clips_per_rank - len(keys))
        return [keys[start : start + self.batch_size] for start in range(0, len(keys), self.batch_size)]

    def state_options(self) -> dict[str, Any]:
        """What the order depends on."""
        own = {"length_pool": self.length_pool, **({"longest_first": True} if self.longest_first else {})}
        return common_state_options(self, self.weights) | own

    def _order(self, epoch: int) -> list[int]:
        """Positions of all ranks' clips."""
        if self.shuffle:
            groups = self.groups or (0,) * self.clip_count
            order = drawn_order(groups, self.balance, self.seed, epoch, self.weights)
        else:
            order = list(range(self.clip_count))
            if self.longest_first:
                return sorted(order, key=lambda clip: self.lengths[clip], reverse=True)  # equals stay in their order
        if not self.length_pool:
            return order
        pool = self.length_pool if self.shuffle else None
        return batched_by_length(order, self.lengths, self.batch_size * self.world_size, pool, self.seed, epoch)
