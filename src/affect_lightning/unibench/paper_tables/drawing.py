"""A table over a number, such as Figure 10 over frames, as a drawing: our points with intervals, and what the paper prints.

Paper: Figure 10 (effect of the number of sampled frames). Where the paper draws points without figures, only ours are drawn.
`pages.py` puts the files beside the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affect_lightning.figure_files import new_axes, save_figure
from affect_lightning.unibench.paper_tables.catalogue import PaperTable, figure_title
from affect_lightning.unibench.paper_tables.finished import FinishedRow

ENDINGS = (".svg", ".png")
_ASIDE = 0.03  # of the place: curves are drawn beside each other, so that no interval hides another; our choice
Point = tuple[float, FinishedRow]


def curves_of(table: PaperTable, rows: Sequence[FinishedRow]) -> dict[str, list[Point]]:
    """The points of each curve, by the labels that its rows share.

    Args:
        table: With `drawn_over`.
        rows: Of the table.
    """
    place = table.heads.index(table.drawn_over)
    curves: dict[str, list[Point]] = {}
    for item in rows:
        labels = item.row.labels
        name = ", ".join(filter(None, (*labels[:place], *labels[place + 1 :])))
        curves.setdefault(name, []).append((float(labels[place]), item))
    return curves


def draw_table(table: PaperTable, rows: Sequence[FinishedRow], notes: Sequence[str], folder: Path) -> list[Path]:
    """Draw the first figure of each row over a label, on a logarithmic scale.

    Args:
        table: With `drawn_over`.
        rows: Of the table.
        notes: The first stands under the title, such as the words about a generated corpus.
        folder: For the files.

    Returns:
        The files; none where nothing is finished, or where the table is not drawn.

    Raises:
        DataError: A file cannot be written.
    """
    name = table.figures[0]
    if not table.drawn_over or all(item.figures[name].value is None for item in rows):
        return []
    figure, axes = new_axes(table.drawn_over, f"{figure_title(name)} (%)")
    axes.set_xscale("log", base=2)
    curves = curves_of(table, rows)
    for number, (title, points) in enumerate(curves.items()):
        shift = 1 + _ASIDE * (number - (len(curves) - 1) / 2)
        _draw_ours(axes, title, [(at * shift, item) for at, item in points], name, f"C{number}")
        published = [(at, item.row.published[name]) for at, item in points if name in item.row.published]
        if published:
            axes.plot(*zip(*published, strict=True), "--", color=f"C{number}", label=f"{title} (published)")
    places = sorted({at for points in curves.values() for at, _ in points})
    axes.set_xticks(places, [f"{at:g}" for at in places])
    axes.minorticks_off()
    axes.set_title(f"{table.title}\n{notes[0]}", fontsize=9, parse_math=False, wrap=True)
    axes.legend(frameon=False)
    files = [folder / f"{table.name}{ending}" for ending in ENDINGS]
    for file in files:
        save_figure(figure, file)
    return files


def _draw_ours(axes: Any, title: str, points: Sequence[Point], name: str, colour: str) -> None:
    """Means joined by a line, and their intervals."""
    values = [(at, item.figures[name]) for at, item in points]
    known = [(at, mean.value, mean.interval) for at, mean in values if mean.value is not None]
    axes.plot([at for at, _, _ in known], [value for _, value, _ in known], "o-", color=colour, label=title)
    for at, _, interval in known:
        if interval is not None:
            axes.vlines(at, *interval, color=colour, alpha=0.6)
