"""Reads cached features: shards mapped into memory, one clip in some microseconds, no file opened for a clip.

A `CachedFeatures` holds arrays of places only; it pickles to worker processes, which map the shards anew. Whether the
entries belong to the data was checked before (`matching.py`); here only their checksum is.
Neighbours: `shards.py` says how shards look, `data/dataset.py` reads in training.
Legend: N feature tokens, D feature width.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.feature_cache.manifest import STORED_TYPES, CacheManifest, read_manifest
from affect_lightning.data.feature_cache.shards import BadClipEntry, CacheEntry, read_journals
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import DataError


@dataclass(frozen=True)
class PlacedEntry:
    """An entry and the shard that it is in.

    Attributes:
        entry: As in the journal.
        data: The shard's file of features.
    """

    entry: CacheEntry
    data: Path


@dataclass(frozen=True)
class CachedClip:
    """What the cache knows of one clip.

    Attributes:
        features: Tokens, float32 [N, D], and which of them are real, bool [N], by stream.
        frames: Real frames that it was encoded from.
        frames_without_face: Those in which the face was not found.
    """

    features: dict[str, tuple[Tensor, Tensor]]
    frames: int
    frames_without_face: int


class CachedFeatures:
    """The features of a list of clips.

    Args:
        manifest: Of the cache.
        entries: One a clip, in the order in which they are asked for.
        streams: Streams that are read; all by default.

    Attributes:
        names: Set and name of each clip, if it was made by `open_cached_features`; empty otherwise.
    """

    def __init__(
        self, manifest: CacheManifest, entries: Sequence[PlacedEntry], streams: Collection[str] | None = None
    ) -> None:
        self.names: list[tuple[str, str]] = []
        self._type = STORED_TYPES[manifest.precision]
        self._layout = [
            (name, width, size, streams is None or name in streams)
            for (name, width), size in zip(manifest.widths.items(), manifest.token_bytes.values(), strict=True)
        ]
        self._shards = list(dict.fromkeys(item.data for item in entries))
        numbers = {path: number for number, path in enumerate(self._shards)}
        good = [item.entry if item.entry.bad is None else None for item in entries]
        self._shard = np.array([numbers[item.data] for item in entries], dtype=np.int32)
        self._offset = np.array([entry.offset if entry else 0 for entry in good], dtype=np.int64)
        no_tokens = (0,) * len(self._layout)
        self._tokens = np.array([entry.tokens if entry else no_tokens for entry in good], dtype=np.int32)
        self._tokens = self._tokens.reshape(len(good), len(self._layout))
        self._checksum = np.array([entry.checksum if entry else 0 for entry in good], dtype=np.uint32)
        self._frames = np.array(
            [(entry.frames, entry.frames_without_face) if entry else (0, 0) for entry in good], dtype=np.int32
        ).reshape(len(good), 2)
        self._masks = {index: dict(entry.masks) for index, entry in enumerate(good) if entry and entry.masks}
        self._bad: dict[int, BadClipEntry] = {
            index: item.entry.bad for index, item in enumerate(entries) if item.entry.bad is not None
        }
        self._maps: dict[int, mmap.mmap] = {}

    def __len__(self) -> int:
        return len(self._shard)

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapped files: another process maps them itself."""
        return {**self.__dict__, "_maps": {}}

    @property
    def bad(self) -> dict[int, BadClipEntry]:
        """Why clips have no features, by their position."""
        return dict(self._bad)

    def read(self, position: int, record: ClipRecord | None = None) -> CachedClip:
        """The features of a clip.

        Args:
            position: In the list of clips.
            record: The clip, for the path in an error.

        Raises:
            UnreadableClipError: The clip could not be read when the cache was made.
            DataError: The shard is gone or damaged.
        """
        if position in self._bad:
            bad = self._bad[position]
            path = getattr(record, bad.role) if record is not None and bad.role else None
            raise UnreadableClipError(path, bad.stage, bad.reason)
        counts = self._tokens[position].tolist()
        start = int(self._offset[position])
        length = sum(count * size for count, (_, _, size, _) in zip(counts, self._layout, strict=True))
        content = self._mapped(int(self._shard[position]))[start : start + length]  # a copy of some 30 KB
        if len(content) != length or crc32(content) != int(self._checksum[position]):
            raise self._damaged(position)
        features, place = {}, 0
        masks = self._masks.get(position, {})
        for count, (name, width, size, wanted) in zip(counts, self._layout, strict=True):
            if wanted:
                features[name] = (self._tokens_of(content, place, count, width), _mask(masks.get(name), count))
            place += count * size
        frames, without_face = self._frames[position].tolist()
        return CachedClip(features, frames, without_face)

    def _tokens_of(self, content: bytes, start: int, count: int, width: int) -> Tensor:
        """Tokens [N, D] as float32."""
        if self._type == torch.float32:
            whole = np.frombuffer(content, np.float32, count * width, start).copy()
        else:  # bf16 is the upper half of a float32
            halves = np.frombuffer(content, np.uint16, count * width, start)
            whole = (halves.astype(np.uint32) << 16).view(np.float32)
        return torch.from_numpy(whole).view(count, width)

    def _mapped(self, shard: int) -> mmap.mmap:
        found = self._maps.get(shard)
        if found is None:
            path = self._shards[shard]
            try:
                with path.open("rb") as stream:
                    found = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise DataError(f"The shard {path} of cached features cannot be read: {error}. {_REMEDY}") from error
            self._maps[shard] = found
        return found

    def _damaged(self, position: int) -> DataError:
        path = self._shards[int(self._shard[position])]
        return DataError(
            f"The cached features at byte {int(self._offset[position])} of {path} are damaged: their checksum is wrong. "
            f"{_REMEDY}"
        )


_REMEDY = "Copy the cache again, or remove the shard (.bin and .jsonl) and run `affect-lightning cache`."


def _mask(marks: str | None, count: int) -> Tensor:
    if marks is None:
        return torch.ones(count, dtype=torch.bool)
    return torch.tensor([mark == "1" for mark in marks])


def open_cached_features(folder: Path | str) -> CachedFeatures:
    """All clips of one cache in the order in which they were encoded, unchecked against any data; see `names`.

    For benchmarks and for looking into a cache. Training goes through `source.FeatureSource`, which checks.

    Args:
        folder: With a cache.json.

    Raises:
        DataError: The cache is missing or damaged.
    """
    manifest = read_manifest(Path(folder))
    placed = [PlacedEntry(entry, journal.data) for journal in read_journals(Path(folder)) for entry in journal.entries]
    features = CachedFeatures(manifest, placed)
    features.names = [(item.entry.corpus, item.entry.name) for item in placed]
    return features
