"""From clips on disk to entries of the cache, around the encoders, which the caller runs.

`ClipsToEncode` reads clips in worker processes and hashes their files. `entries_of` joins what it read with what the
encoders gave. Batches are a function of the list of clips, so one process or several, in one run or in many, give
exactly the same features. `data/dataset.py` decodes, `shards.py` keeps the entries, and
`command_line/cache_encoding.py` runs the encoders between the two.
Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence
from affect_lightning.data.dataset import ClipDataset, ClipSample, FailedSample, ReadingOptions
from affect_lightning.data.faces import FaceCropper
from affect_lightning.data.loading import collate
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.quarantine import BadClip
from affect_lightning.data.questions import OneQuestion
from affect_lightning.data.reading_workers import ReadingWorkers, telling_of_lost_workers
from affect_lightning.errors import AffectLightningError
from affect_lightning.feature_cache.identity import CacheManifest, FileState, file_state, stored_type, used_files
from affect_lightning.feature_cache.shards import BadClipEntry, CacheEntry


@dataclass(frozen=True)
class ReadClip:
    """A clip as a worker read it.

    Attributes:
        read: The sample, or why there is none.
        record: The clip.
        files: State of its files before they were decoded, by role.
    """

    read: ClipSample | BadClip | FailedSample
    record: ClipRecord
    files: dict[str, FileState | None]


class ClipsToEncode:
    """Map-style data set of clips with the state of their files, for torch's DataLoader.

    Args:
        records: The clips.
        options: How they are read; their streams are those that are encoded.
        cropper: See `ClipDataset`.
    """

    def __init__(self, records: Sequence[ClipRecord], options: ReadingOptions, cropper: FaceCropper | None) -> None:
        self.options = options
        self._records = records
        self._clips = ClipDataset(records, options, OneQuestion("name"), cropper)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, position: int) -> ReadClip:
        """Hash the clip's files, then decode it."""
        record = self._records[position]
        used = used_files(record, self.options.streams, self.options.readers)
        files = {role: file_state(path) for role, path in used.items()}
        return ReadClip(self._clips[SampleKey(position)], record, files)


@dataclass(frozen=True)
class BatchCollator:
    """Puts clips together. An object, so that it pickles.

    Attributes:
        sample_rate: Sample rate of the sound, in Hz.
    """

    sample_rate: int

    def __call__(self, clips: Sequence[ReadClip]) -> tuple[ClipBatch | None, list[ReadClip]]:
        """The batch of the clips that could be read, and all clips without their pictures and sound.

        An error that no quarantine covers stays in its clip; `entries_of` raises it.
        """
        samples = [clip.read for clip in clips if isinstance(clip.read, ClipSample)]
        batch = collate(samples, self.sample_rate) if samples else None
        return batch, [replace(clip, read=_without_media(clip.read)) for clip in clips]


def _without_media(read: ClipSample | BadClip | FailedSample) -> ClipSample | BadClip | FailedSample:
    return replace(read, streams={}) if isinstance(read, ClipSample) else read


def read_in_batches(
    clips: ClipsToEncode, batches: Sequence[Sequence[int]], readers: ReadingWorkers
) -> Iterator[tuple[ClipBatch | None, list[ReadClip]]]:
    """Read clips batch by batch, in worker processes or in this one.

    Args:
        clips: The clips.
        batches: Positions of each batch.
        readers: The worker processes; with none, clips are read here.

    Raises:
        DataError: A worker died or hangs.
    """
    loader: DataLoader[Any] = DataLoader(
        clips,  # type: ignore[arg-type]
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=BatchCollator(clips.options.sample_rate),
        generator=torch.Generator(),
        **readers.loader_options(),
    )
    return telling_of_lost_workers(loader, readers.workers > 0)


def entries_of(
    clips: Sequence[ReadClip], features: Mapping[str, FeatureSequence], manifest: CacheManifest
) -> list[tuple[CacheEntry, bytes]]:
    """Entries and features as bytes of a batch.

    Tokens behind a clip's last real one are padding and are left out; at least one token stays.

    Args:
        clips: All clips of the batch.
        features: Encoded streams [B, N, D] of those that could be read, in their order.
        manifest: Streams and precision.

    Raises:
        AffectLightningError: Features are no finite numbers, or a clip failed for a reason that is not its own.
    """
    entries, row = [], 0
    for clip in clips:
        if isinstance(clip.read, FailedSample):
            raise clip.read.error
        name, corpus = clip.record.name, clip.record.corpus
        if isinstance(clip.read, BadClip):
            bad = BadClipEntry(clip.read.stage, _role(clip), clip.read.reason)
            entries.append((CacheEntry(name, corpus, clip.files, bad=bad), b""))
            continue
        parts, counts, masks = [], [], {}
        for stream in manifest.streams:
            tokens, mask = features[stream].tokens[row], features[stream].mask[row].cpu()
            count = max(1, int(mask.nonzero().max()) + 1 if mask.any() else 0)
            parts.append(_stored_bytes(tokens[:count], manifest, stream, clip))
            counts.append(count)
            if not mask[:count].all():
                masks[stream] = "".join("1" if real else "0" for real in mask[:count].tolist())
        entry = CacheEntry(
            *(name, corpus, clip.files, 0, tuple(counts), masks),
            frames=clip.read.frames,
            frames_without_face=clip.read.frames_without_face,
        )
        entries.append((entry, b"".join(parts)))
        row += 1
    return entries


def _role(clip: ReadClip) -> str:
    """Which file of a bad clip failed."""
    assert isinstance(clip.read, BadClip)
    named = {"video": clip.record.video, "audio": clip.record.audio, "face": clip.record.face}
    return next((role for role, path in named.items() if path is not None and str(path) == clip.read.path), "")


def _stored_bytes(tokens: Tensor, manifest: CacheManifest, stream: str, clip: ReadClip) -> bytes:
    if not bool(torch.isfinite(tokens).all()):
        raise AffectLightningError(
            f"The {stream} features of the clip {clip.record.name} ({clip.record.corpus}) hold NaN or infinite values. Check "
            f"the clip and the encoder {manifest.streams[stream].facts.get('encoder.name')!r}, or encode in 32 bits "
            f"(--trainer.precision 32-true)."
        )
    stored = tokens.detach().to("cpu", stored_type(manifest.precision)).contiguous()
    return stored.flatten().view(torch.uint8).numpy().tobytes()
