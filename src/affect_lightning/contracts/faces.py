"""What a face detector must provide. Legend: T frames, H height, W width in pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FaceBox:
    """A face in a frame, in pixels of that frame, x to the right and y down.

    Attributes:
        x0: Left edge.
        y0: Upper edge.
        x1: Right edge, larger than `x0`.
        y1: Lower edge, larger than `y0`.
        score: Confidence in [0, 1].
        landmarks: (x, y) of right eye, left eye, nose, right and left mouth corner, if the detector finds them.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None


class FaceDetector(ABC):
    """Finds faces in frames. It runs in the loader's worker processes: it must pickle before its first use.

    Attributes:
        finds_faces: False for the part that stands for "no detection"; whole frames are used then, uncounted.
    """

    finds_faces: bool = True

    @abstractmethod
    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """Find the faces of every frame.

        Args:
            frames: uint8 [T, H, W, 3], RGB.

        Returns:
            T lists of boxes, best score first; an empty list where there is no face.
        """

    @abstractmethod
    def identity(self) -> str:
        """Name, weights and options in one line: cached boxes are only reused under the same identity."""
