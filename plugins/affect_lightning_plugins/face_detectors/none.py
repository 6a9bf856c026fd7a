"""Face detector `none`: no detection, whole frames replace face crops.

For sets whose pictures are faces already, and to measure what cropping is worth. Neighbours: `centerface.py`,
`yunet.py`.
"""

from __future__ import annotations

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector


class NoFaceDetector(FaceDetector):
    """Whole frames instead of face crops; nothing is detected."""

    finds_faces = False

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """No boxes, for any frame [T, H, W, 3]."""
        return [[] for _ in frames]

    def identity(self) -> str:
        """The name; there are no weights or options."""
        return "none"
