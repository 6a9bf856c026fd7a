"""Figures of the report: where everything stands, in pixels. `figures.html` draws them as inline SVG.

Paper: Table 2 as a picture; Section 4 on free-form answers with any number of labels; Appendix D (the wheels), for the
confusion of sectors: the wheel with its commonest confusions, and the matrix. A figure is a plain mapping for the
template: its frame, ticks (place and text), and marks. `loss_curves.py` reads the losses, `page.py` puts the figures into
the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from affect_lightning.corpora import METRIC_TITLES
from affect_lightning.unibench.report.content import Report
from affect_lightning.unibench.report.loss_curves import Curve
from affect_lightning.unibench.report.tables import NOT_MEASURED, SCORE
from affect_lightning.unibench.scoring.scores import Confusion
from affect_lightning.unibench.statistics.paired_tests import MEAN

SERIES = 8  # colours in page.css, which differ between light and dark pages
OWN_LINE = 4  # up to so many published rows have a line each in the figure of scores, more share one; our choice
MOST_LABELS = 8  # responses with as many labels or more share the last bar; our choice
SMOOTHING = 0.9  # share of the running mean of a loss kept at each point; our choice
_LINE, _GAP = 17, 16  # pixels in the figure of scores: a line, and the space between two sets

Figure = dict[str, Any]
CHORDS = 8  # commonest confusions on the wheel; our choice: more cannot be told apart
_OUTER, _INNER = 132, 92  # radii of the wheel's ring in pixels
_CELL, _ROW, _NAMES, _HEAD = 46, 30, 128, 96  # pixels of the matrix
Point = tuple[float, float]


class Frame(NamedTuple):
    """Size of a figure, and the edges of the part that has the marks; pixels."""

    width: int
    height: float
    left: int
    right: int
    top: int
    bottom: float


_LABELS = Frame(960, 260, 60, 936, 14, 216)
_CURVES = Frame(760, 300, 52, 744, 16, 260)


def ticks(places: Iterable[float], texts: Iterable[str]) -> list[Figure]:
    """Texts along an axis."""
    return [{"at": at, "text": text} for at, text in zip(places, texts, strict=True)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From values to pixels."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def series_colour(index: int) -> str:
    """Colour of the run with this index, for a style attribute."""
    return f"var(--series-{index % SERIES})"


def _published_colour(report: Report, index: int) -> str:
    """Its own while there are few, the same for all of many."""
    return "var(--soft)" if len(report.published) > OWN_LINE else series_colour(len(report.rows) + index)


def legend(report: Report, *, published: bool = True) -> list[Figure]:
    """Names of the runs and, if wanted, of the published rows, with their colours; many of these share an item."""
    items = [{"name": row.label, "colour": series_colour(index)} for index, row in enumerate(report.rows)]
    names = [row.name for row in report.published] if published else []
    if len(names) > OWN_LINE:
        names = [f"{len(names)} rows"]
    return items + [
        {"name": name, "colour": _published_colour(report, index), "note": NOT_MEASURED}
        for index, name in enumerate(names)
    ]


def score_figure(report: Report) -> Figure | None:
    """Every score with its interval, set by set and the mean last; published ones hollow. None without scores."""
    keys = report.set_keys()
    heads = [(key, report.set_scores(key)[0].title, METRIC_TITLES[report.set_scores(key)[0].metric]) for key in keys]
    heads += [(MEAN, "mean", "")] if len(keys) > 1 else []
    bands = [(title, metric, lines) for key, title, metric in heads if (lines := _score_lines(report, key))]
    if not bands:
        return None
    scores = [score for *_, lines in bands for line in lines for score in line]
    values = [end for score in scores for end in (score["value"], *(score["interval"] or ()))]
    low, high = max(0.0, 10 * math.floor(min(values) / 10)), min(100.0, 10 * math.ceil(max(values) / 10))
    high = max(high, low + 10)
    bottom = 12 + sum(len(lines) * _LINE + _GAP for *_, lines in bands)
    frame = Frame(960, bottom + 44, 150, 936, 12, bottom)
    x = _scale(low, high, frame.left, frame.right)
    placed, top = [], frame.top
    for title, metric, lines in bands:
        tall = len(lines) * _LINE + _GAP
        marks = [
            {
                **score,
                "x": x(score["value"]),
                "y": top + _GAP / 2 + (place + 0.5) * _LINE,
                "ends": [x(end) for end in score["interval"] or ()],
            }
            for place, line in enumerate(lines)
            for score in line
        ]
        placed.append({"title": title, "metric": metric, "top": top, "middle": top + tall / 2, "marks": marks})
        top += tall
    shown = range(int(low), int(high) + 1, 10 if high - low > 30 else 5)
    return {"frame": frame, "ticks": ticks(map(x, shown), map(str, shown)), "bands": placed}


def _score_lines(report: Report, key: str) -> list[list[Figure]]:
    """The scores of a set line by line: one for each run, and for each published row or for all of many."""
    lines, theirs = [], []
    for index, row in enumerate(report.rows):
        value, interval = row.figure(key)
        if value is not None:
            text = " ".join(filter(None, (SCORE.text(value), SCORE.interval_text(interval))))
            mark = {"colour": series_colour(index), "is_published": False, "hover": f"{row.label}: {text}"}
            lines.append([{"value": value, "interval": interval, **mark}])
    for index, published in enumerate(report.published):
        value, _ = published.figure(key)
        if value is not None:
            hover = f"{published.name} ({NOT_MEASURED}): {SCORE.text(value)}"
            mark = {"colour": _published_colour(report, index), "is_published": True, "hover": hover}
            theirs.append({"value": value, "interval": None, **mark})
    return lines + ([theirs] if theirs and len(report.published) > OWN_LINE else [[score] for score in theirs])


def label_figure(report: Report) -> Figure | None:
    """Share of the responses of each run with 0, 1, 2 ... labels, over all of its sets; None if it was not counted."""
    counted = [
        (series_colour(index), row.label, shares)
        for index, row in enumerate(report.rows)
        if (shares := _label_shares([score.label_counts for score in row.scores.sets.values()]))
    ]
    if not counted:
        return None
    highest = math.ceil(10 * max(max(shares) for *_, shares in counted)) / 10
    y = _scale(0, highest, _LABELS.bottom, _LABELS.top)
    group = (_LABELS.right - _LABELS.left) / (MOST_LABELS + 1)
    middles = [_LABELS.left + (count + 0.5) * group for count in range(MOST_LABELS + 1)]
    texts = [*map(str, range(MOST_LABELS)), f"{MOST_LABELS} or more"]
    width = 0.8 * group / len(counted)
    bars = [
        {
            "x": middles[count] - 0.4 * group + place * width,
            "y": y(share),
            "width": 0.92 * width,
            "colour": colour,
            "hover": f"{name}: {100 * share:.1f}% of the responses have {texts[count]} labels",
        }
        for place, (colour, name, shares) in enumerate(counted)
        for count, share in enumerate(shares)
    ]
    parts = [highest * part / 4 for part in range(5)]
    axis = ticks(map(y, parts), (f"{100 * part:g}%" for part in parts))
    return {"frame": _LABELS, "shares": axis, "counts": ticks(middles, texts), "bars": bars}


def _label_shares(counts: Sequence[Sequence[int]]) -> list[float]:
    """Shares of responses by number of labels, all from MOST_LABELS on together; empty if nothing was counted."""
    total = sum(map(sum, counts))
    bars = [0] * (MOST_LABELS + 1)
    for counted in counts:
        for labels, number in enumerate(counted):
            bars[min(labels, MOST_LABELS)] += number
    return [bar / total for bar in bars] if total else []


def curve_figure(curves: Sequence[Curve]) -> Figure | None:
    """Losses over training steps: raw values and their running mean; None if there are no points."""
    drawn = [curve for curve in curves if curve.points]
    if not drawn:
        return None
    steps = [step for curve in drawn for step, _ in curve.points]
    losses = [loss for curve in drawn for _, loss in curve.points]
    heights = _round_values(min(0.0, *losses), max(losses))
    first, last = min(steps), max(*steps, min(steps) + 1)
    x = _scale(first, last, _CURVES.left, _CURVES.right)
    y = _scale(heights[0], heights[-1], _CURVES.bottom, _CURVES.top)
    widths = [step for step in _round_values(first, last) if first <= step <= last]

    def points(pairs: Sequence[tuple[int, float]]) -> str:
        return " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in pairs)

    return {
        "frame": _CURVES,
        "losses": ticks(map(y, heights), (f"{loss:g}" for loss in heights)),
        "steps": ticks(map(x, widths), (f"{step:g}" for step in widths)),
        "lines": [
            {
                "name": curve.name,
                "colour": series_colour(index),
                "raw": points(curve.points),
                "mean": points(_smoothed(curve.points)),
            }
            for index, curve in enumerate(drawn)
        ],
    }


def _round_values(low: float, high: float) -> list[float]:
    """Round values from at or below `low` to at or above `high`, 5 to 9 of them."""
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 4))
    spacing = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 6)
    first, last = math.floor(low / spacing), math.ceil(high / spacing)
    return [round(index * spacing, 10) for index in range(first, max(last, first + 1) + 1)]


def _smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    mean, weight, smoothed = 0.0, 0.0, []
    for step, value in points:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append((step, mean / weight))
    return smoothed


_WHEEL = Frame(420, 330, 0, 420, 0, 330)


def wheel_figure(confusion: Confusion) -> Figure | None:
    """The wheel: each sector filled as far as it was found, and chords from truth to what was said instead.

    Returns:
        None if no clip counted or there are fewer than three sectors, which make no wheel.
    """
    names, counts = confusion.truths, confusion.counts
    totals = [sum(row) for row in counts]
    if len(names) < 3 or not sum(totals):
        return None
    colours = [f"hsl({round(360 * index / len(names))} 52% 55%)" for index in range(len(names))]
    sectors = [
        {"colour": colours[index], **_sector(index, len(names), name, counts[index][index] / (total or 1), total)}
        for index, (name, total) in enumerate(zip(names, totals, strict=True))
    ]
    pairs = [
        (count, truth, said)
        for truth, row in enumerate(counts)
        for said, count in enumerate(row[: len(names)])
        if truth != said and count > 0
    ]
    chords = []
    for count, truth, said in sorted(pairs, reverse=True)[:CHORDS]:
        # Leaving and arriving chords keep to their own side of a sector's middle.
        start, end = (
            _on_wheel(2 * math.pi * (place + side) / len(names), _INNER - 5)
            for place, side in ((truth, 0.36), (said, 0.64))
        )
        share = f"{count:.0f} of {totals[truth]:.0f} clips ({100 * count / totals[truth]:.0f}%)"
        chords.append(
            {
                "path": f"M{_pair(start)}Q{_WHEEL.width / 2} {_WHEEL.height / 2} {_pair(end)}",
                "end": end,
                "width": 1 + 9 * count / max(pairs)[0],
                "colour": colours[truth],
                "hover": f"{names[truth]} taken for {names[said]}: {share}",
            }
        )
    return {"frame": _WHEEL, "title": confusion.title, "sectors": sectors, "chords": chords}


def _sector(index: int, sectors: int, name: str, found: float, total: float) -> Figure:
    """Two pieces of a ring: the whole sector, and as far as it was found."""
    start, end = (2 * math.pi * (index + edge) / sectors for edge in (0.02, 0.98))
    middle = (start + end) / 2
    side = math.sin(middle)
    return {
        "name": name,
        "whole": _ring(start, end, _OUTER),
        "found": _ring(start, end, _INNER + found * (_OUTER - _INNER)),
        "at": _on_wheel(middle, _OUTER + 12),
        "anchor": "middle" if abs(side) < 0.3 else "start" if side > 0 else "end",
        "hover": f"{name}: {total:.0f} clips, {100 * found:.0f}% of the labels said for them are in this sector",
    }


def _on_wheel(angle: float, radius: float) -> Point:
    """Pixels of a point on the wheel; angle in radians, clockwise from the top."""
    return _WHEEL.width / 2 + radius * math.sin(angle), _WHEEL.height / 2 - radius * math.cos(angle)


def _pair(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _ring(start: float, end: float, outer: float) -> str:
    """A piece of the ring from the inner radius to another one."""
    large = int(end - start > math.pi)
    first, second = _on_wheel(start, outer), _on_wheel(end, outer)
    third, last = _on_wheel(end, _INNER), _on_wheel(start, _INNER)
    return (
        f"M{_pair(first)}A{outer:.1f} {outer:.1f} 0 {large} 1 {_pair(second)}"
        f"L{_pair(third)}A{_INNER} {_INNER} 0 {large} 0 {_pair(last)}z"
    )


def matrix_figure(confusion: Confusion) -> Figure | None:
    """The confusion as shares of each true row; None if no clip counted. Unused columns are left out."""
    truths = [(name, counts) for name, counts in zip(confusion.truths, confusion.counts, strict=True) if sum(counts)]
    if not truths:
        return None
    said = [
        (index, name)
        for index, name in enumerate(confusion.predictions)
        if name in confusion.truths or any(counts[index] > 0 for _, counts in truths)
    ]
    right, bottom = _NAMES + len(said) * _CELL, _HEAD + len(truths) * _ROW
    places = [_NAMES + place * _CELL for place in range(len(said))]
    rows = []
    for line, (truth, counts) in enumerate(truths):
        total = sum(counts)
        cells = [
            {
                "x": x,
                "share": counts[index] / total,
                "text": _share_text(counts[index] / total),
                "is_same": name == truth,
                "hover": f"{truth} → {name}: {counts[index]:.1f} clips",
            }
            for x, (index, name) in zip(places, said, strict=True)
        ]
        rows.append({"y": _HEAD + line * _ROW, "name": truth, "total": f"{total:.0f}", "cells": cells})
    columns = ticks((x + _CELL / 2 for x in places), (name for _, name in said))
    frame = Frame(right + 8, bottom + 8, _NAMES, right, _HEAD, bottom)
    return {"frame": frame, "title": confusion.title, "size": (_CELL, _ROW), "columns": columns, "rows": rows}


def _share_text(share: float) -> str:
    return "" if share == 0 else "<1" if 100 * share < 0.5 else f"{100 * share:.0f}"
