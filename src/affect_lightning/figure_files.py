"""Figures that matplotlib draws into files of their own (ours).

The same figure gives the same bytes, and a file is whole or absent. matplotlib is imported when a figure is drawn.
`unibench/report/figures.py` draws the figures inside a report's page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole

FORMATS = (".svg", ".png", ".pdf")
_SIZE = (6.4, 4.0)  # inches


def check_figure(path: Path) -> None:
    """Refuse a figure of an unknown kind, before anything is computed.

    Raises:
        ConfigurationError: It has another ending.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"The figure {str(path)!r} must end in {', '.join(FORMATS)}.")


def new_axes(horizontal: str, vertical: str, size: tuple[float, float] = _SIZE) -> tuple[Any, Any]:
    """A figure with one pair of axes.

    Args:
        horizontal: Title of the horizontal axis.
        vertical: Title of the vertical axis.
        size: Width and height in inches.

    Returns:
        matplotlib's figure and axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as SVG, PNG or PDF, by the file's ending.

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
