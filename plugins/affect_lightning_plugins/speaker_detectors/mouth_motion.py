"""What a mouth does over time, in a few numbers a picture: its region's principal components, the head held still.

A head moves more than lips do. So each crop is first laid over one of them by its eyes and nose (OpenCV's ECC, Evangelidis
and Psarakis 2008: the shift and turn with the best correlation), and then the mouth's region is looked at. The few
components that vary most hold the opening of the mouth, whatever its owner looks like. `sync.py` compares them with the
sound. Legend: T pictures, K components.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

SIDE = 112  # pixels to which crops are scaled; ECC takes half a millisecond then
# Upper and lower edge, left and right edge, as shares of a crop; a crop has the form of `contracts.speakers`. Our choice.
EYES_AND_NOSE = (0.22, 0.60, 0.22, 0.78)
MOUTH = (0.56, 0.88, 0.28, 0.72)
FACE = (0.22, 0.85, 0.22, 0.76)
MOUTH_SIZE = (20, 14)  # pixels to which the mouth's region is scaled, our choice: lips stay visible, noise does not
STEP_SECONDS = 0.08  # our choice: films of 12 pictures a second have a new one by then
_STEPS, _PRECISION = 20, 1e-3  # of ECC: most iterations, least gain
_MOST_SHIFT = 0.22 * SIDE  # our choice: what would move the face further is a wrong answer


@dataclass(frozen=True)
class MouthMotion:
    """What the mouth does.

    Attributes:
        components: The strongest components of its changes in grey levels, float64 [T, K], without what changes more slowly
            than in a second.
        liveliness: How much it changes within `STEP_SECONDS`, as a share of the face's contrast; the median, so that
            a single smile or blink does not count.
    """

    components: np.ndarray
    liveliness: float


def measure_mouth(crops: np.ndarray, count: int, rate: float) -> MouthMotion:
    """Measure the mouth.

    Args:
        crops: Of one face, RGB, uint8 [T, side, side, 3], T at least 3.
        count: K.
        rate: Crops a second.
    """
    import cv2

    still = held_still(crops)
    top, bottom, left, right = (round(share * SIDE) for share in MOUTH)
    mouths = [
        cv2.resize(picture[top:bottom, left:right], MOUTH_SIZE, interpolation=cv2.INTER_AREA) for picture in still
    ]
    pixels = quick_changes(np.stack(mouths).reshape(len(still), -1).astype(np.float64), rate)
    left_vectors, sizes, _ = np.linalg.svd(pixels, full_matrices=False)
    found = np.zeros((len(still), count))
    kept = min(count, len(sizes))
    found[:, :kept] = left_vectors[:, :kept] * sizes[:kept]
    apart = max(1, round(STEP_SECONDS * rate))
    steps = np.sqrt(((pixels[apart:] - pixels[:-apart]) ** 2).mean(axis=1))
    top, bottom, left, right = (round(share * SIDE) for share in FACE)
    contrast = float(still[:, top:bottom, left:right].std())
    return MouthMotion(found, float(np.median(steps)) / max(contrast, 1.0))


def held_still(crops: np.ndarray) -> np.ndarray:
    """Grey crops float32 [T, SIDE, SIDE], shifted and turned so that eyes and nose stay where they are."""
    import cv2

    grey = np.stack(
        [
            cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for crop in crops
        ]
    ).astype(np.float32)
    top, bottom, left, right = (round(share * SIDE) for share in EYES_AND_NOSE)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[top:bottom, left:right] = 255
    usual = np.median(grey, axis=0)
    reference = grey[int(np.argmin(np.abs(grey - usual)[:, top:bottom, left:right].mean(axis=(1, 2))))]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _PRECISION)
    turn = np.eye(2, 3, dtype=np.float32)
    held = np.empty_like(grey)
    for index, picture in enumerate(grey):
        found: np.ndarray = turn
        with contextlib.suppress(cv2.error):  # nothing to hold on to, such as one flat grey
            _, found = cv2.findTransformECC(reference, picture, turn.copy(), cv2.MOTION_EUCLIDEAN, criteria, mask, 5)
        if np.isfinite(found).all() and np.abs(found[:, 2]).max() <= _MOST_SHIFT:
            turn = np.asarray(found, np.float32)  # the next search begins here
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        held[index] = cv2.warpAffine(picture, turn, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return held


def quick_changes(values: np.ndarray, rate: float) -> np.ndarray:
    """Values [T, ...] lightly smoothed over three steps, less their mean over the second around, and less their mean.

    Both the mouth and the sound go through it. The smoothing takes out noise above the rate of syllables; what is slower
    than a second is light, a smile, or how loud the whole sentence is.
    """
    padded = np.pad(values, ((1, 1), *((0, 0),) * (values.ndim - 1)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    half = round(rate) // 2
    padded = np.pad(smooth, ((half, half), *((0, 0),) * (values.ndim - 1)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0)
    length = 2 * half + 1
    quick = smooth - (sums[length:] - sums[:-length]) / length
    return np.asarray(quick - quick.mean(axis=0))
