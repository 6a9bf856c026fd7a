"""The confusion of sectors on an emotion wheel: the wheel with its commonest confusions, and the matrix.

Paper: Section 4 and Appendix D (the wheels). `confusions.py` counts; `figures.html` draws, as it does those of `figures.py`.
"""

from __future__ import annotations

import math

from affect_lightning.unibench.report.figures import Figure, Frame, ticks
from affect_lightning.unibench.scores import Confusion

CHORDS = 8  # commonest confusions on the wheel; our choice: more cannot be told apart
_OUTER, _INNER = 132, 92  # radii of the wheel's ring in pixels
_WHEEL = Frame(420, 330, 0, 420, 0, 330)
_CELL, _ROW, _NAMES, _HEAD = 46, 30, 128, 96  # pixels of the matrix

Point = tuple[float, float]


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
