"""The confusion of a closed set of classes as a figure in a file of its own (ours)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affect_lightning.figure_files import new_axes, save_figure
from affect_lightning.unibench.statistics.class_scores import ClassScores

_CELL, _MARGIN = 0.9, 2.2  # inches; our choice
_DARK = 0.55  # share of its row from which a cell's number is white; our choice


def draw_confusion(path: Path, scores: ClassScores) -> None:
    """Draw true classes by the classes of responses, each row in shares of its clips.

    Raises:
        DataError: The file cannot be written.
    """
    confusion = scores.confusion
    counts = np.array(confusion.counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, columns = counts.shape
    figure, axes = new_axes("class of the response", "true class", (_MARGIN + _CELL * columns, _MARGIN + _CELL * rows))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(columns), confusion.predictions, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(rows), confusion.truths)
    for row, column in np.ndindex(rows, columns):
        colour = "white" if shares[row, column] > _DARK else "black"
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=colour)
    measured = f"accuracy {scores.scores['accuracy']:.1f}, macro F1 {scores.scores['macro_f1']:.1f}"
    axes.set_title(f"{scores.question}\n{measured}, {scores.clips} clips", fontsize=9, parse_math=False)
    save_figure(figure, path)
