"""Keeps detected face boxes on disk next to the data, so that each clip's faces are detected once.

A key has the clip's size and content, the number of frames and the detector's identity with its options. So a changed
clip or detector is detected again, and a copied or renamed clip is not. One small file a clip would be slow for the
31,327 clips of MER-Caption+ (paper, Section 2), so each process that writes has its own log. This needs no locks, not
even on network file systems. `faces.py` asks here before it detects. Legend: T frames.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceBox
from affect_lightning.corpora.sets import OFFICIAL_VIDEO_FOLDERS
from affect_lightning.data.media_files import MediaFile, PackedFile
from affect_lightning.storage import LineLog, user_cache_folder

LAYOUT = "boxes-3"  # changes whenever the sampling of frames or the layout of the lines does
FOLDER = "face_boxes"
EDGE_DIGITS, SCORE_DIGITS = 2, 4  # our choice: a hundredth of a pixel; about 900 bytes a clip of 8 frames and one face
_SAMPLED_BYTES = 65_536  # of the start and of the end of a file: a container's index stands at one of them
SUFFIX = ".boxes"
KEY_BYTES = 16
_SHORT_DIGITS = 16  # of a key in the index
_OFFSET_BITS = 40  # of a place in the index: up to a terabyte a file, up to 16 million files
_LOOK_AGAIN_SECONDS = 1.0  # a folder of a hundred files takes milliseconds to look through, at every miss; our choice
_MERGE_AT = 65_536  # new entries that wait in a dictionary before they go to the sorted arrays: 16 bytes a clip there


def folder_beside(video: Path) -> Path | None:
    """`face_boxes` in the set's folder of `SET/video/NAME.mp4`; None for a video that lies in no official layout."""
    return video.parent.parent / FOLDER if video.parent.name in OFFICIAL_VIDEO_FOLDERS else None


def rounded(boxes: Sequence[Sequence[FaceBox]]) -> list[list[FaceBox]]:
    """The boxes as they come back from the cache, so that a cold and a warm cache give the same crops."""
    return [[_box(_values(box)) for box in frame] for frame in boxes]


class BoxCache:
    """Boxes by clip and detector. Pickles; every process writes files of its own.

    Args:
        folder: Where boxes are kept. None keeps those of an official set next to its videos (`SET/face_boxes`), or, if
            that cannot be written or the clip is in no set, in the user's cache folder.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._files: dict[Path, GrowingFiles] = {}
        self._refused: set[Path] = set()

    def key(self, source: MediaFile, frame_count: int, detector: str) -> bytes:
        """Key under which the boxes of a clip are kept, 16 bytes.

        Args:
            source: The video file, on disk or out of a shard: the same content has the same key.
            frame_count: T that was asked for.
            detector: Its identity.

        Raises:
            OSError: The file cannot be read.
        """
        digest = hashlib.blake2b(f"{LAYOUT}\0{frame_count}\0{detector}\0".encode(), digest_size=KEY_BYTES)
        with source.opened("video") if isinstance(source, PackedFile) else source.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            digest.update(f"{size}\0".encode())
            digest.update(stream.read(_SAMPLED_BYTES))
            stream.seek(max(0, size - _SAMPLED_BYTES))
            digest.update(stream.read(_SAMPLED_BYTES))
        return digest.digest()

    def read(self, source: MediaFile, key: bytes, frame_count: int) -> list[list[FaceBox]] | None:
        """The boxes, T lists; None if they are not there, damaged or of another number of frames."""
        for folder in self._folders(source):
            text = self._in(folder).find(key)
            if text is None:
                continue
            try:
                boxes = [[_box(values) for values in frame] for frame in json.loads(text)]
            except (ValueError, TypeError):
                continue
            if len(boxes) == frame_count:
                return boxes
        return None

    def write(self, source: MediaFile, key: bytes, boxes: Sequence[Sequence[FaceBox]]) -> None:
        """Keep the boxes, rounded. A folder that cannot be written costs time, not the run: it is warned of once."""
        text = json.dumps([[_values(box) for box in frame] for frame in boxes], separators=(",", ":"))
        folders = self._folders(source)
        for folder in folders:
            if folder in self._refused:
                continue
            try:
                self._in(folder).append(key, text)
                return
            except OSError as error:
                self._refused.add(folder)
                if folder == folders[-1]:
                    self._warn(folder, error)

    def _folders(self, source: MediaFile) -> list[Path]:
        """Where the boxes of a clip may be, the preferred place first."""
        if self.folder is not None:
            return [self.folder]
        beside = None if isinstance(source, PackedFile) else folder_beside(source)
        return [user_cache_folder(FOLDER)] if beside is None else [beside, user_cache_folder(FOLDER)]

    def _in(self, folder: Path) -> GrowingFiles:
        if folder not in self._files:
            self._files[folder] = GrowingFiles(folder)
        return self._files[folder]

    def _warn(self, folder: Path, error: OSError) -> None:
        warnings.warn(
            f"Face boxes cannot be kept in {folder}: {error.strerror or error}. Set cache_folder to a folder with "
            f"free space and write permission. Until then faces are detected again each time.",
            stacklevel=3,
        )


def _values(box: FaceBox) -> list[float]:
    """A box as numbers: edges, score, then x and y of each landmark."""
    points = [float(number) for point in box.landmarks or () for number in point]
    edges = [round(float(value), EDGE_DIGITS) for value in (box.x0, box.y0, box.x1, box.y1)]
    return [*edges, round(float(box.score), SCORE_DIGITS), *(round(value, EDGE_DIGITS) for value in points)]


def _box(values: list[float]) -> FaceBox:
    x0, y0, x1, y1, score, *points = (float(value) for value in values)
    return FaceBox(x0, y0, x1, y1, score, tuple(zip(points[::2], points[1::2], strict=True)) or None)


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

    Pickles without its index; a copy in another process writes a file of its own. What other processes add is seen
    after a second at most.

    Args:
        folder: Made when the first text is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._forget()

    def _forget(self) -> None:
        self._places = _Places()
        self._logs: list[LineLog] = []
        self._number: dict[Path, int] = {}
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
        return None if place is None else self._text(key, place)

    def append(self, key: bytes, text: str) -> None:
        """Write a text without line ends under a key.

        Raises:
            OSError: The folder or the file cannot be written.
        """
        if self._own_path is None or self._owner != os.getpid():  # a fork of the process has a file of its own too
            self._owner = os.getpid()
            self._own_path = self.folder / f"{socket.gethostname()}-{self._owner}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        self._log(self._own_path).append(f"{key.hex()} {text}".encode())
        self._index(self._own_path)

    def _log(self, path: Path) -> LineLog:
        if path not in self._number:
            self._number[path] = len(self._logs)
            self._logs.append(LineLog(path, checksums=True))
        return self._logs[self._number[path]]

    def _read_what_is_new(self) -> None:
        """Index the whole lines that were added since the last look, by any process."""
        try:
            found = [(Path(entry.path), entry.stat()) for entry in os.scandir(self.folder)]
        except OSError:  # no folder: nothing was written yet
            return
        for path, status in sorted(found, key=lambda item: item[1].st_mtime_ns):  # the newest file has the last word
            if path.suffix == SUFFIX and status.st_size > self._log(path).read_to:
                self._index(path)

    def _index(self, path: Path) -> None:
        log, number = self._log(path), self._number[path]
        with suppress(OSError):  # removed meanwhile, or not ours to read
            for line in log.new_lines():
                with suppress(TypeError, ValueError):  # a damaged line: its boxes are detected again
                    self._places.put(int(line.body[:_SHORT_DIGITS], 16), number << _OFFSET_BITS | line.offset)  # type: ignore[index]

    def _text(self, key: bytes, place: int) -> str | None:
        """The text at a place, if it is that key's and whole."""
        try:
            body = self._logs[place >> _OFFSET_BITS].line_at(place & ((1 << _OFFSET_BITS) - 1)) or b""
        except OSError:
            return None
        head, _, text = body.partition(b" ")
        return text.decode("utf-8") if head == key.hex().encode() else None


def _short(key: bytes) -> int:
    return int.from_bytes(key[: _SHORT_DIGITS // 2], "big")
