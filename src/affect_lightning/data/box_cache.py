"""Keeps detected face boxes on disk, one small file a clip, so that detection is paid once.

A key is made of the clip's path, size and time of change, the number of frames and the detector's identity: a changed
clip or detector is detected anew. Files appear under their name only when complete, so several workers and runs may
share a folder. Neighbour: `faces.py`. Legend: T frames.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.contracts import FaceBox

LAYOUT = "boxes-1"  # changes whenever the sampling of frames or the layout of the files does


class BoxCache:
    """Boxes by clip and detector.

    Args:
        folder: Made when the first boxes are written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._warned = False

    def key(self, source: Path, frame_count: int, detector: str) -> str:
        """Name under which the boxes of a clip are kept.

        Args:
            source: The video file.
            frame_count: T that was asked for.
            detector: Its identity.
        """
        status = source.stat()
        parts = [
            LAYOUT,
            str(source.resolve()),
            str(status.st_size),
            str(status.st_mtime_ns),
            str(frame_count),
            detector,
        ]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    def read(self, key: str, frame_count: int) -> list[list[FaceBox]] | None:
        """The boxes, T lists; None if they are not there, damaged or of another number of frames."""
        try:
            frames = json.loads(self._path(key).read_text(encoding="utf-8"))
            boxes = [[_box(values) for values in frame] for frame in frames]
        except (OSError, ValueError, TypeError):
            return None
        return boxes if len(boxes) == frame_count else None

    def write(self, key: str, boxes: Sequence[Sequence[FaceBox]]) -> None:
        """Keep the boxes. A folder that cannot be written costs time, not the run: it is warned of once."""
        path = self._path(key)
        text = json.dumps([[_values(box) for box in frame] for frame in boxes])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(text)
                os.replace(unfinished, path)
            except OSError:
                os.unlink(unfinished)
                raise
        except OSError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"Face boxes cannot be kept in {self.folder}: {error.strerror}. Faces are detected anew each time; "
                    f"set cache_folder to a folder with space that you may write to.",
                    stacklevel=2,
                )

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def _values(box: FaceBox) -> list[float]:
    """A box as numbers: edges, score, then x and y of each landmark; floats survive JSON exactly."""
    points = [float(number) for point in box.landmarks or () for number in point]
    return [float(box.x0), float(box.y0), float(box.x1), float(box.y1), float(box.score), *points]


def _box(values: list[float]) -> FaceBox:
    x0, y0, x1, y1, score, *points = (float(value) for value in values)
    return FaceBox(x0, y0, x1, y1, score, tuple(zip(points[::2], points[1::2], strict=True)) or None)
