"""From frames to crops of the speaker's face, on the fly (paper, Section 4: the `face` stream, 224x224 crops).

The authors extract faces off line with OpenFace, a Windows program; here a detector plugin runs in the loader's
workers and its boxes are kept on disk, so that detection is paid once. Neighbours: `decoding.py` gives the frames,
`box_cache.py` keeps the boxes, `dataset.py` calls the cropper. Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.data.box_cache import BoxCache
from affect_lightning.data.decoding import uniform_indices
from affect_lightning.data.media_files import MediaFile, PackedFile
from affect_lightning.data.quarantine import UnreadableClipError

CROP_SIZE = 224  # paper, Appendix B: encoders see 224x224
MARGIN = 0.2  # our choice: a fifth of the face on each side keeps chin and brows through small errors of the box
MAX_STEP = 1.0  # our choice: between two sampled frames a face moves at most its own size
MAX_GROWTH = 2.0  # our choice: between two sampled frames a face at most doubles or halves its side


@dataclass(frozen=True)
class FaceCrops:
    """Face crops of one clip.

    Attributes:
        pictures: RGB, uint8 [T, crop_size, crop_size, 3].
        mask: True where a crop is real [T].
        frames_without_face: Real frames in which the speaker's face was not found.
    """

    pictures: np.ndarray
    mask: np.ndarray
    frames_without_face: int


@dataclass
class _Track:
    """One person's boxes over time."""

    boxes: dict[int, FaceBox] = field(default_factory=dict)

    def last(self) -> FaceBox:
        return self.boxes[max(self.boxes)]


def choose_speaker(boxes: Sequence[Sequence[FaceBox]], height: int, width: int) -> list[FaceBox | None]:
    """Follow every face over time and keep the one that is large, central and lasting: the speaker.

    A track weighs the sum, over its frames, of the face's side x how central it is (1 in the middle of the picture, 1/2
    at a corner). Our rule; MER-Caption's clips show their speaker large and near the middle. The detector's score says
    how typical a face looks, not who speaks, and is left out.

    Args:
        boxes: The detector's boxes, T lists.
        height: H.
        width: W.

    Returns:
        T boxes, None where the chosen face was not found.
    """
    tracks = _link(boxes)
    if not tracks:
        return [None] * len(boxes)
    chosen = max(tracks, key=lambda track: sum(_weight(box, height, width) for box in track.boxes.values()))
    return [chosen.boxes.get(index) for index in range(len(boxes))]


def _link(boxes: Sequence[Sequence[FaceBox]]) -> list[_Track]:
    """Give each box to the nearest track that it can continue, nearest pairs first."""
    tracks: list[_Track] = []
    for index, found in enumerate(boxes):
        pairs = sorted(
            (distance, track_index, box_index)
            for track_index, track in enumerate(tracks)
            for box_index, box in enumerate(found)
            if (distance := _step(track.last(), box)) is not None
        )
        taken_tracks: set[int] = set()
        taken_boxes: set[int] = set()
        for _, track_index, box_index in pairs:
            if track_index not in taken_tracks and box_index not in taken_boxes:
                tracks[track_index].boxes[index] = found[box_index]
                taken_tracks.add(track_index)
                taken_boxes.add(box_index)
        tracks += [_Track({index: box}) for box_index, box in enumerate(found) if box_index not in taken_boxes]
    return tracks


def _side(box: FaceBox) -> float:
    return max(box.x1 - box.x0, box.y1 - box.y0)


def _centre(box: FaceBox) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def _step(before: FaceBox, after: FaceBox) -> float | None:
    """How far a face would have moved, in its own sides; None if that cannot be one face."""
    growth = _side(after) / _side(before)
    if not 1 / MAX_GROWTH <= growth <= MAX_GROWTH:
        return None
    (x_before, y_before), (x_after, y_after) = _centre(before), _centre(after)
    distance = float(np.hypot(x_after - x_before, y_after - y_before)) / max(_side(before), _side(after))
    return distance if distance <= MAX_STEP else None


def _weight(box: FaceBox, height: int, width: int) -> float:
    x, y = _centre(box)
    from_middle = float(np.hypot(x / width - 0.5, y / height - 0.5)) / float(np.hypot(0.5, 0.5))
    return _side(box) * (1.0 - 0.5 * min(from_middle, 1.0))


def fill_gaps(chosen: Sequence[FaceBox | None]) -> list[FaceBox | None]:
    """Give a frame without the face the box of the nearest frame with it (the earlier one of two equally near)."""
    known = [index for index, box in enumerate(chosen) if box is not None]
    if not known:
        return list(chosen)
    return [chosen[min(known, key=lambda other: (abs(other - index), other))] for index in range(len(chosen))]


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """Resize a picture [H, W, 3] to [size, size, 3], averaging when it shrinks."""
    import cv2

    if picture.shape[:2] == (size, size):
        return picture
    shrinks = min(picture.shape[:2]) > size
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def crop_square(picture: np.ndarray, box: FaceBox, size: int, margin: float = MARGIN) -> np.ndarray:
    """Cut a square around a face.

    The square is moved into the picture where it sticks out, and shrunk to the picture's shorter side if it must be.

    Args:
        picture: RGB, uint8 [H, W, 3].
        box: The face.
        size: Side of the result in pixels.
        margin: Added on each side, as a share of the face's longer side.

    Returns:
        RGB, uint8 [size, size, 3].
    """
    height, width = picture.shape[:2]
    side = max(1, min(round(_side(box) * (1 + 2 * margin)), height, width))
    x, y = _centre(box)
    left = min(max(round(x - side / 2), 0), width - side)
    top = min(max(round(y - side / 2), 0), height - side)
    return resize(picture[top : top + side, left : left + side], size)


class FaceCropper:
    """Detects, chooses, crops. Pickles before its first use, as its detector does.

    Args:
        detector: From the plugin group `face_detectors`.
        crop_size: Side of the crops in pixels (paper, Appendix B: 224).
        cache: Where boxes are kept; None detects anew each time.
        margin: See `crop_square`.
    """

    def __init__(
        self, detector: FaceDetector, crop_size: int = CROP_SIZE, cache: BoxCache | None = None, margin: float = MARGIN
    ):
        self.detector = detector
        self.crop_size = crop_size
        self.cache = cache
        self.margin = margin

    def crop(self, frames: np.ndarray, mask: np.ndarray, source: MediaFile) -> FaceCrops:
        """Crop the speaker's face out of every real frame.

        A frame without it takes the nearest frame's box; a clip without any face is used whole. Both are counted.

        Args:
            frames: RGB, uint8 [T, H, W, 3].
            mask: True where a frame is real [T].
            source: The video file, for the cache.
        """
        pictures = np.zeros((len(frames), self.crop_size, self.crop_size, 3), dtype=np.uint8)
        real = frames[mask]
        if not self.detector.finds_faces:
            pictures[: len(real)] = [resize(frame, self.crop_size) for frame in real]
            return FaceCrops(pictures, mask, 0)
        chosen = choose_speaker(self._boxes(real, len(frames), source), *frames.shape[1:3])
        for index, (frame, box) in enumerate(zip(real, fill_gaps(chosen), strict=True)):
            pictures[index] = (
                resize(frame, self.crop_size) if box is None else crop_square(frame, box, self.crop_size, self.margin)
            )
        return FaceCrops(pictures, mask, sum(box is None for box in chosen))

    def _boxes(self, real: np.ndarray, frame_count: int, source: MediaFile) -> list[list[FaceBox]]:
        if self.cache is None:
            return self.detector.detect(real)
        key = self.cache.key(source, frame_count, self.detector.identity())
        boxes = self.cache.read(key, len(real))
        if boxes is None:
            boxes = self.detector.detect(real)
            self.cache.write(key, boxes)
        return boxes


def read_face_file(path: MediaFile, frame_count: int, crop_size: int) -> FaceCrops:
    """Read released crops (`openface_face/NAME/NAME.npy`, uint8 [T, H, W, 3]), spread uniformly over the clip.

    Raises:
        UnreadableClipError: The file is missing, empty, pickled or of another type or shape.
    """
    try:
        if isinstance(path, PackedFile):
            crops = np.load(path.opened("face"), allow_pickle=False)
        else:
            crops = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = f"{getattr(error, 'strerror', None) or error}; expected a NumPy file of face crops."
        raise UnreadableClipError(path, "face", reason) from error
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[3] != 3 or 0 in crops.shape:
        raise UnreadableClipError(
            path, "face", f"it holds {crops.dtype} {list(crops.shape)}; expected uint8 [T, H, W, 3] with T at least 1."
        )
    chosen = uniform_indices(len(crops), frame_count)
    pictures = np.zeros((frame_count, crop_size, crop_size, 3), dtype=np.uint8)
    pictures[: len(chosen)] = [resize(np.asarray(crops[index]), crop_size) for index in chosen]
    return FaceCrops(pictures, np.arange(frame_count) < len(chosen), 0)
