"""Face crops next to the clips, as the authors release them: uint8 [T, H, W, 3] in a `.npy` file, written by OpenCV.

So the channels are blue, green, red, as in the released files (docs/faces.md). The face is cut at its true box, which
stands for what OpenFace finds. `generation.py` calls this for the layout `released` (`places.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from affect_lightning.storage import write_whole

CROPS = 16  # of a clip, spread evenly over it; our choice: twice the 8 that the model sees
SIZE = 96  # pixels a side; our choice: a drawn face is about 100 high, and a clip's crops take 0.4 MB
_MARGIN = 0.1  # of the box on each side; our choice


def write_face_crops(video: Path, boxes: Sequence[Sequence[float]], path: Path) -> None:
    """Cut the speaker's face out of a clip's pictures.

    Args:
        video: The MP4.
        boxes: x0, y0, x1, y1 of the face in each of its T pictures, in pixels of the upright picture.
        path: The file to write; its folder is made.

    Raises:
        av.FFmpegError: The video cannot be read.
        OSError: The file cannot be written.
    """
    wanted = {round(place) for place in np.linspace(0, len(boxes) - 1, min(CROPS, len(boxes)))}
    crops = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                picture = np.rot90(frame.to_ndarray(format="bgr24"), round(frame.rotation / 90) % 4)
                crops.append(_crop(picture, boxes[index]))
    write_whole(path, lambda file: np.save(file, np.stack(crops)), durable=False)


def _crop(picture: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """A square around the box [SIZE, SIZE, 3]; black where it sticks out of the picture [H, W, 3]."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * (1 + 2 * _MARGIN)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    scale = SIZE / side
    shift = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(picture), shift, (SIZE, SIZE)), np.uint8)
