"""The order of an epoch: sets balanced as asked, batches of like length, nothing lost, the same on every rank."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affect_lightning.data.ordering import BatchPlan, batched_by_length, clips_per_set, drawn_order
from affect_lightning.errors import ConfigurationError

GROUPS = (0,) * 90 + (1,) * 10


def test_natural_order_is_torchs_permutation() -> None:
    generator = torch.Generator().manual_seed(7 * 1_000_003 + 2)
    assert drawn_order(GROUPS, "natural", seed=7, epoch=2) == torch.randperm(100, generator=generator).tolist()


def test_shares_of_the_sets() -> None:
    # 5279, 2502, 1231 and 1161 clips have the square roots 72.66, 50.02, 35.09 and 34.07; sum 191.84.
    shares = [number / 10173 for number in clips_per_set([5279, 2502, 1231, 1161], "square_root")]
    assert shares == pytest.approx([0.3788, 0.2607, 0.1829, 0.1776], abs=2e-4)
    with pytest.raises(ConfigurationError, match="natural, square_root, equal; got 'fair'"):
        clips_per_set([1], "fair")  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.sampled_from(["natural", "square_root", "equal"]))
def test_an_epoch_keeps_its_length(sizes: list[int], balance: str) -> None:
    numbers = clips_per_set(sizes, balance)  # type: ignore[arg-type]
    assert sum(numbers) == sum(sizes)
    assert min(numbers) >= 0


def test_a_small_set_comes_up_more_often_and_evenly() -> None:
    epochs = [drawn_order(GROUPS, "equal", seed=1, epoch=epoch) for epoch in range(9)]
    assert all(Counter(GROUPS[clip] for clip in order) == {0: 50, 1: 50} for order in epochs)
    assert epochs[0] != epochs[1]
    assert epochs == [drawn_order(GROUPS, "equal", seed=1, epoch=epoch) for epoch in range(9)]
    often = Counter(clip for order in epochs for clip in order)
    assert {often[clip] for clip in range(90)} == {5}  # 9 epochs of 50 are 5 rounds of 90
    assert {often[clip] for clip in range(90, 100)} == {45}


def test_batches_hold_clips_of_like_length() -> None:
    lengths = [(37 * clip) % 100 for clip in range(100)]
    order = drawn_order(GROUPS, "natural", 0, 0)
    pooled = batched_by_length(order, lengths, 8, 5, seed=0, epoch=0)
    whole = batched_by_length(order, lengths, 8, None, seed=0, epoch=0)
    assert sorted(pooled) == sorted(whole) == list(range(100))

    def padding(clips: list[int]) -> int:
        batches = [clips[start : start + 8] for start in range(0, 100, 8)]
        return sum(max(lengths[clip] for clip in batch) - lengths[clip] for batch in batches for clip in batch)

    assert padding(whole) < 400 < padding(pooled) < 2000 < padding(order)
    assert len({lengths[clip] for clip in whole[-4:]}) == 4
    assert {lengths[clip] for clip in whole[-4:]} == {96, 97, 98, 99}  # the short batch stays the last one
    firsts = [lengths[whole[start]] for start in range(0, 96, 8)]
    assert firsts != sorted(firsts)  # the batches themselves are drawn


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_the_clips_of_a_batch(world_size: int) -> None:
    lengths = tuple(range(40, 0, -1))
    plans = [BatchPlan(40, 4, True, 3, rank, world_size, (0,) * 40, "equal", lengths, 99) for rank in range(world_size)]
    ranks = [plan.batches(1) for plan in plans]
    assert sorted(key.clip for batches in ranks for batch in batches for key in batch if key.valid) == list(range(40))
    for together in list(zip(*ranks, strict=True))[:-1]:
        found = [lengths[key.clip] for batch in together for key in batch]
        assert max(found) - min(found) == 4 * world_size - 1  # neighbours in length, whichever rank has them


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_test_starts_with_its_longest_clips_on_every_rank(world_size: int) -> None:
    lengths = tuple((37 * clip) % 20 for clip in range(40))  # each length twice
    plans = [
        BatchPlan(40, 4, rank=rank, world_size=world_size, lengths=lengths, length_pool=2, longest_first=True)
        for rank in range(world_size)
    ]
    ranks = [[key for batch in plan.batches(epoch=5) for key in batch] for plan in plans]
    taken = [key.clip for together in zip(*ranks, strict=True) for key in together if key.valid]
    assert sorted(taken) == list(range(40))
    assert [lengths[clip] for clip in taken] == sorted(lengths, reverse=True)
    assert all(first < second for first, second in zip(taken[::2], taken[1::2], strict=True))  # equals as they stood
    shuffled = BatchPlan(40, 4, shuffle=True, seed=1, lengths=lengths, longest_first=True)
    assert shuffled.batches(3) == BatchPlan(40, 4, shuffle=True, seed=1).batches(3)
