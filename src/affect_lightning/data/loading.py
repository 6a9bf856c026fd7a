"""A loader that resumes exactly: the order of batches is a function of (seed, epoch), the state a number of batches.

torch's DataLoader does the work of the worker processes but keeps no state of its own; Lightning saves and restores
any loader that has `state_dict` and `load_state_dict`. Hand-written, because torchdata's StatefulDataLoader did not go on
exactly where it was: not with dropout or what workers draw, and not with Lightning's own sampler.
Neighbours: `ordering.py` draws the order, `dataset.py` and `collation.py` run in the workers, `quarantine.py` counts what
they could not read, `module.py` makes one loader a split.
Legend: B clips.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from affect_lightning.contracts import ClipBatch
from affect_lightning.data.collation import ClipCollator, CollatedBatch
from affect_lightning.data.dataset import ClipDataset, SampleKey
from affect_lightning.data.ordering import SetBalance, batched_by_length, check_order_options, drawn_order
from affect_lightning.data.quarantine import NAMED_CLIPS, Quarantine
from affect_lightning.data.streaming.shard_order import ShardedPlan
from affect_lightning.data.threaded_reading import ThreadedClips, check_reading_threads
from affect_lightning.data.worker_start import telling_of_lost_workers, worker_options
from affect_lightning.errors import ConfigurationError, DataError

WorkerStart = Literal["spawn", "fork", "forkserver"]


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
        """What the order depends on; the rank is left out, because one state serves all ranks."""
        return {
            "clip_count": self.clip_count,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "world_size": self.world_size,
            "balance": self.balance,
            "length_pool": self.length_pool,
            **({"weights": list(self.weights)} if self.weights else {}),
            **({"longest_first": True} if self.longest_first else {}),
        }

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


@dataclass
class LoadingCounts:
    """What a loader met.

    Attributes:
        clips: Clips handed out.
        frames: Real frames of them.
        frames_without_face: Those in which the face was not found.
        clips_without_face: Clips handed out of which no frame showed a face.
        lost_batches: Batches of which not one clip could be read.
    """

    clips: int = 0
    frames: int = 0
    frames_without_face: int = 0
    clips_without_face: int = 0
    lost_batches: int = 0


class _Pending:
    """The batches that torch's loader still has to fetch: an epoch's worth, from where ClipLoader says."""

    def __init__(self, plan: BatchPlan | ShardedPlan) -> None:
        self.plan = plan
        self.epoch = self.given_out = 0

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch, given_out = self.epoch, self.given_out
        yield from islice(self.plan.batches(epoch), given_out, None)
        if given_out:
            yield from islice(self.plan.batches(epoch + 1), given_out)

    def __len__(self) -> int:
        return len(self.plan)


class ClipLoader:
    """Batches of clips, in an order that can be resumed at any batch.

    A shuffled loader is a stream: a pass that was left early (`limit_train_batches`, `max_steps`, a restored state) is
    taken up where it stopped and runs on into the next epoch, so every clip is read equally often; the paper's 5000
    steps an "epoch" are such a limit. `__len__` is the length of a whole epoch. A loader that does not shuffle starts
    anew each time.

    A batch that loses all its clips is counted. Where the number of steps matters (in training, and with several
    processes) the batch before it is handed out once more with `valid` False (for the very first, the one after it),
    elsewhere it is left out.

    Args:
        dataset: The clips.
        plan: Their order.
        quarantine: Counts bad clips; may be shared by several loaders.
        workers: Worker processes; 0 reads in this process.
        worker_start: How workers start (default `spawn`, our choice: `fork` copies locks of running threads).
        reading_threads: Clips that are read at once where there are no workers.
        pin_memory: Copy batches to pinned memory, for a GPU.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        plan: BatchPlan | ShardedPlan,
        quarantine: Quarantine,
        *,
        workers: int = 0,
        worker_start: WorkerStart = "spawn",
        reading_threads: int = 1,
        pin_memory: bool = False,
    ):
        if workers < 0:
            raise ConfigurationError(f"workers must be 0 or more; got {workers}.")
        check_reading_threads(reading_threads)
        self.plan = plan
        self.quarantine = quarantine
        self.counts = LoadingCounts()
        self.epoch = 0
        self._given_out = 0
        self._last: ClipBatch | None = None
        self._pending = _Pending(plan)
        self._dataset, self._workers, self._worker_start, self._pin_memory = dataset, workers, worker_start, pin_memory
        self._threaded = ThreadedClips(dataset, reading_threads) if reading_threads > 1 and not workers else None
        self._fetcher = self._make_fetcher()

    def _make_fetcher(self) -> DataLoader[Any]:
        """The loader of torch; its workers start with the first pass and stay."""
        return DataLoader(
            self._threaded or self._dataset,  # type: ignore[arg-type]
            batch_sampler=self._pending,  # type: ignore[arg-type]
            collate_fn=ClipCollator(self._dataset.options.sample_rate),
            persistent_workers=self._workers > 0,
            pin_memory=self._pin_memory,
            generator=torch.Generator(),  # otherwise each pass would draw from the global one
            **worker_options(self._workers, self._worker_start),
        )

    def close(self) -> None:
        """End the worker processes and threads; another pass starts new ones. Counts and position stay."""
        if self._threaded is not None:
            self._threaded.close()
        self._fetcher = self._make_fetcher()

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[ClipBatch]:
        """As many batches as an epoch has: shuffled ones from where the last pass stopped, others from the start."""
        if not self.plan.shuffle:
            self.epoch, self._given_out = 0, 0
        self._pending.epoch, self._pending.given_out = self.epoch, self._given_out
        owed = 0  # stand-ins for lost batches that no good batch has come before
        for collated in telling_of_lost_workers(self._fetcher, self._workers > 0):
            self._given_out += 1
            if self._given_out == len(self.plan):
                self.epoch, self._given_out = self.epoch + 1, 0
            batch = self._admit(collated)
            if batch is None:
                owed += 1
                continue
            yield batch
            for _ in range(owed if self._stands_in else 0):
                yield _without_value(batch)
            owed = 0
        if owed and self._stands_in:
            raise DataError(self._nothing_read())

    def _admit(self, collated: CollatedBatch) -> ClipBatch | None:
        """Count, and hand over the batch or its stand-in; None if there is neither yet."""
        if collated.error is not None:
            raise collated.error
        for clip in collated.bad_clips:
            self.quarantine.admit(clip, self.plan.clips_per_rank)
        self.counts.frames += collated.frames
        self.counts.frames_without_face += collated.frames_without_face
        self.counts.clips_without_face += collated.clips_without_face
        if collated.batch is None:
            self.counts.lost_batches += 1
            return self._stand_in()
        self.counts.clips += len(collated.batch)
        self._last = collated.batch
        return collated.batch

    @property
    def _stands_in(self) -> bool:
        """Whether the number of steps matters."""
        return self.plan.shuffle or self.plan.world_size > 1

    def _stand_in(self) -> ClipBatch | None:
        return _without_value(self._last) if self._stands_in and self._last is not None else None

    def _nothing_read(self) -> str:
        named = self.quarantine.clips[:NAMED_CLIPS]
        return (
            "Not one batch has a clip that can be read. The first bad clips: "
            + " ".join(f"[{position}] {clip}" for position, clip in enumerate(named, 1))
            + " Mend the data."
        )

    def state_dict(self) -> dict[str, Any]:
        """Epoch and batches given out, with what the order depends on."""
        return {"epoch": self.epoch, "batches": self._given_out, "plan": self.plan.state_options()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last batch that was given out.

        The number of processes may be another one if all together take as many clips a step as before. A state of
        another set, seed or number of clips a step cannot be continued exactly: its epoch starts again, with a warning.
        """
        self.epoch, self._given_out = state["epoch"], state["batches"]
        before, now = state["plan"], self.plan.state_options()
        changed = [
            f"{name} {before.get(name)} -> {now.get(name)}"
            for name in {**now, **before}
            if before.get(name) != now.get(name) and _order_key(before) != _order_key(now)
        ]
        if changed:
            self._given_out = 0
            warnings.warn(
                f"The order of the clips cannot be continued exactly ({'; '.join(changed)}): epoch {self.epoch} starts "
                f"again at its first clip.",
                stacklevel=2,
            )


def _without_value(batch: ClipBatch) -> ClipBatch:
    """The batch with all clips marked as not valid."""
    return replace(batch, valid=torch.zeros_like(batch.valid))


def _order_key(options: dict[str, Any]) -> dict[str, Any]:
    """What the order of steps depends on: not how a step's clips are dealt out to processes.

    A packed set's order is drawn for each rank, so there everything counts.
    """
    if "packed" in options:
        return options
    kept = {name: value for name, value in options.items() if name not in ("batch_size", "world_size")}
    return {**kept, "step": options["batch_size"] * options["world_size"]}
