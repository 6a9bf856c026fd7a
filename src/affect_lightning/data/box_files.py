"""Lines of text by key in files that only grow: many processes may add to one folder, and any may be killed.

Each process that writes has a file of its own, so no locks are needed, on network file systems neither; a line counts
once its end is written, so a torn last line is ignored. One small file a clip would be slow for the 31,327 clips of
MER-Caption+ (paper, Section 2). Neighbour: `box_cache.py`, the only user.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

SUFFIX = ".boxes"
KEY_BYTES = 16
_KEY_DIGITS, _CHECK_DIGITS = 2 * KEY_BYTES, 8
_OFFSET_BITS = 40  # of a place in the index: up to a terabyte a file, up to 16 million files
_LOOK_AGAIN_SECONDS = 1.0  # a folder of a hundred files takes milliseconds to look through, at every miss; our choice
_MERGE_AT = 65_536  # new entries that wait in a dictionary before they go to the sorted arrays: 16 bytes a clip there


class _Places:
    """Where each key stands: the key's first 8 bytes to a number; later entries win."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._places = np.empty(0, np.uint64)
        self._recent: dict[int, int] = {}

    def put(self, key: int, place: int) -> None:
        self._recent[key] = place
        if len(self._recent) >= _MERGE_AT:
            self._merge()

    def get(self, key: int) -> int | None:
        if key in self._recent:
            return self._recent[key]
        index = int(np.searchsorted(self._keys, np.uint64(key)))
        return int(self._places[index]) if index < len(self._keys) and int(self._keys[index]) == key else None

    def _merge(self) -> None:
        newest_first = np.concatenate([np.fromiter(self._recent, np.uint64, len(self._recent)), self._keys])
        places = np.concatenate([np.fromiter(self._recent.values(), np.uint64, len(self._recent)), self._places])
        self._keys, first = np.unique(newest_first, return_index=True)
        self._places = places[first]
        self._recent.clear()


class GrowingFiles:
    """Texts by key, in the files of one folder.

    Pickles without its index and its open file; a copy in another process writes a file of its own. What other
    processes add is seen after a second at most.

    Args:
        folder: Made when the first text is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._forget()

    def _forget(self) -> None:
        self._places = _Places()
        self._paths: list[Path] = []
        self._read_up_to: dict[Path, int] = {}
        self._number: dict[Path, int] = {}
        self._descriptor: int | None = None
        self._own_path: Path | None = None
        self._owner = 0
        self._looked_at: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        self._forget()

    def find(self, key: bytes) -> str | None:
        """The text that was last written under a key of 16 bytes, by whichever process; None if there is none."""
        place = self._places.get(_short(key))
        now = time.monotonic()
        if place is None and (self._looked_at is None or now - self._looked_at >= _LOOK_AGAIN_SECONDS):
            self._looked_at = now
            self._read_what_is_new()
            place = self._places.get(_short(key))
        return None if place is None else self._line(key, place)

    def append(self, key: bytes, text: str) -> None:
        """Write a text without line ends under a key.

        Raises:
            OSError: The folder or the file cannot be written.
        """
        body = text.encode("utf-8")
        line = f"{key.hex()} {zlib.crc32(body):08x} ".encode() + body + b"\n"
        written = os.write(self._own_file(), line)
        if written < len(line):  # a full disk
            self._close()  # the next text must not be glued to this torn one
            raise OSError(f"only {written} of {len(line)} bytes were written")
        assert self._own_path is not None
        self._index(self._own_path)

    def _own_file(self) -> int:
        """The descriptor of this process's file; a fork of the process opens another."""
        if self._descriptor is None or self._owner != os.getpid():
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
            self._own_path = self.folder / name
            self._descriptor = os.open(self._own_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
            self._owner = os.getpid()
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None and self._owner == os.getpid():
            os.close(self._descriptor)
        self._descriptor = None

    def __del__(self) -> None:
        self._close()

    def _read_what_is_new(self) -> None:
        """Index the whole lines that were added since the last look, by any process."""
        try:
            found = [(Path(entry.path), entry.stat()) for entry in os.scandir(self.folder)]
        except OSError:  # no folder: nothing was written yet
            return
        for path, status in sorted(found, key=lambda item: item[1].st_mtime_ns):  # the newest file has the last word
            if path.suffix == SUFFIX and status.st_size > self._read_up_to.get(path, 0):
                self._index(path)

    def _index(self, path: Path) -> None:
        if path not in self._number:
            self._number[path] = len(self._paths)
            self._paths.append(path)
        offset = self._read_up_to.get(path, 0)
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                for line in stream:
                    if not line.endswith(b"\n"):  # torn, or being written
                        break
                    with suppress(ValueError):  # a damaged line: its boxes are detected anew
                        self._places.put(int(line[:16], 16), self._number[path] << _OFFSET_BITS | offset)
                    offset += len(line)
        except OSError:  # removed meanwhile, or not ours to read
            return
        self._read_up_to[path] = offset

    def _line(self, key: bytes, place: int) -> str | None:
        """The text at a place, if it is that key's and whole."""
        try:
            with self._paths[place >> _OFFSET_BITS].open("rb") as stream:
                stream.seek(place & ((1 << _OFFSET_BITS) - 1))
                line = stream.readline().rstrip(b"\n")
        except OSError:
            return None
        head, check = line[:_KEY_DIGITS], line[_KEY_DIGITS + 1 : _KEY_DIGITS + 1 + _CHECK_DIGITS]
        body = line[_KEY_DIGITS + _CHECK_DIGITS + 2 :]
        if head != key.hex().encode() or check != f"{zlib.crc32(body):08x}".encode():
            return None
        return body.decode("utf-8")


def _short(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")
