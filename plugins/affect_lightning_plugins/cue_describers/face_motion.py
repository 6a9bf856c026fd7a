"""How much mouth, brows and head move in face crops, by optical flow (for the describer `signal`; ours).

Farneback's dense flow (2003) by OpenCV between neighbouring crops. The head's motion is the median over the crop, the mouth's
and the brows' what is left in their part of the face. A crop is the speaker's face, so the parts are where faces have them.
Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SIDE = 96  # pixels to which crops are scaled; flow takes 2 ms then
# Upper and lower edge, left and right edge, as shares of the crop.
MOUTH = (0.62, 0.90, 0.28, 0.72)
BROWS = (0.18, 0.40, 0.15, 0.85)


@dataclass(frozen=True)
class FaceMotion:
    """Motion between neighbouring frames, in percent of the crop's side; the median over the clip.

    Attributes:
        mouth: Of the mouth against the head.
        brows: Of the brows against the head.
        head: Of the whole face.
    """

    mouth: float
    brows: float
    head: float


def measure_face(crops: np.ndarray) -> FaceMotion:
    """Measure face crops uint8 [T, H, W, 3] in RGB, T at least 2."""
    import cv2

    grey = [
        cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA) for crop in crops
    ]
    found = []
    for before, after in pairwise(grey):
        start = np.zeros((SIDE, SIDE, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, 15, 3, 5, 1.2, 0)
        head = np.median(flow.reshape(-1, 2), axis=0)
        found.append((_within(flow - head, MOUTH), _within(flow - head, BROWS), float(np.hypot(*head))))
    mouth, brows, moved = (float(np.median(column)) * 100 / SIDE for column in zip(*found, strict=True))
    return FaceMotion(mouth, brows, moved)


def _within(flow: np.ndarray, part: tuple[float, float, float, float]) -> float:
    """Mean length of the flow [H, W, 2] in a part of the face."""
    top, bottom, left, right = (round(share * SIDE) for share in part)
    return float(np.hypot(flow[top:bottom, left:right, 0], flow[top:bottom, left:right, 1]).mean())
