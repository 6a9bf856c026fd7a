"""Keeps detected face boxes on disk beside the data, so that detection is paid once.

A key is made of the clip's size and content, the number of frames and the detector's identity with its options: a
changed clip or detector is detected anew, a copied or renamed clip is not. Neighbours: `box_files.py` holds the files,
`faces.py` asks here before it detects. Legend: T frames.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.contracts import FaceBox
from affect_lightning.data.box_files import KEY_BYTES, GrowingFiles
from affect_lightning.data.media_files import MediaFile, PackedFile
from affect_lightning.user_cache import user_cache_folder

LAYOUT = "boxes-2"  # changes whenever the sampling of frames or the layout of the lines does
FOLDER = "face_boxes"
SET_VIDEO_FOLDERS = ("video", "subvideo", "subvideo-tgt")  # paper, Appendix C: where the official sets have videos
EDGE_DIGITS, SCORE_DIGITS = 2, 4  # our choice: a hundredth of a pixel; about 900 bytes a clip of 8 frames and one face
_SAMPLED_BYTES = 65_536  # of the start and of the end of a file: a container's index stands at one of them


def folder_beside(video: Path) -> Path | None:
    """`face_boxes` in the set's folder of `SET/video/NAME.mp4`; None for a video that lies in no official layout."""
    return video.parent.parent / FOLDER if video.parent.name in SET_VIDEO_FOLDERS else None


def rounded(boxes: Sequence[Sequence[FaceBox]]) -> list[list[FaceBox]]:
    """The boxes as they come back from the cache, so that a cold and a warm cache give the same crops."""
    return [[_box(_values(box)) for box in frame] for frame in boxes]


class BoxCache:
    """Boxes by clip and detector. Pickles; every process writes files of its own.

    Args:
        folder: Where boxes are kept. None keeps those of an official set beside its videos (`SET/face_boxes`), or, if
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
            f"Face boxes cannot be kept in {folder}: {error.strerror or error}. Faces are detected anew each time; "
            f"set cache_folder to a folder with space that you may write to.",
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
