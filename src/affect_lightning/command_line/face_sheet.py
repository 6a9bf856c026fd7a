"""A contact sheet of face crops: each clip's frames with the boxes of everybody, the speaker's crops below.

For eyes: whether the right face is cut well cannot be seen from a loss. The crops are those of the paper's `face`
stream (Section 4). Neighbour: `faces_command.py` finds the faces and writes the sheet.
Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affect_lightning.data.faces import FaceCrops, FoundFaces

COLUMN = 208  # pixels for one frame, gap included
GAP = 8
CROP = 128  # side of a crop on the sheet
CAPTION = 26
PAPER, INK = (255, 255, 255), (32, 32, 32)  # red, green, blue
SPEAKER, OTHER, MISSING = (0, 200, 83), (255, 179, 0), (213, 0, 0)


@dataclass(frozen=True)
class SheetClip:
    """One clip of the sheet.

    Attributes:
        title: A line above the clip; what is not ASCII shows as question marks.
        frames: The real frames, RGB, uint8 [T, H, W, 3].
        times: Of the frames, in seconds [T].
        found: The faces in them.
        crops: What the encoder gets of them.
    """

    title: str
    frames: np.ndarray
    times: np.ndarray
    found: FoundFaces
    crops: FaceCrops


def draw_sheet(clips: Sequence[SheetClip]) -> np.ndarray:
    """Draw the clips below each other: RGB, uint8 [height, width, 3].

    The speaker's box and the crops cut from it are green, other faces amber; a crop without a face of its own has a
    red edge.
    """
    columns = max(len(clip.frames) for clip in clips)
    rows = [_draw_clip(clip, columns * COLUMN + GAP) for clip in clips]
    return np.concatenate(rows)


def _draw_clip(clip: SheetClip, width: int) -> np.ndarray:
    import cv2

    height, frame_width = clip.frames.shape[1:3]
    scale = (COLUMN - GAP) / max(frame_width, height)
    thumbnail = (max(1, round(frame_width * scale)), max(1, round(height * scale)))
    crops_top = CAPTION + thumbnail[1] + GAP
    sheet = np.full((crops_top + CROP + 3 * GAP, width, 3), PAPER, np.uint8)
    _write(sheet, clip.title, (GAP, CAPTION - 9))
    for index, frame in enumerate(clip.frames):
        left = GAP + index * COLUMN
        picture = cv2.resize(frame, thumbnail, interpolation=cv2.INTER_AREA)
        for box in clip.found.boxes[index]:
            chosen = box is clip.found.speaker[index]
            corners = [round(edge * scale) for edge in (box.x0, box.y0, box.x1, box.y1)]
            cv2.rectangle(picture, corners[:2], corners[2:], SPEAKER if chosen else OTHER, 2 if chosen else 1)
        _write(picture, f"{clip.times[index]:.1f} s", (4, thumbnail[1] - 5), outlined=True)
        sheet[CAPTION : CAPTION + thumbnail[1], left : left + thumbnail[0]] = picture
        crop = cv2.resize(clip.crops.pictures[index], (CROP, CROP), interpolation=cv2.INTER_AREA)
        edge = SPEAKER if clip.found.speaker[index] is not None else MISSING
        cv2.rectangle(crop, (0, 0), (CROP - 1, CROP - 1), edge, 2)
        sheet[crops_top : crops_top + CROP, left : left + CROP] = crop
    return sheet


def _write(picture: np.ndarray, text: str, place: tuple[int, int], outlined: bool = False) -> None:
    import cv2

    text = text.encode("ascii", "replace").decode()
    style: dict[str, Any] = {"fontFace": cv2.FONT_HERSHEY_SIMPLEX, "fontScale": 0.45, "lineType": cv2.LINE_AA}
    if outlined:
        cv2.putText(picture, text, place, color=INK, thickness=3, **style)
    cv2.putText(picture, text, place, color=PAPER if outlined else INK, thickness=1, **style)
