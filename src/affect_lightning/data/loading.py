"""A loader that resumes exactly: the order of batches is a function of (seed, epoch), the state a number of batches.

torch's DataLoader does the work of the worker processes but keeps no state of its own; Lightning saves and restores
any loader that has `state_dict` and `load_state_dict`. Hand-written, because torchdata's StatefulDataLoader did not continue
exactly where it was: not with dropout or what workers draw, and not with Lightning's own sampler.
Samples are put together in the workers (`ClipCollator`), with the bad clips that were met on the way; their prompts are
tokenised there too, if the model gives what is needed.
`ordering.py` draws the order, `dataset.py` gives the samples, `quarantine.py` counts what the workers could not
read, `clip_data_module.py` makes one loader a split.
Legend: B clips, T steps of a stream, N feature tokens, D feature width, H height and W width in pixels, C values a step.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, get_worker_info

from affect_lightning.contracts import ClipBatch, FeatureSequence, PromptTokens, StreamInput
from affect_lightning.data.dataset import ClipDataset, ClipSample, FailedSample, ReadStream
from affect_lightning.data.ordering import EpochPlan, SampleKey
from affect_lightning.data.quarantine import NAMED_CLIPS, BadClip, Quarantine
from affect_lightning.data.reading_workers import (
    IN_THIS_PROCESS,
    ReadingWorkers,
    ThreadedClips,
    telling_of_lost_workers,
)
from affect_lightning.errors import AffectLightningError, ContractError, DataError


@dataclass
class CollatedBatch:
    """What a worker sends for one batch.

    Attributes:
        batch: The clips that could be read; None if there are none.
        bad_clips: The others.
        error: The first error that no quarantine covers.
        frames: Real frames read.
        frames_without_face: Those of them in which the face was not found.
        clips_without_face: Clips of which no frame showed a face.
    """

    batch: ClipBatch | None
    bad_clips: list[BadClip] = field(default_factory=list)
    error: AffectLightningError | None = None
    frames: int = 0
    frames_without_face: int = 0
    clips_without_face: int = 0

    def pin_memory(self) -> CollatedBatch:
        """Pin the batch; torch's loader calls this."""
        return self if self.batch is None else replace(self, batch=self.batch.pin_memory())


@dataclass(frozen=True)
class ClipCollator:
    """Puts samples together. An object, not a function in a function, so that it pickles.

    Attributes:
        sample_rate: Of the waveforms, in Hz.
        prompts: Tokenises questions and responses; None leaves that to the model.
    """

    sample_rate: int = 16_000
    prompts: Callable[[ClipBatch], PromptTokens] | None = None

    def __call__(self, items: Sequence[ClipSample | BadClip | FailedSample]) -> CollatedBatch:
        """Collate a batch; the order of the clips is kept."""
        samples = [item for item in items if isinstance(item, ClipSample)]
        batch = collate(samples, self.sample_rate) if samples else None
        errors = [item.error for item in items if isinstance(item, FailedSample)]
        if batch is not None and self.prompts is not None:
            try:
                batch.prompts = self.prompts(batch)
            except AffectLightningError as error:
                errors.append(error)
        if batch is not None and get_worker_info() is not None:
            _share(batch)
        return CollatedBatch(
            batch=batch,
            bad_clips=[item for item in items if isinstance(item, BadClip)],
            error=errors[0] if errors else None,
            frames=sum(sample.frames for sample in samples),
            frames_without_face=sum(sample.frames_without_face for sample in samples),
            clips_without_face=sum(sample.clips_without_face for sample in samples),
        )


def collate(samples: Sequence[ClipSample], sample_rate: int) -> ClipBatch:
    """A ClipBatch of at least one sample; a stream is padded with zeros to its longest clip."""
    return ClipBatch(
        records=[sample.record for sample in samples],
        questions=[sample.question for sample in samples],
        responses=[sample.response for sample in samples],
        subtitles=[sample.subtitle for sample in samples],
        streams={
            name: _stream([sample.streams[name] for sample in samples], sample_rate) for name in samples[0].streams
        },
        valid=torch.tensor([sample.valid for sample in samples]),
        features=_features([sample.features for sample in samples if sample.features is not None]),
    )


def _share(batch: ClipBatch) -> None:
    """Move the tensors to shared memory in the worker's main thread.

    The queue's own thread would do it later; a worker that is ended in the middle of that copying aborts with
    "terminate called without an active exception".
    """
    batch.with_each(lambda value: value.share_memory_())


def _stream(clips: list[ReadStream], sample_rate: int) -> StreamInput:
    """Values [T, ...] and mask [T] of each clip to a stream [B, T, ...], padded to the longest."""
    shapes = sorted({clip.values.shape[1:] for clip in clips})
    if len(shapes) > 1:
        raise ContractError(
            f"In a stream, the steps of all clips must have one shape; a batch got {shapes[0]} and {shapes[1]}. Fix "
            "the stream's reader."
        )
    longest = max(1, *(len(clip.values) for clip in clips))
    values = np.zeros((len(clips), longest, *shapes[0]), dtype=clips[0].values.dtype)
    mask = np.zeros((len(clips), longest), dtype=np.bool_)
    for row, real, clip in zip(
        values, mask, clips, strict=True
    ):  # by NumPy: torch would wake its threads for so little
        row[: len(clip.values)], real[: len(clip.mask)] = clip.values, clip.mask
    if values.ndim == 5:  # pictures [B, T, H, W, 3]
        values = np.ascontiguousarray(values.transpose(0, 1, 4, 2, 3))
    return StreamInput(torch.from_numpy(values), torch.from_numpy(mask), sample_rate if values.ndim == 2 else None)


def _features(clips: list[dict[str, tuple[Tensor, Tensor]]]) -> dict[str, FeatureSequence] | None:
    """Tokens [N, D] and mask [N] of each clip and stream to [B, N, D] and [B, N], padded to the longest."""
    if not clips:
        return None
    return {
        stream: FeatureSequence(
            pad_sequence([clip[stream][0] for clip in clips], batch_first=True),
            pad_sequence([clip[stream][1] for clip in clips], batch_first=True),
        )
        for stream in clips[0]
    }


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
    """The batches that torch's loader still must fetch: an epoch's worth, from where ClipLoader says."""

    def __init__(self, plan: EpochPlan) -> None:
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
    again each time.

    A batch that loses all its clips is counted. Where the number of steps matters (in training, and with several
    processes) the batch before it is handed out once more with `valid` False (for the first, the one after it),
    elsewhere it is left out.

    Args:
        dataset: The clips.
        plan: Their order.
        quarantine: Counts bad clips; may be shared by several loaders.
        readers: Worker processes and threads that read.
        pin_memory: Copy batches to pinned memory, for a GPU.
        prompts: See `ClipCollator`. One that cannot be sent to worker processes is left out.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        plan: EpochPlan,
        quarantine: Quarantine,
        *,
        readers: ReadingWorkers = IN_THIS_PROCESS,
        pin_memory: bool = False,
        prompts: Callable[[ClipBatch], PromptTokens] | None = None,
    ):
        self.plan = plan
        self.quarantine = quarantine
        self.counts = LoadingCounts()
        self.epoch = 0
        self._given_out = 0
        self._last: ClipBatch | None = None
        self._pending = _Pending(plan)
        self._dataset, self._readers, self._pin_memory = dataset, readers, pin_memory
        self._prompts = prompts if not readers.workers or _can_be_sent(prompts) else None
        threads = readers.reading_threads if not readers.workers else 1
        self._threaded = ThreadedClips(dataset, threads) if threads > 1 else None
        self._fetcher = self._make_fetcher()

    def _make_fetcher(self) -> DataLoader[Any]:
        """The loader of torch; its workers start with the first pass and stay."""
        return DataLoader(
            self._threaded or self._dataset,  # type: ignore[arg-type]
            batch_sampler=self._pending,  # type: ignore[arg-type]
            collate_fn=ClipCollator(self._dataset.options.sample_rate, self._prompts),
            persistent_workers=self._readers.workers > 0,
            pin_memory=self._pin_memory,
            generator=torch.Generator(),  # otherwise each pass would draw from the global one
            **self._readers.loader_options(),
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
        for collated in telling_of_lost_workers(self._fetcher, self._readers.workers > 0):
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
            "No batch has a clip that can be read. The first bad clips: "
            + " ".join(f"[{position}] {clip}" for position, clip in enumerate(named, 1))
            + " Fix the data."
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
                f"again from its first clip.",
                stacklevel=2,
            )


def _can_be_sent(prompts: Any) -> bool:
    """Whether it pickles: a tokenizer of somebody else's may not."""
    try:
        pickle.dumps(prompts)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return False
    return True


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
