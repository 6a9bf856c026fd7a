"""A packed set as `data/dataset.py` reads it: clips by position, with the annotation and the files from the shard.

A process holds no list of clips: the rows of `clips.npy` (15 bytes a clip) are mapped from disk, and a clip's record is
made when it is read. `shard_store.py` fetches the shards, `layout.py` takes items apart.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import ClipRecord
from affect_lightning.data.media_files import MediaFiles
from affect_lightning.packed_sets.layout import (
    CLIP_ROW,
    CLIPS,
    HAS_RELEASED_FACE,
    MANIFEST,
    PARTS,
    STAGING,
    Manifest,
    PackError,
    checksum,
    file_sha256,
    opened_features,
    opened_item,
    shard_name,
    split_item,
)
from affect_lightning.packed_sets.shard_store import ShardStore, Transport, is_remote
from affect_lightning.safe_npz import BROKEN_ARRAY
from affect_lightning.storage import write_whole

CACHE_BYTES = 20 * 2**30  # our choice: 300 shards of 64 MiB, many more than a run needs at a time


class PackedClips:
    """Clips of a packed set, all of them or some. Pickles; workers map the same index file.

    Args:
        manifest: Of the set.
        rows_file: `clips.npy`, near.
        store: Gives the items.
        positions: Of the clips, ascending; None takes all.
    """

    def __init__(
        self, manifest: Manifest, rows_file: Path, store: ShardStore, positions: np.ndarray | None = None
    ) -> None:
        self.manifest, self.rows_file, self.store, self.positions = manifest, rows_file, store, positions
        self._ends = np.cumsum([shard.clips for shard in manifest.shards])
        self._rows = _mapped_rows(rows_file, manifest)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._rows = _mapped_rows(self.rows_file, self.manifest)

    @property
    def folder(self) -> Path:
        """Where the set's small files are: its own folder, or that of the cache."""
        return self.rows_file.parent

    def __len__(self) -> int:
        return self.manifest.clips if self.positions is None else len(self.positions)

    def column(self, name: str) -> np.ndarray:
        """A field of `CLIP_ROW` for these clips."""
        return np.asarray(self._rows[name] if self.positions is None else self._rows[name][self.positions])

    def shard_numbers(self) -> np.ndarray:
        """The shard that each clip is in, ascending, int32."""
        positions = np.arange(len(self)) if self.positions is None else self.positions
        return np.searchsorted(self._ends, positions, side="right").astype(np.int32)

    def where(self, chosen: np.ndarray) -> PackedClips:
        """Those of these clips for which `chosen` is True."""
        positions = np.flatnonzero(chosen) if self.positions is None else self.positions[chosen]
        return PackedClips(self.manifest, self.rows_file, self.store, positions.astype(np.int32))

    def every_face_is_released(self) -> bool:
        """Whether no clip needs a face detector."""
        return bool((self.column("flags") & HAS_RELEASED_FACE).all())

    def open(self, index: int) -> tuple[ClipRecord, MediaFiles]:
        """A clip's record and its files, in memory.

        Args:
            index: Among these clips.

        Raises:
            PackError: The shard is missing, cannot be fetched, or is damaged.
        """
        position = index if self.positions is None else int(self.positions[index])
        shard = int(np.searchsorted(self._ends, position, side="right"))
        within = position - int(self._ends[shard] - self.manifest.shards[shard].clips)
        parts = self._parts(shard, within, int(self._rows["crc32"][position]))
        if self.manifest.payload == "features":
            return opened_features(parts)
        return opened_item(parts)

    def _parts(self, shard: int, within: int, expected: int) -> list[bytes]:
        parts = split_item(self.store.item(shard, within), PARTS[self.manifest.payload])
        if parts is None or checksum(parts) != expected:
            raise PackError(self.store.damaged(shard, f"its item {within} has a wrong checksum"))
        return parts


def _mapped_rows(path: Path, manifest: Manifest) -> np.ndarray:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, *BROKEN_ARRAY) as error:
        raise PackError(f"{path} cannot be read: {error} Copy it again, or pack the set again.") from error
    if rows.dtype != CLIP_ROW or rows.shape != (manifest.clips,):
        raise PackError(
            f"{path} holds {rows.shape} rows of {rows.dtype}; expected {manifest.clips} of {CLIP_ROW}. Copy it again."
        )
    return rows


def open_packed_set(
    place: str, *, cache_folder: Path, cache_bytes: int = CACHE_BYTES, payload: str | None = "media"
) -> PackedClips:
    """Open a packed set and check that it is whole.

    In a folder, every shard's size is looked at; out of storage, size and SHA-256 when it is fetched. Each clip's
    checksum is looked at when it is read.

    Args:
        place: A folder, or an address such as `s3://bucket/prefix`.
        cache_folder: Where downloaded shards are kept, in a folder of the set's own.
        cache_bytes: What they may take there.
        payload: What is expected; see `Manifest.payload`. None takes any.

    Raises:
        PackError: There is no packed set, it is unfinished or damaged, or its payload is another.
        ConfigurationError: The address is of a kind that is not read.
    """
    if is_remote(place):
        transport = Transport(place)
        folder = cache_folder / hashlib.sha256(transport.address.encode()).hexdigest()[:16]
        manifest = _fetched_manifest(transport, folder)
        folder = folder / manifest.index_sha256[:16]  # a set packed again under the same address is another one
        for name, digest in {CLIPS: manifest.index_sha256, **manifest.beside}.items():
            _fetch_small(transport, name, folder / name, digest)
        store = ShardStore(folder, manifest.shards, transport, cache_bytes)
    else:
        folder = Path(place).expanduser()
        manifest = _local_manifest(folder)
        _check_files(folder, manifest)
        store = ShardStore(folder, manifest.shards)
    if payload not in (None, manifest.payload):
        raise PackError(
            f"The packed set {place} has the payload {manifest.payload!r}; {payload!r} is needed. Pack the set with "
            f"`--payload {payload}`, or set data.features to {'live' if payload == 'features' else 'cached'}."
        )
    return PackedClips(manifest, folder / CLIPS, store)


def _local_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        if (folder / STAGING).is_dir():
            raise PackError(
                f"The packed set {folder} is not finished. Run the same `affect-lightning pack` command again to finish "
                f"it."
            )
        raise PackError(f"{folder} holds no packed set: there is no {path}. `affect-lightning pack --out` writes one.")
    return Manifest.from_json(path.read_text(encoding="utf-8"), str(path))


def _check_files(folder: Path, manifest: Manifest) -> None:
    """All files are there, of the right size; the index is the right one."""
    found = {entry.name: entry.stat().st_size for entry in os.scandir(folder) if entry.is_file()}
    wrong = [
        f"{name} {'is missing' if name not in found else f'has {found[name]} of {shard.size} bytes'}"
        for number, shard in enumerate(manifest.shards)
        if found.get(name := shard_name(number)) != shard.size
    ]
    for name, digest in {CLIPS: manifest.index_sha256, **manifest.beside}.items():
        if name not in found:
            wrong.append(f"{name} is missing")
        elif file_sha256(folder / name) != digest:
            wrong.append(f"{name} does not match the manifest")
    if wrong:
        raise PackError(
            f"The packed set {folder} is damaged: {'; '.join(wrong[:5])}{f' and {len(wrong) - 5} more' * (len(wrong) > 5)}."
            f" Copy it again, or delete the folder and pack again."
        )


def _fetched_manifest(transport: Transport, folder: Path) -> Manifest:
    place = f"{transport.address}/{MANIFEST}"
    content = _fetch_small(transport, MANIFEST, folder / MANIFEST)
    return Manifest.from_json(content.decode("utf-8", "replace"), place)


def _fetch_small(transport: Transport, name: str, target: Path, sha256: str | None = None) -> bytes:
    """Fetch an index file, unless it is there and the right one."""
    if sha256 is not None and target.is_file() and file_sha256(target) == sha256:
        return b""
    stream = io.BytesIO()
    try:
        transport.fetch(name, stream)
        content = stream.getvalue()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise PackError(f"{transport.address}/{name} does not match the manifest. Copy it again.")
        write_whole(target, content)
    except OSError as error:
        raise PackError(
            f"{target} cannot be written: {error.strerror or error}. Set data.packed_cache_folder to a folder with free space."
        ) from error
    return content


def faces_are_released(clips: Sequence[ClipRecord] | PackedClips) -> bool:
    """Whether every clip, listed or packed, has released face crops."""
    if isinstance(clips, PackedClips):
        return clips.every_face_is_released()
    return all(clip.face is not None for clip in clips)
