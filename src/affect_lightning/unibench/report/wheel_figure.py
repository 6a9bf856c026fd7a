"""Emotion wheels, drawn: all words of a wheel, or those that an answer reaches (paper, Section 4 and Appendix K).

The paper's Figure 9 shows wheels of this kind. A picture shows what scoring uses: every word once, in the sector that
`affect_lightning.metrics.Wheel` gives it. `affect-lightning taxonomy plot` draws whole wheels, the playground those with the
labels of an answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from affect_lightning.metrics.wheels import Wheel, sector_colours

INK = "#26262b"
_RADII = (0.10, 0.41, 0.705, 1.0)  # edges of the three rings, as shares of a wheel's radius
_RADIUS_POINTS = 310  # of a wheel on a page of its own, for the size of texts
_CHARACTER_WIDTH = 0.62  # of the font, on average, as a share of its size
_UNLIT = "#e9e9ec"


def rings(wheel: Wheel) -> dict[str, dict[str, list[str]]]:
    """A wheel as inner name to middle names to outer words.

    A word that is published in several places is drawn where scoring puts it; the name of a middle sector may appear
    again as an outer word of another sector (`disappointed` on wheel 2).
    """
    tree: dict[str, dict[str, list[str]]] = {}
    for word, inner in wheel.inner.items():
        middle = wheel.middle[word]
        if word not in wheel.inner.values():
            outer = tree.setdefault(inner, {}).setdefault(middle, [])
            if word != middle:
                outer.append(word)
    return tree


def draw_wheel(
    axes: Any, wheel: Wheel, title: str, *, lit: Collection[str] | None = None, radius_points: float = _RADIUS_POINTS
) -> None:
    """Draw one wheel.

    Args:
        axes: Of matplotlib; they become a square without axes.
        wheel: To draw.
        title: Above it.
        lit: Words of this wheel that are lit, with the sectors around them; everything else is grey and, outside the
            inner ring, without its name. None lights everything.
        radius_points: Of the wheel on the page, for the size of texts.
    """
    tree = rings(wheel)
    slots = sum(max(1, len(outer)) for middles in tree.values() for outer in middles.values())
    step, colours = 360 / slots, sector_colours(list(tree))
    size = 10.5 if slots <= 60 else 9.5
    shown = (
        None if lit is None else set(lit) | {wheel.middle[word] for word in lit} | {wheel.inner[word] for word in lit}
    )
    angle = 90.0  # the first sector begins at the top; the wheel is drawn clockwise

    def sector(ring: int, angles: tuple[float, float], share: float, word: str, size: float) -> None:
        is_lit = shown is None or (word in shown and (inner in shown and (ring == 0 or middle in shown)))
        colour: Any = _tint(colours[inner], share) if is_lit else _UNLIT
        name = word if is_lit or ring == 0 else ""
        _draw_sector(axes, ring, angles, colour, name, size, radius_points)

    for inner, middles in tree.items():
        begin, middle = angle, ""
        for middle, outer in middles.items():
            middle_begin = angle
            for word in outer or [""]:
                sector(2, (angle - step, angle), 0.30, word, size)
                angle -= step
            sector(1, (angle, middle_begin), 0.58, middle, size + 0.5)
        sector(0, (angle, begin), 1.0, inner, 13.5)
    axes.set_title(
        title, fontsize=19 * min(1.0, 2 * radius_points / _RADIUS_POINTS), color=INK, pad=6, fontweight="bold"
    )
    axes.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
    axes.set_axis_off()


def _draw_sector(
    axes: Any, ring: int, angles: tuple[float, float], colour: Any, text: str, size: float, radius_points: float
) -> None:
    """One sector between two angles in degrees, with its name along the radius (inner ring: along the arc)."""
    from matplotlib.patches import Wedge

    low, high = _RADII[ring], _RADII[ring + 1]
    axes.add_patch(Wedge((0, 0), high, *angles, width=high - low, facecolor=colour, edgecolor="white", linewidth=1.4))
    middle, radius = sum(angles) / 2, (low + high) / 2
    across = ring == 0 and angles[1] - angles[0] > 48
    rotation = (middle - 90 if across else middle) % 360
    if 90 < rotation < 270:
        rotation -= 180  # upside down
    length = math.radians(angles[1] - angles[0]) * radius if across else high - low
    room = length * radius_points - 8 * radius_points / _RADIUS_POINTS
    axes.text(
        radius * math.cos(math.radians(middle)),
        radius * math.sin(math.radians(middle)),
        text,
        rotation=rotation,
        rotation_mode="anchor",
        ha="center",
        va="center",
        fontsize=min(size, room / (_CHARACTER_WIDTH * max(1, len(text)))),
        color=INK,
        fontweight="bold" if ring == 0 else "normal",
    )


def _tint(colour: str, share: float) -> tuple[float, ...]:
    """A colour mixed with white."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(colour))
