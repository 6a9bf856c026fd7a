"""The files behind a clip's features: which they are, what is in them, and whether they have changed.

The content is hashed in full when a clip is encoded, because it is read anyhow. Later, size and time of change are
looked at; only a file whose time differs is hashed again, so a touched or copied file passes and a changed one does
not. Paths are never part of it: a set may move. Neighbours: `clip_encoding.py` records, `matching.py` checks.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from affect_lightning.contracts import ClipRecord, StreamReader

_BLOCK = 1 << 20  # bytes read at once; our choice
_DIGEST_BYTES = 16  # 128 bits: no two files of any set share one by chance


class FileState(NamedTuple):
    """A file as it was when its clip was encoded.

    Attributes:
        size: In bytes.
        mtime_ns: Time of its last change.
        digest: Of its content.
    """

    size: int
    mtime_ns: int
    digest: str


def used_files(
    record: ClipRecord, streams: Collection[str], readers: Mapping[str, StreamReader] | None = None
) -> dict[str, Path]:
    """The files that `ClipDataset.read` opens for these streams, by role: video, audio, face, and those of plugins.

    A missing file is named where the record expects it.
    """
    released = record.face if "face" in streams else None
    pictures = "frame" in streams or ("face" in streams and released is None)
    own_track = "audio" in streams and record.audio is None
    files = {
        "video": record.video if pictures or own_track else None,
        "audio": record.audio if "audio" in streams else None,
        "face": released,
    }
    used = {role: path for role, path in files.items() if path is not None}
    for name, reader in (readers or {}).items():
        if name in streams:
            used |= {f"{name} {role}": Path(path) for role, path in reader.files(record).items()}
    return used


def digest_of(parts: Iterable[bytes | memoryview]) -> str:
    """Hash of bytes in parts, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Hash of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=0) as stream:
        return digest_of(iter(lambda: stream.read(_BLOCK), b""))


def file_state(path: Path) -> FileState | None:
    """State of a file, its content hashed; None if it cannot be read or is no regular file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return FileState(status.st_size, status.st_mtime_ns, hash_file(path))
    except OSError:
        return None


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a regular file; None if there is none that can be opened."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def is_readable(path: Path) -> bool:
    """Whether a regular file can be opened for reading."""
    if file_stamp(path) is None:
        return False
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
