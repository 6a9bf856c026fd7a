"""Cached features as the payload of a packed set: what `data.features: cached` reads, out of shards.

A clip's item is its annotation and its features as safetensors, in the precision of the cache; the cache's own
`cache.json` goes with the set, so that features made in another way are refused as they are from a cache.
Neighbours: `feature_cache/` makes them, `packing.py` writes items, `packed_clips.py` reads them.
Legend: N feature tokens, D feature width.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.feature_cache.manifest import MANIFEST, STORED_TYPES, CacheManifest
from affect_lightning.data.feature_cache.reading import CachedClip, CachedFeatures
from affect_lightning.data.media_files import MediaFiles
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.data.streaming.packed_items import Parts, Payload, Problems, annotation_part, read_annotation


@dataclass(frozen=True)
class PackedEncoding:
    """The features of one clip out of a shard.

    Attributes:
        content: Tokens [N, D] and masks [N] of all packed streams, as safetensors.
        frames: See `CachedClip`.
        frames_without_face: See `CachedClip`.
        problem: Path, stage and reason if the clip could not be read when it was encoded.
    """

    content: bytes
    frames: int = 0
    frames_without_face: int = 0
    problem: tuple[str, str, str] | None = None

    def read(self, streams: Collection[str]) -> CachedClip:
        """The features of some streams, as the cache gives them.

        Raises:
            UnreadableClipError: The clip could not be read when it was encoded.
        """
        if self.problem is not None:
            raise UnreadableClipError(*self.problem)
        tensors = load(self.content)
        names = [name.removesuffix(".tokens") for name in tensors if name.endswith(".tokens")]
        features = {
            name: (tensors[f"{name}.tokens"].float(), tensors[f"{name}.mask"]) for name in names if name in streams
        }
        return CachedClip(features, self.frames, self.frames_without_face)


def features_payload(features: CachedFeatures, manifest: CacheManifest) -> Payload:
    """What to pack for clips whose features are cached.

    Args:
        features: Of the clips, in their order.
        manifest: Of the cache.
    """
    stored = STORED_TYPES[manifest.precision]

    def parts(position: int, clip: ClipRecord) -> tuple[Parts, Problems]:
        try:
            cached = features.read(position, clip)
        except UnreadableClipError as error:
            problem = (error.path, error.stage, error.reason)
            return (annotation_part(clip, problem=problem), b""), [(error.stage, error.path, error.reason)]
        tensors: dict[str, torch.Tensor] = {}
        for name, (tokens, mask) in cached.features.items():
            tensors |= {f"{name}.tokens": tokens.to(stored).contiguous(), f"{name}.mask": mask.contiguous()}
        counts = [cached.frames, cached.frames_without_face]
        return (annotation_part(clip, counts=counts), save(tensors)), []

    with tempfile.TemporaryDirectory() as folder:
        manifest.write(Path(folder))
        described = (Path(folder) / MANIFEST).read_bytes()
    return Payload("features", parts, manifest.folder_name(), {MANIFEST: described})


def opened_features(parts: Sequence[bytes]) -> tuple[ClipRecord, MediaFiles]:
    """A clip's record and its features."""
    record, more = read_annotation(parts[0])
    if "problem" in more:
        return record, MediaFiles(encoded=PackedEncoding(b"", problem=tuple(more["problem"])))
    return record, MediaFiles(encoded=PackedEncoding(parts[1], *more["counts"]))
