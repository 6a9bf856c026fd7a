"""Draws the emotion wheels of a taxonomy as one picture.

Paper: Figure 9 (Appendix K) shows wheels of this kind. The picture shows what scoring uses: every word once, in the
sector that `affect_lightning.metrics.Wheel` gives it. `taxonomy_command.py` is the only caller.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole

if TYPE_CHECKING:
    from affect_lightning.metrics import Taxonomy, Wheel

FORMATS = (".png", ".svg", ".pdf")
_RADII = (0.10, 0.41, 0.705, 1.0)  # edges of the three rings, as shares of a wheel's radius
_RADIUS_POINTS = 310  # of a wheel on the page, for the size of texts
_CHARACTER_WIDTH = 0.62  # of the font, on average, as a share of its size
_DOTS_PER_INCH = 120  # of a .png

# One colour for one feeling on all wheels, so that they can be compared.
_COLOURS = {
    "happy": "#f2b632",
    "joyful": "#f2b632",
    "joy": "#f2b632",
    "sad": "#4f83cc",
    "mad": "#d9503f",
    "angry": "#d9503f",
    "anger": "#d9503f",
    "fearful": "#8e63b8",
    "scared": "#8e63b8",
    "fear": "#8e63b8",
    "disgusted": "#6d9a4a",
    "disgust": "#6d9a4a",
    "surprised": "#ee8a3c",
    "powerful": "#c65b93",
    "genius": "#c65b93",
    "peaceful": "#3fa79b",
    "bad": "#8a8f98",
}
_OTHER_COLOURS = ("#b08968", "#5f9ea0", "#a2a83a", "#c08497")
_INK = "#26262b"


def draw_wheels(taxonomy: Taxonomy, path: Path) -> None:
    """Draw all wheels of a taxonomy into one file.

    Args:
        taxonomy: Whose wheels.
        path: `.png`, `.svg` or `.pdf`; written whole or not at all.

    Raises:
        ConfigurationError: Another ending.
        DataError: The file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"The picture {str(path)!r} must end in {', '.join(FORMATS)}.")
    from matplotlib.figure import Figure

    columns = min(3, len(taxonomy.wheels))
    rows = math.ceil((len(taxonomy.wheels) + 1) / columns)
    figure = Figure(figsize=(9.2 * columns, 9.6 * rows), facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, wheel) in enumerate(zip(grid, taxonomy.wheels, strict=False), start=1):
        _draw_wheel(axes, wheel, f"Wheel {number}")
    for axes in grid[len(taxonomy.wheels) :]:
        axes.set_axis_off()
    _write_legend(grid[-1], taxonomy)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=0.97, wspace=0.01, hspace=0.05)
    _save(figure, path)


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


def _draw_wheel(axes: Any, wheel: Wheel, title: str) -> None:
    tree = rings(wheel)
    slots = sum(max(1, len(outer)) for middles in tree.values() for outer in middles.values())
    step = 360 / slots
    colours = _sector_colours(list(tree))
    size = 10.5 if slots <= 60 else 9.5
    angle = 90.0  # the first sector begins at the top; the wheel is drawn clockwise
    for inner, middles in tree.items():
        begin, colour = angle, colours[inner]
        for middle, outer in middles.items():
            middle_begin = angle
            for word in outer or [""]:
                _draw_sector(axes, 2, (angle - step, angle), _tint(colour, 0.30), word, size)
                angle -= step
            _draw_sector(axes, 1, (angle, middle_begin), _tint(colour, 0.58), middle, size + 0.5)
        _draw_sector(axes, 0, (angle, begin), colour, inner, 13.5, bold=True)
    axes.set_title(title, fontsize=19, color=_INK, pad=6, fontweight="bold")
    axes.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
    axes.set_axis_off()


def _sector_colours(names: list[str]) -> dict[str, str]:
    unnamed = iter(_OTHER_COLOURS * len(names))
    return {name: _COLOURS.get(name) or next(unnamed) for name in names}


def _draw_sector(
    axes: Any, ring: int, angles: tuple[float, float], colour: Any, text: str, size: float, bold: bool = False
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
    room = (math.radians(angles[1] - angles[0]) * radius if across else high - low) * _RADIUS_POINTS - 8
    axes.text(
        radius * math.cos(math.radians(middle)),
        radius * math.sin(math.radians(middle)),
        text,
        rotation=rotation,
        rotation_mode="anchor",
        ha="center",
        va="center",
        fontsize=min(size, room / (_CHARACTER_WIDTH * max(1, len(text)))),
        color=_INK,
        fontweight="bold" if bold else "normal",
    )


def _tint(colour: str, share: float) -> tuple[float, ...]:
    """A colour mixed with white."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def _write_legend(axes: Any, taxonomy: Taxonomy) -> None:
    words = {word for wheel in taxonomy.wheels for word in wheel.inner}
    lines = [
        (0.74, f"{len(taxonomy.wheels)} emotion wheels", 32, "bold"),
        (0.67, f"Taxonomy {taxonomy.name}: {len(words):,} words on the wheels,", 16, "normal"),
        (0.62, f"{len(taxonomy.forms):,} word forms that lead to them", 16, "normal"),
        (0.52, "Inner ring: sectors of level 1 (the paper's scores)", 16, "normal"),
        (0.47, "Middle ring: sectors of level 2", 16, "normal"),
        (0.42, "Outer ring: further words, each in one sector", 16, "normal"),
        (0.32, f"SHA-256 {taxonomy.sha256[:32]}", 12, "normal"),
    ]
    for height, text, size, weight in lines:
        axes.text(0.08, height, text, transform=axes.transAxes, fontsize=size, fontweight=weight, color=_INK)


def _save(figure: Any, path: Path) -> None:
    try:
        write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower(), dpi=_DOTS_PER_INCH))
    except OSError as error:
        raise DataError(f"The picture {path} could not be written: {error.strerror or error}.") from error
