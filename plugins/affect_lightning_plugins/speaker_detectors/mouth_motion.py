"""What a mouth does over time, in a few numbers a picture: its region's principal components, the head held still.

A head moves more than lips do. So each crop is first laid over one of them by its eyes and nose (OpenCV's ECC, Evangelidis
and Psarakis 2008: the shift and turn with the best correlation), and then the mouth's region is looked at. The few
components that vary most hold the opening of the mouth, whatever its owner looks like. `sync.py` compares them with the
sound. Legend: T pictures, K components.
"""

from __future__ import annotations

import numpy as np

SIDE = 112  # pixels to which crops are scaled; ECC takes half a millisecond then
# Upper and lower edge, left and right edge, as shares of a crop; a crop has the form of `contracts.speakers`. Our choice.
EYES_AND_NOSE = (0.22, 0.60, 0.22, 0.78)
MOUTH = (0.56, 0.88, 0.28, 0.72)
MOUTH_SIZE = (20, 14)  # pixels to which the mouth's region is scaled, our choice: lips stay visible, noise does not
_STEPS, _PRECISION = 20, 1e-3  # of ECC: most iterations, least gain
_MOST_SHIFT = 0.22 * SIDE  # our choice: what would move the face further is a wrong answer


def mouth_components(crops: np.ndarray, count: int, rate: float) -> np.ndarray:
    """The strongest components of the mouth's changes.

    Args:
        crops: Of one face, RGB, uint8 [T, side, side, 3].
        count: K.
        rate: Crops a second.

    Returns:
        float64 [T, K], in grey levels, without what changes more slowly than in a second.
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
    return found


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
        try:
            _, found = cv2.findTransformECC(reference, picture, turn.copy(), cv2.MOTION_EUCLIDEAN, criteria, mask, 5)
        except cv2.error:  # nothing to hold on to, such as one flat grey
            found = turn
        if np.isfinite(found).all() and np.abs(found[:, 2]).max() <= _MOST_SHIFT:
            turn = found  # the next search begins here
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
