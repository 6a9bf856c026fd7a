"""Figures of the report as inline SVG: scores with intervals, and labels a response.

Paper: Table 2 as a picture; Section 4 on free-form answers with any number of labels. Colours and fonts come from the
page's style (`report_page.css`), so that the figures follow its light and dark form; nothing is loaded from elsewhere.
`confusion_figure.py` draws the confusions, `loss_curves.py` the losses, `report_html.py` puts all into the page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from affect_lightning.corpora import METRIC_TITLES
from affect_lightning.unibench.published import NOTE
from affect_lightning.unibench.report_rows import Report
from affect_lightning.unibench.report_texts import score_text

SERIES = 8  # colours in report_page.css
OWN_LINE = 4  # up to so many published rows have a line each in the figure of scores, more share one; our choice
MOST_LABELS = 8  # responses with as many labels or more share the last bar; our choice
_WIDTH, _LEFT, _RIGHT = 960, 150, 24  # pixels
_LINE, _GAP, _TOP, _FOOT = 17, 16, 12, 44


def series_colour(index: int) -> str:
    """Colour of the run with this index, for a style attribute."""
    return f"var(--series-{index % SERIES})"


def escaped(text: str) -> str:
    """Text made safe for HTML and SVG."""
    return html.escape(text, quote=True)


@dataclass(frozen=True)
class _Mark:
    """One score in the figure: a dot with a whisker, or a hollow diamond for a published one."""

    value: float
    interval: tuple[float, float] | None
    colour: str
    published: bool
    hover: str


def draw_scores(report: Report) -> str:
    """Every score with its interval, set by set and the mean last; published ones hollow. Empty without scores."""
    bands = [band for band in _bands(report) if band.lines]
    if not bands:
        return ""
    marks = [mark for band in bands for line in band.lines for mark in line]
    values = [end for mark in marks for end in (mark.value, *(mark.interval or ()))]
    low, high = max(0.0, 10 * math.floor(min(values) / 10)), min(100.0, 10 * math.ceil(max(values) / 10))
    high = max(high, low + 10)
    height = _TOP + sum(len(band.lines) * _LINE + _GAP for band in bands) + _FOOT
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="scores with 95% intervals" class="figure scores">',
        *_score_axis(low, high, height),
    ]
    y = float(_TOP)
    for index, band in enumerate(bands):
        middle = y + (len(band.lines) * _LINE + _GAP) / 2
        drop = 4 if not band.metric else -1
        parts.append(
            f'<text x="{_LEFT - 14}" y="{middle + drop:.1f}" text-anchor="end" class="strong">{escaped(band.title)}</text>'
        )
        if band.metric:
            parts.append(
                f'<text x="{_LEFT - 14}" y="{middle + 13:.1f}" text-anchor="end">{escaped(band.metric)}</text>'
            )
        if index:
            parts.append(f'<line x1="8" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        for place, line in enumerate(band.lines):
            for mark in line:
                parts += _draw_mark(mark, y + _GAP / 2 + (place + 0.5) * _LINE, low, high)
        y += len(band.lines) * _LINE + _GAP
    return "\n".join([*parts, "</svg>"])


def _score_axis(low: float, high: float, height: int) -> list[str]:
    parts = []
    for tick in range(int(low), int(high) + 1, 10 if high - low > 30 else 5):
        x = _x(tick, low, high)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{height - _FOOT}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - _FOOT + 18}" text-anchor="middle">{tick}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*parts, f'<text x="{middle:.1f}" y="{height - 6}" text-anchor="middle">percent</text>']


@dataclass(frozen=True)
class _Band:
    """The lines of one set, each with its marks."""

    title: str
    metric: str
    lines: list[list[_Mark]]


def _bands(report: Report) -> list[_Band]:
    bands = []
    for key in report.set_keys():
        first = report.set_scores(key)[0]
        scores = [row.scores.sets.get(key) for row in report.rows]
        lines = _lines(report, [(s.score, s.interval) if s else (None, None) for s in scores])
        lines += _published_lines(report, [row.scores.get(key) for row in report.published])
        bands.append(_Band(first.title, METRIC_TITLES[first.metric], lines))
    if len(report.set_keys()) > 1:
        lines = _lines(report, [(row.scores.mean, row.scores.mean_interval) for row in report.rows])
        bands.append(_Band("mean", "", lines + _published_lines(report, [row.mean for row in report.published])))
    return bands


def _lines(report: Report, scores: Sequence[tuple[float | None, tuple[float, float] | None]]) -> list[list[_Mark]]:
    return [
        [_Mark(value, interval, series_colour(index), False, f"{row.label}: {score_text(value, interval)}")]
        for index, (row, (value, interval)) in enumerate(zip(report.rows, scores, strict=True))
        if value is not None
    ]


def _published_lines(report: Report, scores: Sequence[float | None]) -> list[list[_Mark]]:
    marks = [
        _Mark(value, None, published_colour(report, index), True, f"{row.name} ({NOTE}): {value:.2f}")
        for index, (row, value) in enumerate(zip(report.published, scores, strict=True))
        if value is not None
    ]
    if len(report.published) > OWN_LINE:
        return [marks] if marks else []
    return [[mark] for mark in marks]


def published_colour(report: Report, index: int) -> str:
    """Colour of a published row: its own while there are few, the same for all of many."""
    return "var(--soft)" if len(report.published) > OWN_LINE else series_colour(len(report.rows) + index)


def _x(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _draw_mark(mark: _Mark, y: float, low: float, high: float) -> list[str]:
    x = _x(mark.value, low, high)
    parts = [f'<g style="color:{mark.colour}"><title>{escaped(mark.hover)}</title>']
    if mark.published:
        parts.append(f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" class="hollow"/>')
    else:
        if mark.interval is not None:
            left, right = (_x(end, low, high) for end in mark.interval)
            parts.append(
                f'<path d="M{left:.1f} {y:.1f}H{right:.1f}M{left:.1f} {y - 4:.1f}v8M{right:.1f} {y - 4:.1f}v8"/>'
            )
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    return [*parts, "</g>"]


def draw_label_counts(report: Report) -> str:
    """Share of the responses of each run with 0, 1, 2 ... labels, over all of its sets; empty if it was not counted."""
    shares = [
        (index, row.label, _label_shares([score.label_counts for score in row.scores.sets.values()]))
        for index, row in enumerate(report.rows)
    ]
    shares = [(index, name, counted) for index, name, counted in shares if counted]
    if not shares:
        return ""
    height, bottom, top = 260, 216, 14
    highest = 10 * math.ceil(10 * max(max(counted) for _, _, counted in shares)) / 100
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="labels a response" class="figure labels">']
    left, right = 60, _WIDTH - _RIGHT
    for tick in range(5):
        y = bottom - tick / 4 * (bottom - top)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * highest * tick / 4:g}%</text>')
    group = (right - left) / (MOST_LABELS + 1)
    width = 0.8 * group / len(shares)
    for count in range(MOST_LABELS + 1):
        middle = left + (count + 0.5) * group
        text = f"{count} or more" if count == MOST_LABELS else str(count)
        parts.append(f'<text x="{middle:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
        for place, (index, name, counted) in enumerate(shares):
            x, bar = middle - 0.4 * group + place * width, counted[count] / highest * (bottom - top)
            parts.append(
                f'<rect x="{x:.1f}" y="{bottom - bar:.1f}" width="{0.92 * width:.1f}" height="{bar:.1f}" rx="1.5" '
                f'style="fill:{series_colour(index)}"><title>{escaped(name)}: {100 * counted[count]:.1f}% of the '
                f"responses have {text} labels</title></rect>"
            )
    parts.append(f'<text x="{(left + right) / 2}" y="{height - 6}" text-anchor="middle">labels in a response</text>')
    return "\n".join([*parts, "</svg>"])


def _label_shares(counts: Sequence[Sequence[int]]) -> list[float]:
    """Shares of responses by number of labels, all from MOST_LABELS on together; empty if nothing was counted."""
    total = sum(map(sum, counts))
    bars = [0] * (MOST_LABELS + 1)
    for counted in counts:
        for labels, number in enumerate(counted):
            bars[min(labels, MOST_LABELS)] += number
    return [bar / total for bar in bars] if total else []


def draw_legend(report: Report) -> str:
    """Names of the runs and of the published rows with their colours, as HTML."""
    items = [
        f'<span><i class="dot" style="color:{series_colour(index)}"></i>{escaped(row.label)}</span>'
        for index, row in enumerate(report.rows)
    ]
    published = [(row.name, published_colour(report, index)) for index, row in enumerate(report.published)]
    if len(published) > OWN_LINE:
        published = [(f"{len(published)} rows", published[0][1])]
    items += [
        f'<span><i class="diamond" style="color:{colour}"></i>{escaped(name)} <small>{NOTE}</small></span>'
        for name, colour in published
    ]
    return f'<p class="legend">{"".join(items)}</p>'
