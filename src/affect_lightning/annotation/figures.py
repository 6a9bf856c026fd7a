"""Figures of the annotation: lengths with their cuts, and accuracy by the share of the votes.

Paper: Figure 7 (lengths). matplotlib draws them as SVG, PNG or PDF; the same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.annotation.lengths import LengthFit, gaussian_share
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole

FORMATS = (".svg", ".png", ".pdf")
_COLOURS = ("#2f6db5", "#d9503f", "#6d9a4a", "#8e63b8", "#ee8a3c")
_GREY = "#8a8f98"
_BINS = 40  # of a histogram; our choice
_SIZE = (6.4, 4.0)  # inches


def check_figure(path: Path) -> None:
    """Refuse a figure of an unknown kind, before anything is computed.

    Raises:
        ConfigurationError: It has another ending.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"The figure {str(path)!r} must end in {', '.join(FORMATS)}.")


def draw_lengths(path: Path, lengths: Sequence[int], fit: LengthFit, unit: str) -> None:
    """Draw the histogram of lengths, the Gaussian that fits best, and the cuts.

    Raises:
        ConfigurationError: The file's name has an unknown ending.
        DataError: The file cannot be written.
    """
    check_figure(path)
    figure, axes = new_axes(f"length of the descriptions ({unit})", "descriptions")
    edges = np.histogram_bin_edges(lengths, bins=min(_BINS, max(1, max(lengths) - min(lengths) + 1)))
    axes.hist(lengths, bins=edges, color=_COLOURS[0], alpha=0.75, label=f"{len(lengths):,} descriptions")
    if fit.deviation:
        expected = len(lengths) * np.diff(gaussian_share(edges, fit.mean, fit.deviation))
        title = f"Gaussian, mean {fit.mean:.1f}, deviation {fit.deviation:.1f} (skew {fit.skew:.2f})"
        axes.plot((edges[:-1] + edges[1:]) / 2, expected, color=_COLOURS[1], label=title)
    for number, cut in enumerate((fit.shortest, fit.longest)):
        label = f"cuts at {fit.shortest:.1f} and {fit.longest:.1f}" if number == 0 else None
        axes.axvline(cut, color=_GREY, linestyle="--", label=label)
    axes.legend(loc="upper right", fontsize=8, framealpha=1, edgecolor="none")
    save_figure(figure, path)


def draw_shares(path: Path, curves: Mapping[str, Sequence[tuple[float, float | None, int]]]) -> None:
    """Draw the accuracy of the clips with at least a share of the votes, by that share.

    Args:
        path: Of the figure.
        curves: By name, as `crowd.accuracy_by_share` gives them.

    Raises:
        ConfigurationError: The file's name has an unknown ending.
        DataError: The file cannot be written.
    """
    check_figure(path)
    figure, axes = new_axes("least share of the votes", "accuracy (%)")
    for number, (name, points) in enumerate(curves.items()):
        drawn = [(share, accuracy, clips) for share, accuracy, clips in points if accuracy is not None]
        shares, accuracies, clips = zip(*drawn, strict=True) if drawn else ((), (), ())
        colour = _COLOURS[number % len(_COLOURS)]
        label = name.replace("$", r"\$")  # two of them would begin a formula
        axes.plot(shares, accuracies, marker="o", color=colour, label=label)
        for share, accuracy, count in zip(shares, accuracies, clips, strict=True):
            axes.annotate(
                f"{count:,}", (share, accuracy), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=7,
                color=colour,
            )  # fmt: skip
    title = "clips with that share beside each point"
    axes.legend(loc="lower right", fontsize=8, framealpha=1, edgecolor="none", title=title, title_fontsize=7)
    save_figure(figure, path)


def new_axes(horizontal: str, vertical: str) -> tuple[Any, Any]:
    """An empty figure of the house style and its axes with these titles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure; its kind follows from the ending.

    Raises:
        DataError: The file cannot be written.
    """
    from matplotlib import rc_context

    kind = path.suffix[1:].lower()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    try:
        with rc_context({"svg.hashsalt": "affect-lightning", "svg.fonttype": "none"}):
            write_whole(path, lambda file: figure.savefig(file, format=kind, dpi=150, metadata=metadata))
    except OSError as error:
        raise DataError(f"The figure {path} could not be written: {error.strerror or error}.") from error
