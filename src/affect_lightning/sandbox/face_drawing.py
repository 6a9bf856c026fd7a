"""Measures of a drawn face and the brushes that all its parts use.

A head is drawn on a canvas about twice as large as it appears in the picture and is scaled down when it is placed,
which smooths its edges. The paper's face stream (section 3.3) sees crops of such heads. `face_layers.py` draws what
does not move within the head, `face_features.py` what does; the looks come from `identities.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from affect_lightning.sandbox.identities import Colour, Identity

#: Canvas of one head in pixels.
CANVAS_WIDTH, CANVAS_HEIGHT = 320, 416
#: Middle of the face on the canvas; where the head turns and nods around.
CENTRE_X, CENTRE_Y = 160.0, 196.0
EYE_LINE, BROW_LINE, NOSE_TIP, MOUTH_LINE, CHIN, CROWN = 172.0, 140.0, 222.0, 258.0, 306.0, 62.0
#: Above this line nothing moves when the jaw drops; below it the head stretches.
JAW_HINGE = 226.0
#: Height of the face, hairline to chin, in canvas pixels.
FACE_HEIGHT = CHIN - 76.0

_SUBPIXEL_BITS = 4
_STEPS = np.linspace(0.0, 1.0, 13)
_QUADRATIC = np.stack([(1 - _STEPS) ** 2, 2 * _STEPS * (1 - _STEPS), _STEPS**2], axis=1)


@dataclass(frozen=True)
class FaceMeasures:
    """Where the parts of one identity's face lie, in canvas pixels.

    Attributes:
        half_width: Of the face at the cheekbones.
        chin: Height of the chin's lowest point.
        eye_offset: From the middle to the middle of an eye.
        eye_half_width: Of the lid opening.
        nose_tip: Height of the nose's tip.
        nose_half_width: Between the middle and a nostril's wing.
        mouth_half_width: Of the closed mouth at rest.
        lip: Thickness of the lower lip.
    """

    half_width: float
    chin: float
    eye_offset: float
    eye_half_width: float
    nose_tip: float
    nose_half_width: float
    mouth_half_width: float
    lip: float


def measure_face(identity: Identity) -> FaceMeasures:
    """Turn an identity's ratios into canvas pixels."""
    return FaceMeasures(
        half_width=92.0 * identity.face_width,
        chin=EYE_LINE + (CHIN - EYE_LINE) * identity.chin_length,
        eye_offset=41.0 * identity.eye_distance,
        eye_half_width=24.0 * identity.eye_size,
        nose_tip=EYE_LINE + (NOSE_TIP - EYE_LINE) * identity.nose_length,
        nose_half_width=17.0 * identity.nose_width,
        mouth_half_width=32.0 * identity.mouth_width,
        lip=8.0 * identity.lip_fullness,
    )


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter (above 1)."""
    blue, green, red = (round(min(255.0, max(0.0, channel * factor))) for channel in colour)
    return blue, green, red


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour between two, `share` of the way from the first to the second."""
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return blue, green, red


def curve(start: tuple[float, float], through: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """A parabola from start to end whose middle passes through a third point.

    Returns:
        [13, 2] points.
    """
    points = np.array([start, through, end])
    points[1] = 2.0 * points[1] - 0.5 * (points[0] + points[2])
    return _QUADRATIC @ points


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Points [P, 2] as the integers with fraction bits that OpenCV draws from."""
    return np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def fill(canvas: np.ndarray, points: np.ndarray, colour: Colour | int) -> None:
    """Fill a polygon [P, 2]; opaque on a canvas of four channels."""
    cv2.fillPoly(canvas, [fixed_point(points)], _ink(canvas, colour), cv2.LINE_AA, _SUBPIXEL_BITS)


def stroke(canvas: np.ndarray, points: np.ndarray, colour: Colour | int, thickness: int, closed: bool = False) -> None:
    """Draw a line through points [P, 2]."""
    cv2.polylines(canvas, [fixed_point(points)], closed, _ink(canvas, colour), thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def disc(canvas: np.ndarray, centre: tuple[float, float], radius: float, colour: Colour | int) -> None:
    """Draw a filled circle."""
    unit = 1 << _SUBPIXEL_BITS
    middle = (round(centre[0] * unit), round(centre[1] * unit))
    cv2.circle(canvas, middle, round(radius * unit), _ink(canvas, colour), -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def ellipse_points(centre: tuple[float, float], half_width: float, half_height: float, steps: int = 40) -> np.ndarray:
    """Points [steps, 2] of an ellipse."""
    angles = np.linspace(0.0, 2.0 * np.pi, steps, endpoint=False)
    return np.stack([centre[0] + half_width * np.cos(angles), centre[1] + half_height * np.sin(angles)], axis=1)


def soft_mask(points: np.ndarray, blur: float, shape: tuple[int, int] = (CANVAS_HEIGHT, CANVAS_WIDTH)) -> np.ndarray:
    """A polygon with soft edges.

    Args:
        points: [P, 2] polygon.
        blur: Standard deviation of the blur in pixels.
        shape: Height and width of the mask.

    Returns:
        [height, width] float32 in 0 to 1.
    """
    mask = np.zeros(shape, np.float32)
    cv2.fillPoly(mask, [fixed_point(points)], (1.0,), cv2.LINE_8, _SUBPIXEL_BITS)
    return cv2.GaussianBlur(mask, (0, 0), blur) if blur > 0.0 else mask


def _ink(canvas: np.ndarray, colour: Colour | int) -> tuple[int, ...]:
    """The colour for a canvas of one, three or four channels."""
    if isinstance(colour, int):
        return (colour,)
    return (*colour, 255) if canvas.ndim == 3 and canvas.shape[2] == 4 else colour
