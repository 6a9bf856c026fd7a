"""The order over a packed set: every clip once, ranks disjoint, few shards at a time, a function of (seed, epoch)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect_lightning.errors import ConfigurationError
from affect_lightning.packed_sets.shard_order import ShardedPlan, sliding_order


def shard_numbers(sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def plan(sizes: list[int], **options: Any) -> ShardedPlan:
    return ShardedPlan(shard_numbers(sizes), **{"batch_size": 3, "shuffle": True, "seed": 4, "window": 2, **options})


def most_in_use(shards: np.ndarray) -> int:
    """Shards between their first and their last clip at the same time, at most."""
    first = {shard: index for index, shard in reversed(list(enumerate(shards.tolist())))}
    last = {shard: index for index, shard in enumerate(shards.tolist())}
    return max(sum(first[shard] <= index <= last[shard] for shard in first) for index in range(len(shards)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20), st.integers(1, 6), st.integers(0, 2**32))
def test_every_clip_once_and_few_shards_at_a_time(sizes: list[int], window: int, seed: int) -> None:
    shards = shard_numbers(sizes)
    order = sliding_order(shards, window, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(shards)))
    assert most_in_use(shards[order]) <= window + 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 3),
)
def test_ranks_share_the_clips(sizes: list[int], world_size: int, batch_size: int, shuffle: bool, epoch: int) -> None:
    plans = [
        plan(sizes, rank=rank, world_size=world_size, batch_size=batch_size, shuffle=shuffle)
        for rank in range(world_size)
    ]
    ranks = [[key for batch in one.batches(epoch) for key in batch] for one in plans]
    assert sorted(key.clip for keys in ranks for key in keys if key.valid) == list(range(sum(sizes)))
    assert {len(keys) for keys in ranks} == {plans[0].clips_per_rank}
    for one, keys in zip(plans, ranks, strict=True):
        batches = list(one.batches(epoch))
        assert len(batches) == len(one)
        assert batches[1:] == one.batches(epoch)[1:]
        assert [key for batch in batches for key in batch] == keys
        assert all(key.epoch == (epoch if shuffle else 0) for key in keys)


def test_epochs_differ_and_repeat_exactly() -> None:
    epochs = [list(plan([5] * 30).batches(epoch)) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs == [list(plan([5] * 30).batches(epoch)) for epoch in range(3)]
    assert list(plan([5] * 30, seed=9).batches(0)) != epochs[0]


def test_a_rank_reads_its_share_of_the_shards() -> None:
    for rank in range(4):
        one = plan([10] * 40, rank=rank, world_size=4)
        used = {int(one.shards[key.clip]) for batch in one.batches(2) for key in batch}
        assert len(used) <= 11  # ten, and a neighbour's


def test_neighbours_in_the_set_are_spread() -> None:
    """A batch of 8 out of 16 shards of 100: two clips of one shard are met about as often as by chance."""
    one = plan([100] * 64, batch_size=8, window=16)
    batches = list(one.batches(0))[200:600]
    shared = sum(8 - len({int(one.shards[key.clip]) for key in batch}) for batch in batches) / len(batches)
    by_chance = 8 - 16 * (1 - (15 / 16) ** 8)  # of 8 balls in 16 boxes
    assert shared == pytest.approx(by_chance, rel=0.2)


def test_sets_are_balanced_as_in_folders() -> None:
    groups = np.array([0] * 90 + [1] * 10, dtype=np.uint16)
    one = plan([10] * 10, groups=groups, balance="equal", batch_size=10)
    epochs = [[key.clip for batch in one.batches(epoch) for key in batch] for epoch in range(9)]
    assert all(Counter(groups[clips].tolist()) == {0: 50, 1: 50} for clips in epochs)
    often = Counter(clip for clips in epochs for clip in clips)
    assert {often[clip] for clip in range(90)} == {5}
    assert {often[clip] for clip in range(90, 100)} == {45}


def test_wrong_options_are_told() -> None:
    with pytest.raises(ConfigurationError, match="shuffle_window must be at least 1 shard; got 0"):
        plan([1], window=0)
    with pytest.raises(ConfigurationError, match="batch size must be at least 1; got 0"):
        plan([1], batch_size=0)
    with pytest.raises(ConfigurationError, match="natural, square_root, equal; got 'fair'"):
        plan([1], balance="fair")
