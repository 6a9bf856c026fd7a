"""The parts of a face that move: eyes, brows, mouth, jaw, folds and cheeks, drawn for one frame's action units.

What each unit does follows the Facial Action Coding System; `action_units.py` says when. The head below comes from
`face_layers.py`; `scenery.py` places the finished head in the picture.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from affect_lightning.sandbox.action_units import ActionUnits
from affect_lightning.sandbox.face_drawing import (
    BROW_LINE,
    CANVAS_HEIGHT,
    CANVAS_WIDTH,
    CENTRE_X,
    EYE_LINE,
    JAW_HINGE,
    MOUTH_LINE,
    curve,
    disc,
    ellipse_points,
    fill,
    measure_face,
    mix,
    shade,
    soft_mask,
    stroke,
)
from affect_lightning.sandbox.face_layers import head_layer
from affect_lightning.sandbox.identities import Identity

Point = tuple[float, float]
#: Half height and half width of the patch that holds one eye, canvas pixels.
_EYE_PATCH = (34, 40)
#: How far the jaw drops at AU26 = 1, and how far speech opens the mouth, canvas pixels. Our choice.
_JAW_DROP, _SPEECH_DROP = 30.0, 16.0
#: The head's lowest pixel hangs at most this much lower when the jaw drops, canvas pixels.
_STRETCH_MARGIN = 40
_MOUTH_ANGLES = np.linspace(0.0, np.pi, 13)


def jaw_drop(units: ActionUnits) -> float:
    """How far the chin hangs lower than at rest, canvas pixels."""
    return _JAW_DROP * 0.9 * units.au26 + 3.0 * units.speech


class FaceArtist:
    """Draws one identity's head for any action units.

    Args:
        identity: Whose head.

    Attributes:
        identity: As given.
        measures: Where its parts lie.
        extent: x0, y0, x1, y1 in canvas pixels; the head is transparent outside.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.measures = measure_face(identity)
        self._layer = head_layer(identity)
        left, top, width, height = cv2.boundingRect(np.ascontiguousarray(self._layer[..., 3]))
        lowest = min(CANVAS_HEIGHT, top + height + _STRETCH_MARGIN)
        self.extent = (max(0, left - 2), max(0, top - 2), min(CANVAS_WIDTH, left + width + 2), lowest)
        cheek_width = self.measures.half_width * 0.58
        self._cheeks = [
            (side, soft_mask(ellipse_points((24.0, 24.0), 14.0, 10.0), 5.0, (48, 48)), CENTRE_X + side * cheek_width)
            for side in (-1.0, 1.0)
        ]

    def draw(self, units: ActionUnits) -> np.ndarray:
        """Draw the head.

        Args:
            units: Of this frame.

        Returns:
            uint8 [CANVAS_HEIGHT, CANVAS_WIDTH, 4], colours multiplied by alpha.
        """
        canvas = self._stretch_jaw(jaw_drop(units))
        self._draw_cheeks(canvas, units)
        self._draw_folds(canvas, units)
        self._draw_mouth(canvas, units)
        for side in (-1.0, 1.0):
            share = 1.0 - side * units.asymmetry
            self._draw_eye(canvas, units, side, share)
            self._draw_brow(canvas, units, side, share)
        if self.identity.glasses != "none":
            self._draw_glasses(canvas)
        return canvas

    def _stretch_jaw(self, drop: float) -> np.ndarray:
        """A copy of the head whose part below the nose is longer by `drop` pixels at the chin."""
        canvas = self._layer.copy()
        if drop < 0.25:
            return canvas
        left, _, right, bottom = self.extent
        top = int(JAW_HINGE)
        factor = 1.0 + drop / (self.measures.chin - JAW_HINGE)
        stretch = np.array([[1.0, 0.0, 0.0], [0.0, factor, 0.0]])
        size = (right - left, bottom - top)
        source = self._layer[top:bottom, left:right]
        canvas[top:bottom, left:right] = cv2.warpAffine(source, stretch, size, borderMode=cv2.BORDER_REPLICATE)
        return canvas

    def _draw_cheeks(self, canvas: np.ndarray, units: ActionUnits) -> None:
        """AU6 lifts and reddens the cheeks."""
        if units.au6 < 0.05:
            return
        colour = np.array((*mix(self.identity.skin, (120, 110, 250), 0.45), 255), np.float32)
        for _side, mask, x in self._cheeks:
            left, top = round(x) - 24, 178 - round(4 * units.au6)
            patch = canvas[top : top + 48, left : left + 48]
            weight = (mask * min(1.0, 0.75 * units.au6))[..., None]
            patch[:] = patch * (1.0 - weight) + colour * weight * (patch[..., 3:] / 255.0)

    def _draw_folds(self, canvas: np.ndarray, units: ActionUnits) -> None:
        """Folds next to the nose (AU9, 12, 15), on the forehead (AU1, 2), between the brows (AU4), at the eyes (AU6)."""
        measures, skin = self.measures, self.identity.skin
        depth = min(1.0, max(units.au12, 0.8 * units.au15, units.au9))
        smile = units.au12
        fold = (
            shade(self.identity.hair_colour, 0.8) if self.identity.beard == "full" else shade(skin, 1.0 - 0.4 * depth)
        )
        for side in (-1.0, 1.0):
            if depth > 0.08:
                start = (CENTRE_X + side * (measures.nose_half_width + 5.0), measures.nose_tip - 4.0)
                through = (CENTRE_X + side * (measures.mouth_half_width + 11.0 + 9.0 * smile), MOUTH_LINE - 24.0)
                end = (CENTRE_X + side * (measures.mouth_half_width + 14.0 + 12.0 * smile), MOUTH_LINE + 2.0)
                stroke(canvas, curve(start, through, end), fold, 3)
            if units.au6 > 0.1:
                colour = shade(skin, 1.0 - 0.42 * min(1.0, units.au6))
                eye = CENTRE_X + side * measures.eye_offset
                bag = curve((eye - 20.0, EYE_LINE + 17.0), (eye, EYE_LINE + 23.0), (eye + 20.0, EYE_LINE + 17.0))
                stroke(canvas, bag, colour, 2)
                corner = CENTRE_X + side * (measures.eye_offset + measures.eye_half_width + 3.0)
                for rise in (-7.0, 0.0, 7.0):
                    foot = np.array([(corner, EYE_LINE + rise * 0.4), (corner + side * 11.0, EYE_LINE + rise * 1.3)])
                    stroke(canvas, foot, colour, 2)
        self._draw_forehead(canvas, units)

    def _draw_forehead(self, canvas: np.ndarray, units: ActionUnits) -> None:
        """Wrinkles: across the whole forehead when the whole brow rises, in its middle when only the inner end does."""
        skin, raised = self.identity.skin, max(units.au1, units.au2)
        covered = self.identity.hair_style in ("bangs", "side_part", "bob")
        if raised > 0.1 and not covered:
            half = 20.0 + 24.0 * units.au2
            bend = 4.0 if units.au2 > units.au4 else -5.0
            for height in (BROW_LINE - 25.0, BROW_LINE - 33.0):
                ends = ((CENTRE_X - half, height), (CENTRE_X, height - bend), (CENTRE_X + half, height))
                stroke(canvas, curve(*ends), shade(skin, 1.0 - 0.38 * min(1.0, raised)), 2)
        if units.au4 > 0.1:
            for side in (-1.0, 1.0):
                frown = np.array([(CENTRE_X + side * 7.0, BROW_LINE + 12.0), (CENTRE_X + side * 6.0, BROW_LINE - 10.0)])
                stroke(canvas, frown, shade(skin, 1.0 - 0.5 * min(1.0, units.au4)), 3)

    def _draw_brow(self, canvas: np.ndarray, units: ActionUnits, side: float, share: float) -> None:
        """One brow: AU1 lifts its inner end, AU2 its outer end, AU4 lowers it and draws it inwards."""
        au1, au2, au4 = units.au1 * share, units.au2 * share, units.au4 * share
        offset, half = self.measures.eye_offset, self.measures.eye_half_width
        together = 5.0 * au4
        inner_y = BROW_LINE + 2.0 - 21.0 * au1 + 7.0 * au4 * (1.0 - au1)
        middle_y = BROW_LINE - 5.0 - 9.0 * au1 - 15.0 * au2 + 6.0 * au4
        outer_y = BROW_LINE + 4.0 - 19.0 * au2 + 9.0 * au4 * (0.5 + 0.5 * au1)
        inner = (CENTRE_X + side * (offset - half - 3.0 - together), inner_y)
        middle = (CENTRE_X + side * (offset + 2.0 - 0.4 * together), middle_y)
        outer = (CENTRE_X + side * (offset + half + 10.0), outer_y)
        thickness = self.identity.brow_thickness
        upper = curve(inner, middle, outer)
        taper = np.stack([np.zeros(13), thickness * np.array((0.85, 1, 1, 1, 1, 1, 1, 0.9, 0.8, 0.7, 0.55, 0.4, 0.2))])
        colour = self.identity.hair_colour
        if sum(colour) > 330:
            colour = shade(colour, 0.6)
        fill(canvas, np.concatenate([upper, (upper + taper.T)[::-1]]), shade(colour, 0.85))

    def _lids(self, units: ActionUnits, side: float, share: float) -> tuple[np.ndarray, np.ndarray]:
        """The upper and the lower lid's edges of one eye, [13, 2] each, from its inner to its outer corner."""
        half, middle = self.measures.eye_half_width, CENTRE_X + side * self.measures.eye_offset
        scale = half / 24.0
        lift = (12.0 + 4.5 * units.au5 * share - 3.0 * units.au7 - 2.5 * units.au6) * scale
        sink = (8.0 + 2.0 * units.au5 * share - 2.0 * units.au7 - 6.5 * min(1.0, units.au6)) * scale
        droop = min(1.0, units.au1 * units.au4 * 1.4) * 5.0
        lift -= 0.5 * droop
        closed = units.au45
        inner = (middle - side * half, EYE_LINE + 3.0 - 0.6 * droop)
        outer = (middle + side * half, EYE_LINE + droop)
        upper_y = EYE_LINE - lift * (1.0 - closed) + (sink * 0.7) * closed
        upper = curve(inner, (middle - side * 2.0, upper_y), outer)
        lower = curve(inner, (middle + side * 2.0, EYE_LINE + sink), outer)
        return upper, np.maximum(lower, upper)

    def _draw_eye(self, canvas: np.ndarray, units: ActionUnits, side: float, share: float) -> None:
        """One eye: white, iris, pupil and glint seen through the opening of the lids, then lashes and creases."""
        upper, lower = self._lids(units, side, share)
        rows, columns = _EYE_PATCH
        middle = CENTRE_X + side * self.measures.eye_offset
        left, top = round(middle) - columns, round(EYE_LINE) - rows
        corner = np.array([left, top])
        patch = canvas[top : top + 2 * rows, left : left + 2 * columns]
        opening = np.concatenate([upper, lower[::-1]]) - corner
        mask = np.zeros(patch.shape[:2], np.uint8)
        fill(mask, opening, 255)
        inside = patch.copy()
        self._draw_eyeball(inside, (middle - left, EYE_LINE - top), opening)
        _paste(patch, inside, mask)
        skin = self.identity.skin
        crease = upper + np.array([side * 1.0, -6.0 - 2.0 * units.au5])
        stroke(canvas, crease[2:], shade(skin, 0.55), 2)
        stroke(canvas, lower[2:], shade(skin, 0.5), 1)
        stroke(canvas, upper, (18, 16, 22), 4)
        lash = np.array([upper[-1], upper[-1] + np.array([side * 5.0, -4.0])])
        stroke(canvas, lash, (18, 16, 22), 3)

    def _draw_eyeball(self, patch: np.ndarray, middle: Point, opening: np.ndarray) -> None:
        """White, iris, pupil and glint; the upper lid's shadow on them."""
        fill(patch, opening, (232, 236, 240))
        x, y = middle
        radius = 13.0 * self.measures.eye_half_width / 24.0
        iris = self.identity.eye_colour
        disc(patch, (x, y - 1.0), radius, shade(iris, 0.45))
        disc(patch, (x, y - 1.0), radius - 1.8, iris)
        disc(patch, (x, y - 1.0), radius * 0.48, (10, 10, 12))
        disc(patch, (x + 3.5, y - 4.5), 2.4, (252, 252, 252))

    def _mouth_shape(self, units: ActionUnits) -> dict[str, Any]:
        """The mouth's key points for one frame."""
        measures = self.measures
        jaw = _JAW_DROP * min(1.15, units.au26)
        talk = _SPEECH_DROP * units.speech * (1.0 - 0.45 * min(1.0, units.au26))
        gap = jaw * 0.85 + talk
        half = measures.mouth_half_width * (1.0 + 0.42 * units.au12 + 0.12 * units.au26 + 0.05 * units.au15)
        half -= 4.0 * units.speech * (1.0 - min(1.0, units.au12))
        middle = MOUTH_LINE + 3.0 * units.au12 - 4.0 * units.au15 - 6.0 * units.au26
        corner = MOUTH_LINE - 4.0 * units.au26 - 17.0 * units.au12 + 15.0 * units.au15 + 0.42 * gap
        teeth = 9.0 * min(1.0, max(0.0, units.au12 - 0.2) * 1.4)
        share = units.asymmetry * (units.au12 + units.au15) * 16.0
        return {
            "left": (CENTRE_X - half, corner - share),
            "right": (CENTRE_X + half, corner + share),
            "upper": middle - 0.12 * gap - 0.3 * teeth,
            "lower": middle + 0.88 * gap + 0.9 * teeth,
            "gap": gap + teeth,
            "half": half,
            "roundness": min(1.0, gap / 24.0) * (1.0 - min(1.0, units.au12)),
        }

    def _draw_mouth(self, canvas: np.ndarray, units: ActionUnits) -> None:
        """Lips around the opening; teeth and tongue within it."""
        shape, measures, lips = self._mouth_shape(units), self.measures, self.identity.lips
        left, right, upper_y, lower_y = shape["left"], shape["right"], shape["upper"], shape["lower"]
        lip = measures.lip * (1.0 - 0.25 * min(1.0, units.au12))
        bow = upper_y - 0.85 * lip
        peak = 0.28 * shape["half"]
        outer_upper = np.concatenate(
            [
                curve(
                    left,
                    (0.55 * left[0] + 0.45 * (CENTRE_X - peak), 0.4 * left[1] + 0.6 * bow + 1.0),
                    (CENTRE_X - peak, bow),
                ),
                np.array([(CENTRE_X, bow + 2.5)]),
                curve(
                    (CENTRE_X + peak, bow),
                    (0.55 * right[0] + 0.45 * (CENTRE_X + peak), 0.4 * right[1] + 0.6 * bow + 1.0),
                    right,
                ),
            ]
        )
        outer_lower = _mouth_edge(right, lower_y + 1.25 * lip, left, shape["roundness"])
        roundness = shape["roundness"]
        inner_upper = _mouth_edge(left, upper_y, right, roundness)
        inner_lower = _mouth_edge(right, lower_y, left, roundness)
        fill(canvas, np.concatenate([outer_upper, outer_lower]), lips)
        gloss = curve(
            (CENTRE_X - 13.0, lower_y + 0.7 * lip),
            (CENTRE_X, lower_y + 0.85 * lip),
            (CENTRE_X + 13.0, lower_y + 0.7 * lip),
        )
        stroke(canvas, gloss, mix(lips, (245, 245, 255), 0.35), 3)
        if shape["gap"] > 2.0:
            self._draw_inside(canvas, inner_upper, inner_lower, shape)
        stroke(canvas, inner_upper, shade(lips, 0.45), 3)
        for corner, side in ((left, -1.0), (right, 1.0)):
            dimple = np.array([corner, (corner[0] + side * 4.0, corner[1] - 4.0 * units.au12 + 5.0 * units.au15)])
            stroke(canvas, dimple, shade(self.identity.skin, 0.45), 3)

    def _draw_inside(
        self, canvas: np.ndarray, inner_upper: np.ndarray, inner_lower: np.ndarray, shape: dict[str, Any]
    ) -> None:
        """The dark inside of an open mouth with upper teeth and tongue."""
        opening = np.concatenate([inner_upper, inner_lower])
        left, top = np.floor(opening.min(axis=0)).astype(int) - 2
        right, bottom = np.ceil(opening.max(axis=0)).astype(int) + 3
        patch = canvas[top:bottom, left:right]
        corner, half, gap = np.array([left, top]), shape["half"], shape["gap"]
        mask = np.zeros(patch.shape[:2], np.uint8)
        fill(mask, opening - corner, 255)
        inside = np.empty_like(patch)
        inside[:] = (28, 18, 48, 255)
        if gap > 12.0:
            tongue = ellipse_points((CENTRE_X - left, shape["lower"] - top + 2.0), half * 0.6, 0.34 * gap, 24)
            fill(inside, tongue, (92, 84, 190))
        depth = min(12.0, 0.55 * gap)
        teeth = np.concatenate([inner_upper[1:-1], inner_upper[1:-1][::-1]]) - corner
        teeth[:, 1] += np.repeat((-2.0, depth), len(teeth) // 2)
        fill(inside, teeth, (228, 236, 240))
        _paste(patch, inside, mask)

    def _draw_glasses(self, canvas: np.ndarray) -> None:
        """Round or square frames, with bridge and temples."""
        measures, colour = self.measures, (42, 38, 40)
        half_width, half_height = measures.eye_half_width + 10.0, 24.0
        for side in (-1.0, 1.0):
            middle = (CENTRE_X + side * measures.eye_offset, EYE_LINE + 2.0)
            points = ellipse_points(middle, half_width, half_height + 4.0, 32)
            if self.identity.glasses == "square":
                points[:, 1] = np.clip(points[:, 1], middle[1] - 20.0, middle[1] + 20.0)
            stroke(canvas, points, colour, 3, closed=True)
            hinge = CENTRE_X + side * (measures.eye_offset + half_width)
            temple = np.array(
                [(hinge, EYE_LINE - 4.0), (CENTRE_X + side * (measures.half_width + 4.0), EYE_LINE + 2.0)]
            )
            stroke(canvas, temple, colour, 3)
        gap = measures.eye_offset - half_width
        bridge = curve((CENTRE_X - gap, EYE_LINE), (CENTRE_X, EYE_LINE - 5.0), (CENTRE_X + gap, EYE_LINE))
        stroke(canvas, bridge, colour, 3)


def _mouth_edge(start: Point, middle_y: float, end: Point, roundness: float) -> np.ndarray:
    """The edge of a lip between the corners: a parabola, or up to half an ellipse where the mouth is opened round.

    Args:
        start: One corner.
        middle_y: Height of the edge in the middle.
        end: The other corner.
        roundness: 0 for the parabola, 1 for the ellipse.

    Returns:
        [13, 2] points.
    """
    across = -np.cos(_MOUTH_ANGLES)
    bulge = np.maximum(1.0 - across**2, 0.0) ** (1.0 - 0.5 * roundness)
    share = 0.5 + 0.5 * across
    x = start[0] + (end[0] - start[0]) * share
    straight = start[1] + (end[1] - start[1]) * share
    return np.stack([x, straight + (middle_y - 0.5 * (start[1] + end[1])) * bulge], axis=1)


def _paste(patch: np.ndarray, inside: np.ndarray, mask: np.ndarray) -> None:
    """Replace the masked part of a patch, in place; the mask is uint8, 0 to 255."""
    weight = cv2.merge([mask] * patch.shape[2])
    kept = cv2.multiply(patch, cv2.bitwise_not(weight), scale=1 / 255)
    patch[:] = cv2.add(kept, cv2.multiply(inside, weight, scale=1 / 255))
