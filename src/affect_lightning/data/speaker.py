"""Which of the faces in a clip is the speaker's: the one that is large, central, present for long, and moves its mouth.

The paper's `face` stream (Section 4) shows the person whose emotion is annotated. MER-Caption's clips have one visible
speaker, but other people may be in the picture. `faces.py` crops what is chosen here. The boxes come from a plugin of
the group `face_detectors` or from `box_cache.py`. Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from affect_lightning.contracts import FaceBox

MAX_STEP = 1.0  # our choice: between two sampled frames a face moves at most its own size
MAX_GROWTH = 2.0  # our choice: between two sampled frames a face at most doubles or halves its side
MOVEMENT_POWER = 0.3  # our choice: a mouth that moves twice as much outweighs a face that is a fifth smaller
LEAST_FACTOR = 0.5  # our choice: no movement outweighs a face of twice the weight
MOVEMENT_FRAMES = 3  # fewer pictures do not tell movement from a difference
FACE_PATCH = (64, 80)  # width and height in pixels at which faces are compared
MOUTH, ABOVE = (0.65, 0.95), (0.35, 0.65)  # rows of a face, from hairline to chin, that hold the mouth; eyes and nose
STILL = 4.0  # grey levels of 255, our choice: changes below this are noise


@dataclass
class _Track:
    """One person's boxes over time."""

    boxes: dict[int, FaceBox] = field(default_factory=dict)

    def last(self) -> FaceBox:
        return self.boxes[max(self.boxes)]


def choose_speaker(boxes: Sequence[Sequence[FaceBox]], frames: np.ndarray) -> list[FaceBox | None]:
    """Follow every face over time and keep the one that is large, central and lasting: the speaker.

    A track weighs the sum, over its frames, of the face's side x how central it is (1 in the middle of the picture, 1/2
    at a corner). Where another track comes near the heaviest, each weight is multiplied by how much the mouth moves
    against the other's, softened: two people side by side are told apart by who talks. Our rule; MER-Caption's clips
    show their speaker large and near the middle. The detector's score says how typical a face looks, not who speaks,
    and is left out.

    Args:
        boxes: The detector's boxes, T lists.
        frames: The pictures, RGB, uint8 [T, H, W, 3].

    Returns:
        T boxes, None where the chosen face was not found.
    """
    tracks = _link(boxes)
    if not tracks:
        return [None] * len(boxes)
    weights = [sum(_weight(box, *frames.shape[1:3]) for box in track.boxes.values()) for track in tracks]
    rivals = [index for index, weight in enumerate(weights) if weight >= LEAST_FACTOR * max(weights)]
    if len(rivals) > 1:
        factors = _movement_factors([tracks[index] for index in rivals], frames)
        weights = [weights[index] * factor for index, factor in zip(rivals, factors, strict=True)]
        tracks = [tracks[index] for index in rivals]
    chosen = tracks[max(range(len(tracks)), key=weights.__getitem__)]
    return [chosen.boxes.get(index) for index in range(len(boxes))]


def _movement_factors(tracks: Sequence[_Track], frames: np.ndarray) -> list[float]:
    """1 for the track whose mouth moves most, down to `LEAST_FACTOR`; 1 for all if one is seen too seldom to tell."""
    if min(len(track.boxes) for track in tracks) < MOVEMENT_FRAMES:
        return [1.0] * len(tracks)
    movements = [_mouth_movement(track, frames) for track in tracks]
    most = max(movements)
    return [max(LEAST_FACTOR, (movement / most) ** MOVEMENT_POWER) if most else 1.0 for movement in movements]


def _mouth_movement(track: _Track, frames: np.ndarray) -> float:
    """How much the mouth's place changes from picture to picture, over how much eyes and nose do.

    The second takes out what moves the whole face: a turning head, the camera, light, and errors of the box.
    """
    import cv2

    width, height = FACE_PATCH
    patches = np.empty((len(track.boxes), height, width), np.float32)
    for patch, (index, box) in zip(patches, track.boxes.items(), strict=True):
        left, top = max(0, int(box.x0)), max(0, int(box.y0))
        face = frames[index, top : max(top + 1, round(box.y1)), left : max(left + 1, round(box.x1))]
        patch[:] = cv2.cvtColor(cv2.resize(face, FACE_PATCH, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    changes = np.abs(patches - np.median(patches, axis=0))[:, :, width // 4 : 3 * width // 4]
    mouth, above = (changes[:, round(first * height) : round(last * height)] for first, last in (MOUTH, ABOVE))
    return float(mouth.mean() / (above.mean() + STILL))


def _link(boxes: Sequence[Sequence[FaceBox]]) -> list[_Track]:
    """Give each box to the nearest track that it can continue, nearest pairs first."""
    tracks: list[_Track] = []
    for index, found in enumerate(boxes):
        pairs = sorted(
            (distance, track_index, box_index)
            for track_index, track in enumerate(tracks)
            for box_index, box in enumerate(found)
            if (distance := _step(track.last(), box)) is not None
        )
        taken_tracks: set[int] = set()
        taken_boxes: set[int] = set()
        for _, track_index, box_index in pairs:
            if track_index not in taken_tracks and box_index not in taken_boxes:
                tracks[track_index].boxes[index] = found[box_index]
                taken_tracks.add(track_index)
                taken_boxes.add(box_index)
        tracks += [_Track({index: box}) for box_index, box in enumerate(found) if box_index not in taken_boxes]
    return tracks


def side_of(box: FaceBox) -> float:
    """The longer side of a face, in pixels."""
    return max(box.x1 - box.x0, box.y1 - box.y0)


def centre_of(box: FaceBox) -> tuple[float, float]:
    """The middle of a face, x and y in pixels."""
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def _step(before: FaceBox, after: FaceBox) -> float | None:
    """How far a face would have moved, in its own sides; None if that cannot be one face."""
    growth = side_of(after) / side_of(before)
    if not 1 / MAX_GROWTH <= growth <= MAX_GROWTH:
        return None
    (x_before, y_before), (x_after, y_after) = centre_of(before), centre_of(after)
    distance = float(np.hypot(x_after - x_before, y_after - y_before)) / max(side_of(before), side_of(after))
    return distance if distance <= MAX_STEP else None


def _weight(box: FaceBox, height: int, width: int) -> float:
    x, y = centre_of(box)
    from_middle = float(np.hypot(x / width - 0.5, y / height - 0.5)) / float(np.hypot(0.5, 0.5))
    return side_of(box) * (1.0 - 0.5 * min(from_middle, 1.0))
