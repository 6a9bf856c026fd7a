"""The face detectors besides the default: `yunet` and `none`.

- `yunet`: YuNet (Wu et al., 2023) through OpenCV, from a file that the user brings. No pip package has the weights;
  OpenCV's model zoo offers `face_detection_yunet_*.onnx`.
- `none`: no detection, whole frames replace face crops. For sets whose pictures are faces already, and to measure what
  cropping is worth.

`centerface.py` is the default and needs no file. Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.errors import ConfigurationError


class NoFaceDetector(FaceDetector):
    """Whole frames instead of face crops; nothing is detected."""

    finds_faces = False

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """No boxes, for any frame [T, H, W, 3]."""
        return [[] for _ in frames]

    def identity(self) -> str:
        """The name; there are no weights or options."""
        return "none"


class YuNetDetector(FaceDetector):
    """YuNet on the CPU (OpenCV, with your ONNX file).

    Args:
        model_path: `face_detection_yunet_*.onnx` of OpenCV's model zoo.
        longest_side: Frames are scaled so that their longer side has this many pixels (our choice, as in
            `centerface`).
        score_threshold: Least confidence of a face, 0 to 1 (our choice).
        overlap_threshold: If two boxes overlap more than this, the better one is kept (OpenCV's default).

    Raises:
        ConfigurationError: The file is missing or no YuNet.
    """

    def __init__(
        self,
        model_path: str,
        longest_side: int = 320,
        score_threshold: float = 0.6,
        overlap_threshold: float = 0.3,
    ):
        self.model_path = Path(model_path)
        if not self.model_path.is_file():
            raise ConfigurationError(
                f"The face detector 'yunet' cannot find the file {self.model_path}. Download face_detection_yunet_*.onnx from "
                f"OpenCV's model zoo and give its path as model_path, or choose 'centerface'."
            )
        self.longest_side = longest_side
        self.score_threshold = score_threshold
        self.overlap_threshold = overlap_threshold
        self._digest = hashlib.sha256(self.model_path.read_bytes()).hexdigest()[:12]
        self._network: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """See the contract.

        Args:
            frames: uint8 [T, H, W, 3], RGB.

        Raises:
            ConfigurationError: OpenCV cannot use the file.
        """
        import cv2

        height, width = frames.shape[1:3]
        scale = self.longest_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        try:
            if self._network is None:
                self._network = cv2.FaceDetectorYN.create(
                    str(self.model_path), "", size, self.score_threshold, self.overlap_threshold
                )
            self._network.setInputSize(size)
            pictures = (cv2.cvtColor(cv2.resize(frame, size), cv2.COLOR_RGB2BGR) for frame in frames)
            found = [self._network.detect(picture)[1] for picture in pictures]
        except cv2.error as error:
            raise ConfigurationError(
                f"The face detector 'yunet' cannot use {self.model_path}: {' '.join(str(error).split())}. Expected "
                f"face_detection_yunet_*.onnx of OpenCV's model zoo."
            ) from error
        return [[_face(row, scale) for row in (rows if rows is not None else [])] for rows in found]

    def identity(self) -> str:
        """Name, weights and options."""
        return (
            f"yunet {self._digest} longest_side={self.longest_side} score={self.score_threshold:g} "
            f"overlap={self.overlap_threshold:g}"
        )


def _face(row: np.ndarray, scale: float) -> FaceBox:
    """A row of OpenCV's result: x, y, width, height, five landmarks, score."""
    x, y, width, height, *points, score = (float(value) for value in row)
    scaled = [value / scale for value in points]
    landmarks = tuple(zip(scaled[::2], scaled[1::2], strict=True))
    return FaceBox(x / scale, y / scale, (x + width) / scale, (y + height) / scale, min(score, 1.0), landmarks)
