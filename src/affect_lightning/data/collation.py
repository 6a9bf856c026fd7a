"""From samples to a ClipBatch, and the bad clips that were met on the way. Runs in worker processes.

Neighbours: `dataset.py` gives the samples, `loading.py` takes the batches apart in the main process.
Legend: B clips, T frames, S audio samples, N feature tokens, D feature width, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import get_worker_info

from affect_lightning.contracts import ClipBatch, FeatureSequence
from affect_lightning.data.dataset import ClipSample, FailedSample
from affect_lightning.data.quarantine import BadClip
from affect_lightning.errors import AffectLightningError


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
            frames=sum(sample.real_frames for sample in samples),
            frames_without_face=sum(sample.frames_without_face for sample in samples),
            clips_without_face=sum(sample.clips_without_face for sample in samples),
        )


def collate(samples: Sequence[ClipSample], sample_rate: int) -> ClipBatch:
    """A ClipBatch of at least one sample; waveforms are padded with zeros to the longest."""
    masks = [sample.frame_mask for sample in samples if sample.frame_mask is not None]
    waveform, lengths = _pad([sample.waveform for sample in samples if sample.waveform is not None])
    return ClipBatch(
        records=[sample.record for sample in samples],
        questions=[sample.question for sample in samples],
        responses=[sample.response for sample in samples],
        subtitles=[sample.subtitle for sample in samples],
        face=_pictures([sample.face for sample in samples if sample.face is not None]),
        frame=_pictures([sample.frame for sample in samples if sample.frame is not None]),
        frame_mask=torch.from_numpy(np.stack(masks)) if masks else None,
        waveform=waveform,
        waveform_lengths=lengths,
        sample_rate=sample_rate,
        valid=torch.tensor([sample.valid for sample in samples]),
        features=_features([sample.features for sample in samples if sample.features is not None]),
    )


def _share(batch: ClipBatch) -> None:
    """Move the tensors to shared memory in the worker's main thread.

    The queue's own thread would do it later; a worker that is ended in the middle of that copying aborts with
    "terminate called without an active exception".
    """
    streams = (batch.features or {}).values()
    for value in (*vars(batch).values(), *(tensor for stream in streams for tensor in (stream.tokens, stream.mask))):
        if isinstance(value, Tensor):
            value.share_memory_()


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


def _pictures(clips: list[np.ndarray]) -> Tensor | None:
    """[T, H, W, 3] of each clip to uint8 [B, T, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(clips).transpose(0, 1, 4, 2, 3))) if clips else None


def _pad(waveforms: list[np.ndarray]) -> tuple[Tensor | None, Tensor | None]:
    """[S] of each clip to float32 [B, S], and their lengths [B]."""
    if not waveforms:
        return None, None
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    padded = np.zeros((len(waveforms), max(map(len, waveforms))), dtype=np.float32)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return torch.from_numpy(padded), lengths  # copied by NumPy: torch would wake its threads for so little
