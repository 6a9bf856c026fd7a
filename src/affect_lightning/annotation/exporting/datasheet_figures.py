"""Figures of a datasheet: clips at each stage, lengths, labels a clip, durations, and the labels on an emotion wheel.

Paper: Figure 2 (the pipeline), Figure 7 (lengths of the descriptions, labels a clip), Figure 8 (durations); the wheels are
those of Section 4. Neighbours: `datasheet.py`, and `figures.py` of the stages, whose style these have.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.annotation.figures import new_axes, save_figure
from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.wheels import sector_colours

_BLUE, _LIGHT, _GREY, _INK = "#2f6db5", "#b9cde6", "#8a8f98", "#26262b"
_BINS = 40  # of a histogram; our choice
_SHOWN_COUNTS = 10  # labels a clip that have a bar of their own; our choice
_WORDS = 6  # labels of one sector that are named; our choice
_LEAST = 0.012  # share of all labels from which a name fits into the wheel; our choice
_RADII = (0.18, 0.56, 1.0)  # edges of the two rings


def draw_stages(path: Path, counts: Sequence[tuple[str, int]]) -> None:
    """Draw the clips that are left after each filter, from the table to the data set (Figure 2).

    Args:
        path: Of the figure.
        counts: Stage and clips, in their order.
    """
    names = [_plain(name) for name, _ in counts]
    left = [count for _, count in counts]
    figure, axes = new_axes("clips", "")
    axes.barh(range(len(left)), left, color=[_LIGHT, *[_BLUE] * (len(left) - 1)], height=0.62)
    for place, count in enumerate(left):
        share = f" ({count / left[0]:.0%})" if place and left[0] else ""
        axes.annotate(
            f"{count:,}{share}", (count, place), textcoords="offset points", xytext=(5, 0), va="center", fontsize=8,
            color=_INK,
        )  # fmt: skip
    axes.set_yticks(range(len(left)), names, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.tick_params(axis="y", length=0)
    _save(figure, path)


def draw_description_lengths(path: Path, before: Mapping[int, int], exported: Mapping[int, int]) -> None:
    """Draw how long the descriptions are, in words: those of all clips behind those of the data set (Figure 7, first row).

    Args:
        path: Of the figure.
        before: All descriptions by their length.
        exported: Those of the data set by their length.
    """
    figure, axes = new_axes("length of the description (words)", "clips")
    edges = _whole_edges([*before, *exported])
    every, count = sum(before.values()), sum(exported.values())
    for lengths, colour, label in (
        (before if every > count else {}, _LIGHT, f"all descriptions ({every:,})"),
        (exported, _BLUE, f"data set ({count:,})"),
    ):
        if lengths:
            axes.hist(list(lengths), bins=edges, weights=list(lengths.values()), color=colour, label=label)
    mean, _ = mean_and_deviation(exported)
    axes.axvline(mean, color=_INK, linestyle="--", linewidth=1, label=f"mean {mean:.1f}")
    axes.legend(loc="upper right", fontsize=8, framealpha=1, edgecolor="none")
    _save(figure, path)


def mean_and_deviation(counts: Mapping[int, int]) -> tuple[float, float]:
    """Mean and standard deviation of whole numbers, each of which is there so many times.

    >>> mean_and_deviation({1: 2, 4: 1})
    (2.0, 1.4142135623730951)
    """
    total = sum(counts.values())
    mean = sum(number * count for number, count in counts.items()) / total
    return mean, math.sqrt(sum(count * (number - mean) ** 2 for number, count in counts.items()) / total)


def draw_label_counts(path: Path, counts: Mapping[int, int]) -> None:
    """Draw how many labels the clips have (Figure 7, second row).

    Args:
        path: Of the figure.
        counts: Clips by the number of their labels.
    """
    figure, axes = new_axes("labels of a clip", "clips")
    found: Counter[int] = Counter()
    for number, count in counts.items():
        found[min(number, _SHOWN_COUNTS)] += count
    places = range(max(found) + 1)
    axes.bar(places, [found[place] for place in places], color=_BLUE, width=0.72)
    for place in places:
        if found[place]:
            axes.annotate(
                f"{found[place]:,}", (place, found[place]), textcoords="offset points", xytext=(0, 3), ha="center",
                fontsize=8, color=_INK,
            )  # fmt: skip
    more = len(places) > _SHOWN_COUNTS
    axes.set_xticks(places, [f"{place}+" if more and place == _SHOWN_COUNTS else str(place) for place in places])
    _save(figure, path)


def draw_durations(path: Path, seconds: Sequence[float]) -> None:
    """Draw how long the clips are (Figure 8)."""
    figure, axes = new_axes("duration (seconds)", "clips")
    axes.hist(seconds, bins=np.histogram_bin_edges(seconds, bins=min(_BINS, max(5, len(seconds) // 5))), color=_BLUE)
    middle = float(np.median(seconds))
    axes.axvline(middle, color=_INK, linestyle="--", linewidth=1, label=f"median {middle:.1f} s")
    axes.legend(loc="upper right", fontsize=8, framealpha=1, edgecolor="none")
    axes.set_xlim(left=0)
    _save(figure, path)


def labels_by_sector(counts: Mapping[str, int], taxonomy: Taxonomy, wheel: int) -> dict[str, dict[str, int]]:
    """The labels in each inner sector of a wheel, most frequent first; labels on no sector are left out."""
    sectors: dict[str, dict[str, int]] = {}
    for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        sector = taxonomy.sector(label, wheel)
        if sector is not None:
            sectors.setdefault(sector, {})[label] = count
    return dict(sorted(sectors.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def draw_label_wheel(path: Path, sectors: Mapping[str, Mapping[str, int]]) -> None:
    """Draw the labels on a wheel: a sector is as wide as its share of all labels on the wheel.

    Args:
        path: Of the figure.
        sectors: Labels with their counts by sector; see `labels_by_sector`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 7.2), facecolor="white")
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
    axes.set_axis_off()
    total = sum(sum(labels.values()) for labels in sectors.values())
    angle = 90.0  # the first sector begins at the top; the wheel is drawn clockwise
    colours = sector_colours(list(sectors))
    for sector, labels in sectors.items():
        colour, begin = colours[sector], angle
        for label, count, shade in _named(labels, total):
            end = angle - 360 * count / total
            _draw_part(axes, 1, (end, angle), _tint(colour, shade), label)
            angle = end
        share = sum(labels.values()) / total
        _draw_part(axes, 0, (angle, begin), colour, f"{sector} {share:.0%}" if share >= _LEAST * 2 else "", bold=True)
    _save(figure, path)


def _named(labels: Mapping[str, int], total: int) -> Iterator[tuple[str, int, float]]:
    """The labels of a sector that are named, each with a shade, and the others together without a name."""
    named = [(label, count) for label, count in labels.items() if count / total >= _LEAST][:_WORDS]
    for place, (label, count) in enumerate(named):
        yield label, count, 0.62 - 0.06 * place
    rest = sum(labels.values()) - sum(count for _, count in named)
    if rest:
        yield "", rest, 0.2


def _draw_part(
    axes: Any, ring: int, angles: tuple[float, float], colour: Any, text: str, *, bold: bool = False
) -> None:
    from matplotlib.patches import Wedge

    low, high = _RADII[ring], _RADII[ring + 1]
    width = angles[1] - angles[0]
    axes.add_patch(Wedge((0, 0), high, *angles, width=high - low, facecolor=colour, edgecolor="white", linewidth=1.2))
    if not text:
        return
    middle, radius = sum(angles) / 2, (low + high) / 2
    across = bold and width > 40
    rotation = (middle - 90 if across else middle) % 360
    if 90 < rotation < 270:
        rotation -= 180  # upside down
    room = (0.85 * math.radians(width) * radius if across else high - low) * 250  # points on the figure
    tall = (high - low if across else math.radians(width) * radius) * 250
    axes.text(
        radius * math.cos(math.radians(middle)), radius * math.sin(math.radians(middle)), _plain(text),
        rotation=rotation, rotation_mode="anchor", ha="center", va="center", color=_INK,
        fontsize=max(4, min(12 if bold else 10.5, room / (0.62 * len(text)), tall * 0.8)),
        fontweight="bold" if bold else "normal",
    )  # fmt: skip


def _tint(colour: str, share: float) -> tuple[float, ...]:
    """A colour mixed with white."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def _whole_edges(lengths: Sequence[int]) -> Any:
    """Edges of a histogram of whole numbers, with as many of these in each bar."""
    low, high = min(lengths), max(lengths)
    step = max(1, math.ceil((high - low + 1) / _BINS))
    return np.arange(low, high + step + 1, step) - 0.5


def _plain(text: str) -> str:
    """A text without the sign that begins a formula."""
    return text.replace("$", r"\$")


@contextmanager
def _any_script() -> Iterator[None]:
    """Labels may be in any script. An SVG keeps them as text, so it does not matter whether matplotlib has the glyphs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _save(figure: Any, path: Path) -> None:
    with _any_script():
        save_figure(figure, path)
