"""Shards: features on disk in two append-only files, so that a kill at any moment costs at most one batch.

`shard-RRR-NNNN.bin` has the features, clip after clip; `shard-RRR-NNNN.jsonl` is its journal, one line for a batch. A
batch counts when its journal line is complete: the features are on disk before the line is written, and the next writer
cuts off whatever follows the last complete line. RRR is the process that writes, NNNN counts its shards. A command
holds `writing.lock`, and each of its processes its own lock, which outlives a killed command. `cached_features.py` maps
the features into memory, `clip_encoding.py` makes entries.
Legend: N feature tokens, D feature width.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zlib import crc32

from affect_lightning.errors import DataError
from affect_lightning.feature_cache.identity import FileState
from affect_lightning.storage import DamagedLineError, LineLog, file_lock

if TYPE_CHECKING:
    from filelock import BaseFileLock

SHARD_BYTES = 1 << 30  # our choice: 31,327 clips of the paper's encoders fill one; small enough to copy and to map
WAIT_SECONDS = 60.0  # our choice: orphans of a killed command end after the batch that they are in
_SHARD_NAME = re.compile(r"shard-(\d{3})-(\d{4})\.jsonl")


@dataclass(frozen=True)
class BadClipEntry:
    """Why a clip has no features.

    Attributes:
        stage: See `UnreadableClipError`.
        role: Which of its files failed (video, audio, face); empty if none.
        reason: See `UnreadableClipError`.
    """

    stage: str
    role: str
    reason: str


@dataclass(frozen=True)
class CacheEntry:
    """One clip of the cache.

    Attributes:
        name: Of the clip.
        corpus: Its set.
        files: State of the files that it was read from, by role; None for one that could not be read.
        offset: Where its features start in the shard, in bytes.
        tokens: N of each stream, in the order of the manifest.
        masks: One character a token, `1` for a real one, for the streams that have others; all are real elsewhere.
        checksum: CRC-32 of its features.
        frames: Real frames that it was encoded from.
        frames_without_face: Those in which the face was not found.
        bad: Set if it could not be read; it has no features then.
    """

    name: str
    corpus: str
    files: Mapping[str, FileState | None]
    offset: int = 0
    tokens: tuple[int, ...] = ()
    masks: Mapping[str, str] = field(default_factory=dict)
    checksum: int = 0
    frames: int = 0
    frames_without_face: int = 0
    bad: BadClipEntry | None = None

    def as_values(self) -> dict[str, Any]:
        """Plain values with short names: the journal is read at every start."""
        values: dict[str, Any] = {"n": self.name, "c": self.corpus, "f": self.files}
        if self.bad is not None:
            return {**values, "x": [self.bad.stage, self.bad.role, self.bad.reason]}
        values |= {"o": self.offset, "t": self.tokens, "k": self.checksum, "p": [self.frames, self.frames_without_face]}
        return {**values, "m": self.masks} if self.masks else values

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> CacheEntry:
        """The entry that `as_values` wrote."""
        files = {role: None if state is None else FileState(*state) for role, state in values["f"].items()}
        if "x" in values:
            return cls(values["n"], values["c"], files, bad=BadClipEntry(*values["x"]))
        frames, without = values["p"]
        return cls(
            *(values["n"], values["c"], files, values["o"], tuple(values["t"])),
            *(values.get("m", {}), values["k"], frames, without),
        )


@dataclass(frozen=True)
class Journal:
    """What a journal says.

    Attributes:
        path: The journal.
        entries: Of all whole lines.
        data_bytes: Length of the features that they speak of.
    """

    path: Path
    entries: list[CacheEntry]
    data_bytes: int

    @property
    def data(self) -> Path:
        """The file of features."""
        return self.path.with_suffix(".bin")


def read_journal(path: Path) -> Journal:
    """Read a journal; a last line that is not whole is left out.

    Raises:
        DataError: A line before the last is damaged, or the features are shorter than the journal says.
    """
    batches = list(_batches(path))
    return Journal(path, [entry for entries, _ in batches for entry in entries], batches[-1][1] if batches else 0)


def _batches(path: Path, names: Container[str] | None = None) -> Iterator[tuple[list[CacheEntry], int]]:
    """The entries of each whole line of a journal, and where the features of all lines so far end; see `entries_of`."""
    end = 0
    with _told(path):
        data_size = path.with_suffix(".bin").stat().st_size
        for number, batch in enumerate(_log(path).each_record(), 1):
            entries, end = _read_batch(batch, number, path, names)
            yield entries, end
    _check_length(path, data_size, end)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What is wrong with a journal, as an error with a remedy."""
    try:
        yield
    except DamagedLineError as error:
        raise DataError(f"{error} {_REMEDY}") from error
    except OSError as error:
        raise DataError(f"The shard {path} cannot be read: {error.strerror}. {_REMEDY}") from error


def _read_batch(
    batch: Any, number: int | None, path: Path, names: Container[str] | None
) -> tuple[list[CacheEntry], int]:
    """The entries of one line's value, and where its features end."""
    try:
        items = [item for item in batch["clips"] if names is None or item["n"] in names]
        return [CacheEntry.from_values(item) for item in items], int(batch["end"])
    except (ValueError, KeyError, TypeError) as error:
        line = "A line" if number is None else f"Line {number}"
        raise DamagedLineError(f"{line} of {path} is damaged ({error}).") from error


def _check_length(path: Path, data_size: int, end: int) -> None:
    if data_size < end:
        raise DataError(f"{path.with_suffix('.bin')} has {data_size} bytes; its journal says {end}. {_REMEDY}")


def _log(path: Path) -> LineLog:
    return LineLog(path, checksums=True, durable=True)


_REMEDY = (
    "Copy the cache again, or remove the shard's two files and run `affect-lightning cache`, which encodes its clips "
    "again."
)


def read_journals(folder: Path) -> Iterator[Journal]:
    """All journals of a cache, in the order of their names."""
    return map(read_journal, journal_paths(folder))


def entries_of(folder: Path, names: Container[str] | None = None) -> Iterator[tuple[CacheEntry, Path]]:
    """Clips of a cache with their files of features, in the order of `read_journals`; a batch is in memory at a time.

    Args:
        folder: Of the cache.
        names: Of the clips that are wanted; None for all.

    Raises:
        DataError: See `read_journal`. It may come behind entries of the same journal.
    """
    for path in journal_paths(folder):
        data = path.with_suffix(".bin")
        for entries, _ in _batches(path, names):
            for entry in entries:
                yield entry, data


def journal_paths(folder: Path) -> list[Path]:
    """The journals of a cache in the order of their names."""
    return [path for path in sorted(folder.glob("shard-*.jsonl")) if _SHARD_NAME.fullmatch(path.name)]


class JournalReader:
    """One journal, of which single lines are wanted.

    Args:
        path: Of the journal.
    """

    def __init__(self, path: Path) -> None:
        self.data = path.with_suffix(".bin")
        self._path, self._log = path, _log(path)

    def new_names(self) -> Iterator[tuple[int, list[str]]]:
        """Place in bytes and names of each line that this has not given before.

        Raises:
            DataError: As for `read_journal`.
        """
        end = 0
        with _told(self._path):
            data_size = self.data.stat().st_size
            for line, batch in self._log.new_values():
                entries, end = _read_batch(batch, line.number, self._path, None)
                yield line.offset, [entry.name for entry in entries]
        _check_length(self._path, data_size, end)

    def entries_at(self, offset: int, names: Container[str]) -> list[CacheEntry]:
        """The entries of the line at a place, of the names that are wanted.

        Raises:
            DataError: The line is gone or damaged.
        """
        with _told(self._path):
            return _read_batch(self._log.value_at(offset), None, self._path, names)[0]


class ShardWriter:
    """Appends batches to the shards of one process. Use it as a context, which keeps others from the same shards.

    Args:
        folder: Of the cache.
        rank: Number of the process.
        shard_bytes: Length at which the next shard is begun.

    Raises:
        DataError: The folder cannot be written, or another process writes under the number.
    """

    def __init__(self, folder: Path, rank: int = 0, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.rank, self.shard_bytes = folder, rank, shard_bytes
        self._lock = take_lock(folder, f"writing-{rank:03d}.lock")
        numbers = [
            int(found[2])
            for path in folder.glob(f"shard-{rank:03d}-*.jsonl")
            if (found := _SHARD_NAME.fullmatch(path.name))
        ]
        self._number = max(numbers, default=0)
        try:
            self._open()
        except DataError:
            self._lock.release()
            raise

    def _open(self) -> None:
        journal = self.folder / f"shard-{self.rank:03d}-{self._number:04d}.jsonl"
        try:
            # The features' file comes first: a journal without one would be an error.
            self._data: BinaryIO = journal.with_suffix(".bin").open("ab", buffering=0)
            journal.touch()
            self._end = read_journal(journal).data_bytes
            self._data.truncate(self._end)
        except OSError as error:
            raise self._cannot_write(error) from error
        self._journal = _log(journal)

    def commit(self, clips: Sequence[tuple[CacheEntry, bytes]]) -> None:
        """Append a batch; it is on the disk when this returns.

        Args:
            clips: Entries with their features; offset and checksum are filled in here.

        Raises:
            DataError: The disk is full or the folder cannot be written; nothing of the batch counts then.
        """
        if not clips:
            return
        placed, end = [], self._end
        for entry, features in clips:
            values = entry.as_values()
            if entry.bad is None:
                values |= {"o": end, "k": crc32(features)}
                end += len(features)
            placed.append(values)
        try:
            _write_through(self._data, b"".join(features for _, features in clips))
            self._journal.add({"clips": placed, "end": end})
        except OSError as error:
            raise self._cannot_write(error) from error
        self._end = end
        if end >= self.shard_bytes:
            self._data.close()
            self._number += 1
            self._open()

    def close(self) -> None:
        """Close the files."""
        self._data.close()
        self._lock.release()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cannot_write(self, error: OSError) -> DataError:
        return DataError(
            f"The feature cache {self.folder} cannot be written: {error.strerror or error}. Free space, and run the "
            f"command again to continue: finished work is kept."
        )


def _write_through(stream: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[stream.write(view) :]
    os.fsync(stream.fileno())


@contextmanager
def only_command(folder: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """The right of a command to write into a cache, after the processes of an earlier one have ended.

    Args:
        folder: Of the cache; it must exist.
        wait_seconds: How long to wait for others to end.

    Raises:
        DataError: Another command, or a process that it left, continues writing; or the folder cannot be written.
    """
    lock = take_lock(folder, "writing.lock", wait_seconds)
    try:
        for path in sorted(folder.glob("writing-*.lock")):
            take_lock(folder, path.name, wait_seconds).release()
        yield
    finally:
        lock.release()


def take_lock(folder: Path, name: str, wait_seconds: float = WAIT_SECONDS) -> BaseFileLock:
    """A lock of a cache, taken; `release` gives it back, and so does the end of the process.

    Raises:
        DataError: As for `only_command`.
    """
    lock = file_lock(folder / name, wait_seconds)
    try:
        lock.acquire()
    except TimeoutError as error:
        raise DataError(
            f"Another `affect-lightning cache` is writing into {folder}. Wait until it ends, or stop it; then run "
            "this command again to continue."
        ) from error
    except OSError as error:
        raise DataError(
            f"The feature cache {folder} cannot be written: {error.strerror or error}. Set data.feature_folder to a folder "
            f"with write permission."
        ) from error
    return lock
