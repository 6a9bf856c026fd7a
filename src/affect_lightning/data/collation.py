"""From samples to a ClipBatch, and the bad clips that were met on the way. Runs in worker processes.

Neighbours: `dataset.py` gives the samples, `loading.py` takes the batches apart in the main process.
Legend: B clips, T steps of a stream, N feature tokens, D feature width, H height and W width in pixels, C values a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import get_worker_info

from affect_lightning.contracts import ClipBatch, FeatureSequence, StreamInput
from affect_lightning.data.dataset import ClipSample, FailedSample, ReadStream
from affect_lightning.data.quarantine import BadClip
from affect_lightning.errors import AffectLightningError, ContractError


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
    """

    sample_rate: int = 16_000

    def __call__(self, items: Sequence[ClipSample | BadClip | FailedSample]) -> CollatedBatch:
        """Collate a batch; the order of the clips is kept."""
        samples = [item for item in items if isinstance(item, ClipSample)]
        batch = collate(samples, self.sample_rate) if samples else None
        if batch is not None and get_worker_info() is not None:
            _share(batch)
        return CollatedBatch(
            batch=batch,
            bad_clips=[item for item in items if isinstance(item, BadClip)],
            error=next((item.error for item in items if isinstance(item, FailedSample)), None),
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
            f"A stream must have one shape of a step for all clips; a batch got {shapes[0]} and {shapes[1]}. Correct its reader."
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
