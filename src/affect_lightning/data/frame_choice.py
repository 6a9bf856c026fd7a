"""Which frames of a clip are read, and what must be decoded for them (paper, Appendix B: frames spread uniformly).

`decoding.py` decodes these frames, `faces.py` picks released crops by the same rule. Legend: T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

FRAME_COUNT = 8  # T (paper, Appendix B)
# Of T equal parts of a clip: the picture in the middle of each (our choice), or its first (the authors' released code).
FrameChoice = Literal["middle", "first"]


def uniform_times(start: float, end: float, count: int) -> np.ndarray:
    """The middles of `count` equal parts of a span (our choice among the uniform rules: never the first frame).

    Example:
        >>> uniform_times(0.0, 4.0, 4)
        array([0.5, 1.5, 2.5, 3.5])
    """
    return start + (end - start) * (np.arange(count) + 0.5) / count


def uniform_indices(available: int, count: int, choice: FrameChoice = "middle") -> np.ndarray:
    """The same rule for pictures that come without times; all of them once if there are fewer than `count`.

    With `first` the first index of each part, and in a short clip the last picture again and again, as in the authors'
    released code.

    Example:
        >>> uniform_indices(16, 4), uniform_indices(2, 4)
        (array([ 2,  6, 10, 14]), array([0, 1]))
        >>> uniform_indices(16, 4, "first"), uniform_indices(2, 4, "first")
        (array([ 0,  4,  8, 12]), array([0, 1, 1, 1]))
    """
    if choice == "first":
        return np.minimum(np.arange(count) * max(available, count) // count, available - 1)
    if available < count:
        return np.arange(available)
    return uniform_times(0, available, count).astype(np.int64)


def decoding_runs(packets: Sequence[Any], wanted: set[int]) -> list[tuple[int, int]]:
    """Half-open index ranges, in decoding order, that hold every wanted frame and the frames that it builds on.

    With one key frame at the start that is one range, straight decoding up to the last wanted frame; with several it is
    seeking, no group being decoded twice or without a wanted frame. So it is never dearer than the cheaper of the two.

    Args:
        packets: Undecoded, each with `pts` and `is_keyframe`.
        wanted: Presentation times of the wanted frames.
    """
    needed = np.zeros(len(packets), dtype=bool)
    key_frames: list[int] = []
    for index, packet in enumerate(packets):
        if packet.is_keyframe:
            key_frames.append(index)
        if packet.pts in wanted:
            # A picture shown before its key frame ("open" groups of pictures) builds on the group before.
            first = next((key for key in reversed(key_frames) if packets[key].pts <= packet.pts), 0)
            needed[first : index + 1] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([False], needed, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
