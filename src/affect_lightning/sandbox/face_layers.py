"""The parts of a head that do not move within it: skull, ears, skin, nose, beard and hair, drawn once an identity.

Shading (darker edges, lit forehead, cheeks and nose) makes the drawing pass for a face to detectors trained on
photographs. `face_features.py` draws eyes, brows and mouth on a copy of this layer; `scenery.py` uses the hair behind
the neck.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from affect_lightning.sandbox.face_drawing import (
    CANVAS_HEIGHT,
    CANVAS_WIDTH,
    CENTRE_X,
    CROWN,
    EYE_LINE,
    MOUTH_LINE,
    FaceMeasures,
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
from affect_lightning.sandbox.identities import Identity

#: Styles with hair behind the neck, and how far down it reaches in canvas pixels.
BACK_HAIR_END = {"long": 392.0, "bob": 304.0, "bangs": 352.0, "curly": 258.0}


def face_outline(identity: Identity, grow: float = 0.0) -> np.ndarray:
    """The outline of the face: a round skull above, cheeks narrowing to the jaw below.

    Args:
        identity: Whose face.
        grow: Pixels by which the outline is widened.

    Returns:
        [72, 2] points, clockwise from the right cheekbone.
    """
    measures = measure_face(identity)
    angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    cosine, sine = np.cos(angles), np.sin(angles)
    half_width = measures.half_width + grow
    below = np.clip(sine, 0.0, 1.0)
    height = np.where(sine >= 0.0, measures.chin - EYE_LINE, EYE_LINE - CROWN) + grow
    squareness = np.where(sine >= 0.0, 2.0 + 1.6 * (identity.jaw_width - 0.7), 2.0)
    wide = np.sign(cosine) * np.abs(cosine) ** (2.0 / squareness)
    narrowing = 1.0 - (1.0 - identity.jaw_width) * 0.75 * below**1.5
    return np.stack([CENTRE_X + half_width * wide * narrowing, EYE_LINE + height * sine], axis=1)


@functools.lru_cache(maxsize=64)
def head_layer(identity: Identity) -> np.ndarray:
    """The head without eyes, brows and mouth.

    Returns:
        uint8 [CANVAS_HEIGHT, CANVAS_WIDTH, 4]: blue, green, red (multiplied by alpha), alpha. Treat as read-only.
    """
    layer = np.zeros((CANVAS_HEIGHT, CANVAS_WIDTH, 4), np.uint8)
    measures = measure_face(identity)
    outline = face_outline(identity)
    _draw_side_hair(layer, identity, measures)
    for side in (-1.0, 1.0):
        _draw_ear(layer, identity, measures, side)
    fill(layer, outline, identity.skin)
    _shade_skin(layer, identity, measures, outline)
    _draw_nose(layer, identity, measures)
    _draw_beard(layer, identity, measures, outline)
    _draw_front_hair(layer, identity, measures)
    layer.setflags(write=False)
    return layer


def _draw_ear(layer: np.ndarray, identity: Identity, measures: FaceMeasures, side: float) -> None:
    """One ear, next to the eye and the nose."""
    centre = (CENTRE_X + side * (measures.half_width + 2.0), EYE_LINE + 18.0)
    fill(layer, ellipse_points(centre, 13.0, 25.0), shade(identity.skin, 0.92))
    inner = (centre[0] + side * 2.0, centre[1])
    stroke(layer, ellipse_points(inner, 6.0, 15.0, 24)[3:21], shade(identity.skin, 0.7), 2)


def _blend(layer: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], strength: float) -> None:
    """Tint the layer's opaque part towards a colour, in place."""
    left, top, width, height = cv2.boundingRect((mask > 0.002).astype(np.uint8))
    region = layer[top : top + height, left : left + width]
    weight = (mask[top : top + height, left : left + width] * np.float32(strength))[..., None] * (region[..., 3:] > 250)
    region[..., :3] = region[..., :3] * (1.0 - weight) + np.array(colour, np.float32) * weight


def _shade_skin(layer: np.ndarray, identity: Identity, measures: FaceMeasures, outline: np.ndarray) -> None:
    """Round the flat skin: dark edges and eye sockets, light forehead and chin, red cheeks."""
    dark, light = shade(identity.skin, 0.55), mix(identity.skin, (235, 245, 255), 0.55)
    rosy = mix(identity.skin, (90, 80, 220), 0.5)
    _blend(layer, np.clip(1.35 - 1.35 * soft_mask(outline, 16.0), 0.0, 1.0) * soft_mask(outline, 0.0), dark, 0.75)
    _blend(layer, soft_mask(ellipse_points((CENTRE_X, 112.0), 46.0, 22.0), 16.0), light, 0.55)
    _blend(layer, soft_mask(ellipse_points((CENTRE_X, measures.chin - 18.0), 18.0, 9.0), 7.0), light, 0.4)
    _blend(layer, soft_mask(ellipse_points((CENTRE_X, MOUTH_LINE + 24.0), 22.0, 5.0), 5.0), dark, 0.4)
    for side in (-1.0, 1.0):
        eye = CENTRE_X + side * measures.eye_offset
        _blend(layer, soft_mask(ellipse_points((eye, EYE_LINE - 6.0), 30.0, 17.0), 8.0), dark, 0.42)
        _blend(layer, soft_mask(ellipse_points((eye, EYE_LINE + 20.0), 22.0, 4.0), 4.0), dark, 0.25)
        cheek = CENTRE_X + side * measures.half_width * 0.6
        _blend(layer, soft_mask(ellipse_points((cheek, 216.0), 20.0, 14.0), 10.0), rosy, 0.45)
        _blend(layer, soft_mask(ellipse_points((cheek, 202.0), 18.0, 7.0), 7.0), light, 0.3)


def _draw_nose(layer: np.ndarray, identity: Identity, measures: FaceMeasures) -> None:
    """A lit bridge, shaded flanks, a tip with wings and nostrils, and the groove below it."""
    dark, light = shade(identity.skin, 0.5), mix(identity.skin, (240, 248, 255), 0.6)
    tip, half = measures.nose_tip, measures.nose_half_width
    for side in (-1.0, 1.0):
        flank = np.array(
            [
                (CENTRE_X + side * 9.0, EYE_LINE - 16.0),
                (CENTRE_X + side * 16.0, EYE_LINE - 6.0),
                (CENTRE_X + side * (half + 1.0), tip - 4.0),
                (CENTRE_X + side * 8.0, tip - 8.0),
            ]
        )
        _blend(layer, soft_mask(flank, 4.0), dark, 0.45)
    _blend(layer, soft_mask(ellipse_points((CENTRE_X, tip + 7.0), half + 3.0, 6.0), 4.0), dark, 0.55)
    _blend(layer, soft_mask(ellipse_points((CENTRE_X, (EYE_LINE + tip) / 2), 4.0, 24.0), 3.5), light, 0.6)
    _blend(layer, soft_mask(ellipse_points((CENTRE_X, tip - 6.0), 8.0, 7.0), 4.0), light, 0.6)
    for side in (-1.0, 1.0):
        wing = curve(
            (CENTRE_X + side * (half - 1.0), tip - 11.0),
            (CENTRE_X + side * (half + 3.0), tip - 1.0),
            (CENTRE_X + side * (half - 6.0), tip + 5.0),
        )
        stroke(layer, wing, shade(identity.skin, 0.55), 2)
        fill(layer, ellipse_points((CENTRE_X + side * half * 0.5, tip + 3.5), 4.5, 2.6, 16), shade(identity.skin, 0.32))
        groove = np.array([(CENTRE_X + side * 4.0, tip + 9.0), (CENTRE_X + side * 5.0, MOUTH_LINE - 12.0)])
        stroke(layer, groove, shade(identity.skin, 0.84), 1)


def _draw_beard(layer: np.ndarray, identity: Identity, measures: FaceMeasures, outline: np.ndarray) -> None:
    """Stubble, a full beard or a moustache."""
    if identity.beard == "none":
        return
    strength = {"stubble": 0.32, "full": 0.85, "moustache": 0.0}[identity.beard]
    inside = soft_mask(outline, 0.0)
    chin = soft_mask(outline + np.array([0.0, 78.0]) * (outline[:, 1:] < EYE_LINE + 60.0), 0.0)
    mouth = soft_mask(ellipse_points((CENTRE_X, MOUTH_LINE), 40.0, 22.0), 4.0)
    rows = np.clip((np.arange(CANVAS_HEIGHT, dtype=np.float32) - 214.0) / 26.0, 0.0, 1.0)[:, None]
    middle = np.abs(np.arange(CANVAS_WIDTH, dtype=np.float32) - CENTRE_X)[None] / measures.half_width
    cheeks = np.clip((rows * 1.2 + middle * 0.9 - 0.75) * 3.0, 0.0, 1.0)
    area = cv2.GaussianBlur(inside * np.maximum(chin, cheeks) * rows * cheeks, (0, 0), 3.0) * (1.0 - 0.9 * mouth)
    _blend(layer, area, identity.hair_colour, strength)
    half = measures.mouth_half_width
    top = measures.nose_tip + 10.0
    whiskers = np.concatenate(
        [
            curve(
                (CENTRE_X - half * 0.95, MOUTH_LINE - 5.0), (CENTRE_X, top), (CENTRE_X + half * 0.95, MOUTH_LINE - 5.0)
            ),
            curve(
                (CENTRE_X + half * 0.8, MOUTH_LINE - 6.0),
                (CENTRE_X, top + 9.0),
                (CENTRE_X - half * 0.8, MOUTH_LINE - 6.0),
            ),
        ]
    )
    _blend(layer, soft_mask(whiskers, 1.5), identity.hair_colour, max(strength, 0.9 * (strength == 0.0)))


def _skull_arc(measures: FaceMeasures, grow: float, lift: float, start: float, steps: int = 30) -> np.ndarray:
    """The outer edge of the hair from one temple over the crown to the other, [steps, 2]."""
    angles = np.linspace(np.pi - start, 2.0 * np.pi + start, steps)
    half_width, height = measures.half_width + grow, EYE_LINE - CROWN + lift
    return np.stack([CENTRE_X + half_width * np.cos(angles), EYE_LINE + height * np.sin(angles)], axis=1)


def _hairline(measures: FaceMeasures, style: str) -> np.ndarray:
    """The edge between forehead and hair, from the right temple to the left."""
    left, right, temple = CENTRE_X - measures.half_width, CENTRE_X + measures.half_width, EYE_LINE - 8.0
    if style == "bangs":
        edge = curve((right - 10.0, temple + 4.0), (CENTRE_X, 118.0), (left + 10.0, temple + 4.0))
        return edge + np.array([0.0, 3.0]) * (np.arange(len(edge)) % 2)[:, None]
    if style in ("side_part", "bob"):
        parting = (CENTRE_X + 34.0, 82.0)
        return np.concatenate(
            [
                curve((right - 5.0, temple), (right - 22.0, 116.0), parting),
                curve(parting, (CENTRE_X - 24.0, 108.0), (left + 5.0, temple)),
            ]
        )
    if style == "long":
        parting = (CENTRE_X, 80.0)
        return np.concatenate(
            [
                curve((right - 4.0, temple + 20.0), (right - 26.0, 114.0), parting),
                curve(parting, (left + 26.0, 114.0), (left + 4.0, temple + 20.0)),
            ]
        )
    if style == "receding":
        return np.concatenate(
            [
                curve((right - 4.0, temple), (right - 24.0, 92.0), (CENTRE_X + 22.0, 88.0)),
                curve((CENTRE_X - 22.0, 88.0), (left + 24.0, 92.0), (left + 4.0, temple)),
            ]
        )
    return np.concatenate(
        [
            curve((right - 4.0, temple), (right - 14.0, 122.0), (CENTRE_X + 48.0, 100.0)),
            curve((CENTRE_X + 48.0, 100.0), (CENTRE_X, 94.0), (CENTRE_X - 48.0, 100.0)),
            curve((CENTRE_X - 48.0, 100.0), (left + 14.0, 122.0), (left + 4.0, temple)),
        ]
    )


def _draw_front_hair(layer: np.ndarray, identity: Identity, measures: FaceMeasures) -> None:
    """The hair over forehead and temples, with a few lighter strands."""
    style, colour = identity.hair_style, identity.hair_colour
    if style == "bald":
        return
    grow, lift = {"buzz": (2.0, 3.0), "curly": (16.0, 22.0), "spiky": (6.0, 12.0)}.get(style, (8.0, 14.0))
    outer = _skull_arc(measures, grow, lift, 0.08)
    if style == "spiky":
        outer = outer + np.stack([np.zeros(len(outer)), -9.0 * (np.arange(len(outer)) % 2)], axis=1)
    hairline = _hairline(measures, style)
    cap = np.concatenate([outer, hairline])
    if style == "buzz":
        _blend(layer, soft_mask(cap, 3.0), colour, 0.8)
        return
    fill(layer, cap, colour)
    if style == "curly":
        for index, point in enumerate(outer[1:-1:2]):
            disc(layer, (float(point[0]), float(point[1])), 14.0, shade(colour, 1.0 + 0.12 * (index % 3)))
        for index, point in enumerate(hairline[::3]):
            disc(layer, (float(point[0]), float(point[1]) - 6.0), 11.0, shade(colour, 1.0 + 0.12 * (index % 2)))
    if style == "bun":
        disc(layer, (CENTRE_X, CROWN - 22.0), 28.0, colour)
        stroke(layer, ellipse_points((CENTRE_X, CROWN - 22.0), 20.0, 20.0)[22:36], shade(colour, 1.5), 2)
    _draw_strands(layer, measures, colour)


def _draw_strands(layer: np.ndarray, measures: FaceMeasures, colour: tuple[int, int, int]) -> None:
    """A soft gloss along the crown."""
    gloss = np.concatenate(
        [_skull_arc(measures, -14.0, -4.0, -0.6, 20), _skull_arc(measures, -26.0, -14.0, -0.6, 20)[::-1]]
    )
    hair = np.all(np.abs(layer[..., :3].astype(np.int16) - np.array(colour, np.int16)) < 3, axis=2)
    _blend(layer, soft_mask(gloss, 5.0) * hair, mix(colour, (230, 235, 240), 0.5), 0.55)


def _draw_side_hair(layer: np.ndarray, identity: Identity, measures: FaceMeasures) -> None:
    """Hair next to the cheeks, drawn before the face so that the face lies over it."""
    style, colour = identity.hair_style, identity.hair_colour
    if style not in BACK_HAIR_END:
        return
    end = min(BACK_HAIR_END[style], 300.0)
    grow = 18.0 if style == "curly" else 12.0
    fill(layer, np.concatenate([_skull_arc(measures, grow, 16.0, 0.0), _lock(measures, grow, end)]), colour)
    if style == "curly":
        for step in range(7):
            for side in (-1.0, 1.0):
                x = CENTRE_X + side * (measures.half_width + 12.0 - 3.5 * max(0, step - 3))
                disc(layer, (x, EYE_LINE + 15.0 * step), 15.0, shade(colour, 0.9 + 0.1 * (step % 3)))


def _lock(measures: FaceMeasures, grow: float, end: float) -> np.ndarray:
    """The lower edge of hair that leaves the middle of the neck free: right lock, gap, left lock."""
    outer, inner = measures.half_width + grow, measures.half_width * 0.62
    return np.array(
        [
            (CENTRE_X + outer + 4.0, end - 30.0),
            (CENTRE_X + outer - 10.0, end),
            (CENTRE_X + inner, end),
            (CENTRE_X + inner, EYE_LINE),
            (CENTRE_X - inner, EYE_LINE),
            (CENTRE_X - inner, end),
            (CENTRE_X - outer + 10.0, end),
            (CENTRE_X - outer - 4.0, end - 30.0),
        ]
    )


def back_hair(identity: Identity) -> np.ndarray | None:
    """The outline of the hair behind neck and shoulders, [P, 2] canvas pixels; None for short hair."""
    end = BACK_HAIR_END.get(identity.hair_style)
    if end is None:
        return None
    measures = measure_face(identity)
    outer = measures.half_width + 12.0
    low = curve((CENTRE_X + outer, end - 24.0), (CENTRE_X, end), (CENTRE_X - outer, end - 24.0))
    return np.concatenate([_skull_arc(measures, 8.0, 8.0, 0.0), low])
