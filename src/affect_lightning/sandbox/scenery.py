"""The picture around a head: background, body, light, and where the head is in each frame.

Everything here is drawn from the script's seed and the identity alone, so that it tells nothing about the emotion.
`performing.py` combines it with the heads that `face_features.py` draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from affect_lightning.sandbox.action_units import smooth_sway
from affect_lightning.sandbox.face_drawing import (
    CENTRE_X,
    CENTRE_Y,
    EYE_LINE,
    FACE_HEIGHT,
    curve,
    ellipse_points,
    fill,
    measure_face,
    shade,
    soft_mask,
    stroke,
)
from affect_lightning.sandbox.face_layers import back_hair, face_outline
from affect_lightning.sandbox.identities import Identity

#: Size of the picture in pixels; small, because it is cheap to decode and the face still fills a 112-pixel crop.
PICTURE_WIDTH, PICTURE_HEIGHT = 320, 240


@dataclass(frozen=True)
class Placement:
    """Where a head is in each frame.

    Attributes:
        transforms: [T, 2, 3] from canvas pixels to picture pixels.
        rest: [2, 3], the mean of them, for what does not move with the head.
    """

    transforms: np.ndarray
    rest: np.ndarray


def place_head(
    frames: int, generator: np.random.Generator, middle: float | None = None, largest: float = 140.0
) -> Placement:
    """Choose a head's size, place and motion.

    Args:
        frames: T.
        generator: Source of all of it.
        middle: Horizontal place in pixels; near the picture's middle when None.
        largest: Height of the largest face in pixels, hairline to chin; the smallest has 0.8 of it.

    Returns:
        The placement.
    """
    scale = float(generator.uniform(0.8 * largest, largest)) / FACE_HEIGHT
    x = float(generator.uniform(135.0, 185.0)) if middle is None else middle + float(generator.uniform(-6.0, 6.0))
    y = float(generator.uniform(104.0, 114.0))
    tilt = float(generator.uniform(-3.0, 3.0))
    sway_x, sway_y, sway_angle, sway_scale = (smooth_sway(frames, generator) for _ in range(4))
    degrees = tilt + 4.0 * sway_angle
    scales = scale * (1.0 + 0.02 * sway_scale)
    transforms = np.stack(
        [_similarity(scales[t], degrees[t], x + 5.0 * sway_x[t], y + 2.5 * sway_y[t]) for t in range(frames)]
    )
    return Placement(transforms=transforms, rest=_similarity(scale, 0.0, x, y))


def _similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    """Scale and turn around the canvas's face middle, which moves to (x, y); [2, 3]."""
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    shift = np.array([x, y]) - linear @ np.array([CENTRE_X, CENTRE_Y])
    return np.concatenate([linear, shift[:, None]], axis=1)


def face_box(identity: Identity, transform: np.ndarray, jaw_drop: float) -> np.ndarray:
    """The box around a face from the hairline to the chin.

    Args:
        identity: Whose face.
        transform: [2, 3] from canvas to picture pixels.
        jaw_drop: How far the chin hangs lower than at rest, canvas pixels.

    Returns:
        [4] x0, y0, x1, y1 in picture pixels, within the picture.
    """
    outline = face_outline(identity)
    outline[:, 1] = np.where(outline[:, 1] > EYE_LINE, outline[:, 1], np.maximum(outline[:, 1], 76.0))
    outline[:, 1] += jaw_drop * np.clip((outline[:, 1] - EYE_LINE) / (measure_face(identity).chin - EYE_LINE), 0.0, 1.0)
    points = outline @ transform[:, :2].T + transform[:, 2]
    limits = np.array([PICTURE_WIDTH, PICTURE_HEIGHT])
    return np.concatenate([np.clip(points.min(axis=0), 0, limits), np.clip(points.max(axis=0), 0, limits)])


def draw_background(generator: np.random.Generator) -> np.ndarray:
    """A wall with a gradient and some blurred things on it.

    Args:
        generator: Source of colours and shapes.

    Returns:
        uint8 [PICTURE_HEIGHT, PICTURE_WIDTH, 3].
    """
    height, width = PICTURE_HEIGHT, PICTURE_WIDTH
    first, second = (generator.uniform(60.0, 215.0) + generator.uniform(-28.0, 28.0, 3) for _ in range(2))
    angle = generator.uniform(0.0, 2.0 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ramp = np.clip(0.5 + (np.cos(angle) * (x - width / 2) / width + np.sin(angle) * (y - height / 2) / height), 0, 1)
    picture = np.clip(first + (second - first) * ramp[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(generator.integers(2, 7))):
        blue, green, red = (int(channel) for channel in generator.integers(40, 220, 3))
        left, top = generator.uniform(-30.0, width), generator.uniform(-30.0, height * 0.7)
        wide, high = generator.uniform(15.0, 90.0), generator.uniform(15.0, 110.0)
        kind = int(generator.integers(3))
        if kind == 0:
            points = np.array([(left, top), (left + wide, top), (left + wide, top + high), (left, top + high)])
        elif kind == 1:
            points = ellipse_points((left, top), wide / 2, wide / 2)
        else:
            points = np.array([(left, 0.0), (left + wide / 4, 0.0), (left + wide / 4, height), (left, height)])
        fill(picture, points, (blue, green, red))
    return cv2.GaussianBlur(picture, (0, 0), float(generator.uniform(2.0, 4.0)))


def draw_body(picture: np.ndarray, identity: Identity, placement: Placement) -> None:
    """Draw the hair behind the neck, then neck, shoulders and collar, in place."""
    to_picture = placement.rest
    chin = measure_face(identity).chin

    def place(points: np.ndarray) -> np.ndarray:
        return points @ to_picture[:, :2].T + to_picture[:, 2]

    hair = back_hair(identity)
    if hair is not None:
        fill(picture, place(hair), shade(identity.hair_colour, 0.75))
    neck_half = 46.0 * identity.jaw_width / 0.78
    neck = np.array(
        [(-neck_half, 250.0), (neck_half, 250.0), (neck_half + 6.0, chin + 76.0), (-neck_half - 6.0, chin + 76.0)]
    )
    neck[:, 0] += CENTRE_X
    fill(picture, place(neck), shade(identity.skin, 0.82))
    _shade_neck(picture, place(neck), place(ellipse_points((CENTRE_X, chin - 4.0), neck_half + 6.0, 22.0)), identity)
    top = chin + 36.0
    shoulders = np.concatenate(
        [
            curve((CENTRE_X - 190.0, 520.0), (CENTRE_X - 150.0, top + 52.0), (CENTRE_X - neck_half - 4.0, top)),
            curve((CENTRE_X - neck_half, top), (CENTRE_X, top + 34.0), (CENTRE_X + neck_half, top)),
            curve((CENTRE_X + neck_half + 4.0, top), (CENTRE_X + 150.0, top + 52.0), (CENTRE_X + 190.0, 520.0)),
        ]
    )
    fill(picture, place(shoulders), identity.cloth)
    collar = curve((CENTRE_X - neck_half, top), (CENTRE_X, top + 34.0), (CENTRE_X + neck_half, top))
    stroke(picture, place(collar), shade(identity.cloth, 0.6), 2)


def _shade_neck(picture: np.ndarray, neck: np.ndarray, shadow: np.ndarray, identity: Identity) -> None:
    """The chin's soft shadow on the neck, in place."""
    shape = picture.shape[:2]
    weight = (soft_mask(shadow, 4.0, shape) * soft_mask(neck, 0.0, shape) * 0.8)[..., None]
    picture[:] = picture * (1.0 - weight) + np.array(shade(identity.skin, 0.45), np.float32) * weight


def draw_light(generator: np.random.Generator) -> np.ndarray:
    """Light from one side with a slight tint, to multiply the whole picture with.

    Args:
        generator: Source of direction, strength and tint.

    Returns:
        uint8 [PICTURE_HEIGHT, PICTURE_WIDTH, 3]; 128 leaves a pixel as it is.
    """
    angle, strength = generator.uniform(0.0, 2.0 * np.pi), generator.uniform(0.05, 0.28)
    level, warmth = generator.uniform(0.85, 1.08), generator.uniform(-0.05, 0.05)
    tint = np.array([1.0 - warmth, 1.0, 1.0 + warmth])
    y, x = np.mgrid[0:PICTURE_HEIGHT, 0:PICTURE_WIDTH].astype(np.float32)
    slope = np.cos(angle) * (x / PICTURE_WIDTH - 0.5) + np.sin(angle) * (y / PICTURE_HEIGHT - 0.5)
    light = (level * (1.0 + strength * 2.0 * slope))[..., None] * tint
    return np.clip(light * 128.0, 0, 255).astype(np.uint8)


def paste_head(picture: np.ndarray, head: np.ndarray, transform: np.ndarray, extent: tuple[int, int, int, int]) -> None:
    """Scale a head to its place and lay it over the picture, in place.

    Args:
        picture: uint8 [height, width, 3].
        head: uint8 canvas [height, width, 4], colours multiplied by alpha.
        transform: [2, 3] from canvas to picture pixels.
        extent: x0, y0, x1, y1 of the canvas outside of which the head is transparent.
    """
    x0, y0, x1, y1 = extent
    corners = np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)], np.float64)
    placed = corners @ transform[:, :2].T + transform[:, 2]
    left, top = np.maximum(np.floor(placed.min(axis=0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(placed.max(axis=0)).astype(int), (picture.shape[1], picture.shape[0]))
    local = transform.copy()
    local[:, 2] += transform[:, :2] @ (x0, y0) - (left, top)
    warped = cv2.warpAffine(head[y0:y1, x0:x1], local, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    region = picture[top:bottom, left:right]
    see_through = cv2.bitwise_not(cv2.extractChannel(warped, 3))
    behind = cv2.multiply(region, cv2.merge([see_through] * 3), scale=1 / 255)
    region[:] = cv2.add(behind, cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR))
