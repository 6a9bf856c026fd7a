"""A decoded frame as the picture that a player shows: RGB, upright, with square pixels.

Phones store a turned picture and an angle, and broadcasts store narrow pixels and their aspect: a face detector and an
encoder want neither. Neighbour: `decoding.py` chooses and decodes the frames. Legend: H height and W width in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC of FFmpeg


def is_cover(stream: Any) -> bool:
    """Whether a video track is the still picture of an album or a film, which is no clip."""
    disposition = getattr(stream, "disposition", 0)
    return bool(int(getattr(disposition, "value", disposition)) & _COVER)


class UprightPictures:
    """Decoded frame to RGB, upright, with square pixels; keeps one colour converter for the clip."""

    def __init__(self, aspect: Any, longest_side: int | None = None) -> None:
        """Make the converter.

        Args:
            aspect: Width of a sample by its height, as the track says it; None or 0 if it does not.
            longest_side: Larger pictures are made smaller until their longer side has so many pixels; None for never.
        """
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        # Width of a sample by its height; what passes a factor of four is no picture's.
        self._aspect = float(aspect) if aspect and 0.25 <= float(aspect) <= 4.0 else 1.0
        self._longest_side = longest_side

    def _shown(self, frame: Any) -> tuple[int, int]:
        """Width and height with square pixels: the shorter side is stretched, nothing is thrown away."""
        width, height = frame.width * max(self._aspect, 1.0), frame.height / min(self._aspect, 1.0)
        scale = 1.0 if self._longest_side is None else min(1.0, self._longest_side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def __call__(self, frame: Any) -> np.ndarray:
        """The picture, uint8 [H, W, 3]."""
        width, height = self._shown(frame)
        picture = self._reformatter.reformat(frame, width, height, format="rgb24", threads=1).to_ndarray()
        quarter_turns = round(frame.rotation / 90) % 4  # the display matrix, counter-clockwise as in np.rot90
        return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture
