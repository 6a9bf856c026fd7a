"""Finds the entry of every clip in a cache and reads it: one clip in some microseconds, without opening a file.

`match_clips` runs once, when a run or `cache` starts, and refuses clips whose files have changed. A cache may have
several entries of one name, for example of a corpus generated twice, or of a clip before and after a change. The entry
whose files are the clip's files counts. A `CachedFeatures` has arrays of positions only and maps the shards into
memory. It pickles to worker processes, which map the shards again and then look only at the entries' checksums.
`identity.py` looks at files, `shards.py` has the format. For what is missing `source.py` raises an error and
`affect-lightning cache` encodes it. `data/dataset.py` reads in training.
Legend: N feature tokens, D feature width.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from affect_lightning.contracts import ClipRecord, StreamReader
from affect_lightning.data.media_files import CachedClip
from affect_lightning.data.quarantine import UnreadableClipError
from affect_lightning.errors import DataError
from affect_lightning.feature_cache.identity import (
    CacheManifest,
    FileState,
    file_stamp,
    file_state,
    is_readable,
    read_manifest,
    used_files,
)
from affect_lightning.feature_cache.journal_index import JournalIndex
from affect_lightning.feature_cache.shards import BadClipEntry, CacheEntry, entries_of
from affect_lightning.storage import LineLog

if TYPE_CHECKING:
    from torch import Tensor

CHECKED = "checked.jsonl"
_THREADS = 8  # our choice: looking at files waits for the disk or the network, not for the processor


@dataclass(frozen=True)
class PlacedEntry:
    """An entry and the shard that it is in.

    Attributes:
        entry: As in the journal.
        data: The shard's file of features.
    """

    entry: CacheEntry
    data: Path


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
        self._precision = manifest.precision
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
        import torch

        if self._precision == "fp32":
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
    import torch

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
    placed = [PlacedEntry(entry, data) for entry, data in entries_of(Path(folder))]
    features = CachedFeatures(manifest, placed)
    features.names = [(item.entry.corpus, item.entry.name) for item in placed]
    return features


@dataclass
class Matching:
    """What the cache has for a list of clips.

    Attributes:
        found: The entry of each clip; None where there is none.
        changed: What changed, by position, for clips that have entries of other content only.
        unchecked: Positions of clips whose files are not there, so that nothing could be compared.
    """

    found: list[PlacedEntry | None]
    changed: dict[int, str] = field(default_factory=dict)
    unchecked: list[int] = field(default_factory=list)

    @property
    def missing(self) -> list[int]:
        """Positions of clips without an entry, changed ones included."""
        return [position for position, entry in enumerate(self.found) if entry is None]


def match_clips(
    folder: Path,
    records: Sequence[ClipRecord],
    streams: Collection[str],
    readers: Mapping[str, StreamReader] | None = None,
    index: JournalIndex | None = None,
) -> Matching:
    """Match clips with the entries of a cache.

    A file with the size and time of change of the entry is taken as unchanged; with another time its content is hashed
    and compared, and what was found is kept next to the shards, so that it is read once.

    Args:
        folder: Of the cache.
        records: The clips.
        streams: Streams that are wanted; files of others are not looked at.
        readers: Of the streams of plugins.
        index: Of the cache, where clips are matched again and again; otherwise all journals are read.

    Raises:
        DataError: The cache is damaged.
    """
    wanted = {(record.corpus, record.name) for record in records}
    candidates: dict[tuple[str, str], list[PlacedEntry]] = {}
    names = {name for _, name in wanted}
    for entry, data in entries_of(folder, names) if index is None else index.entries_of(names):
        if (entry.corpus, entry.name) in wanted:
            candidates.setdefault((entry.corpus, entry.name), []).append(PlacedEntry(entry, data))
    checker = _FileChecker(folder)
    matching = Matching([None] * len(records))

    def look(position: int) -> None:
        record = records[position]
        entries = candidates.get((record.corpus, record.name), [])
        files = used_files(record, streams, readers)
        reasons = []
        for item in reversed(entries):  # the newest first
            reason, checked = checker.compare(files, item.entry.files)
            if reason is None:
                matching.found[position] = item
                if not checked:
                    matching.unchecked.append(position)
                return
            reasons.append(reason)
        if reasons:
            matching.changed[position] = reasons[0]

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(look, range(len(records))))
    matching.unchecked.sort()
    checker.keep()
    return matching


class _FileChecker:
    """Compares files with recorded states; remembers the hashes that it had to make."""

    def __init__(self, folder: Path) -> None:
        self._log = LineLog(folder / CHECKED, shared=True)
        self._known: set[FileState] | None = None
        self._reading = Lock()
        self._new: list[FileState] = []

    def compare(self, files: Mapping[str, Path], states: Mapping[str, FileState | None]) -> tuple[str | None, bool]:
        """Why the files are not those of an entry (None: they are), and whether any of them could be looked at."""
        checked = not files
        for role, path in files.items():
            stamp = file_stamp(path)
            if role not in states:
                if stamp is None:
                    continue
                return f"its features were encoded without its {role} file", True
            state = states[role]
            if state is None:
                if is_readable(path):
                    return f"its {role} file could not be read when it was cached, but can be read now", True
                checked = True
            elif stamp is not None:
                checked = True
                if (reason := self._difference(role, path, stamp, state)) is not None:
                    return reason, True
        return None, checked

    def _difference(self, role: str, path: Path, stamp: tuple[int, int], state: FileState) -> str | None:
        size, changed = stamp
        if size != state.size:
            return f"its {role} file has {size} bytes, {state.size} when it was cached"
        if changed == state.mtime_ns or FileState(size, changed, state.digest) in self._checked():
            return None
        now = file_state(path)
        if now is None or now.digest != state.digest:
            return f"its {role} file has changed since it was cached"
        self._new.append(now)
        return None

    def _checked(self) -> set[FileState]:
        """What was hashed before; read when a file with another time is met."""
        with self._reading:
            if self._known is None:
                self._known = set(_read_checked(self._log))
        return self._known

    def keep(self) -> None:
        """Write down what was hashed. Without the right to write it is hashed again the next time, and said so."""
        if not self._new:
            return
        try:
            self._log.add(*self._new)
        except OSError as error:
            warnings.warn(
                f"{len(self._new)} media files have another modification time than when they were cached, so their content was "
                f"compared. {self._log.path} cannot be written ({error.strerror}), so every start compares them again.",
                stacklevel=2,
            )


def _read_checked(log: LineLog) -> list[FileState]:
    """What is known; a line that cannot be read, or is foreign, means that its file is hashed again."""
    try:
        records = list(log.new_records())
    except OSError:
        return []
    kinds = [int, int, str]
    return [FileState(*record) for record in records if isinstance(record, list) and list(map(type, record)) == kinds]
