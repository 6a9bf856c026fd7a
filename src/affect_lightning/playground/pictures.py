"""What a network sees, hears and answers, as pictures: waveform and pitch, weights of the fusion, labels on the wheels (ours).

Paper: Eq. 5 to 7 (the weights), Section 4 (the wheels). A picture is PNG bytes: nothing is written to the disk.
`page_parts.py` puts the pictures into the page. Legend: T pictures, S samples, N tokens, H height and W width in pixels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.figure_files import new_axes
from affect_lightning.metrics import Taxonomy
from affect_lightning.unibench.report.wheel_figure import draw_wheel

PITCH = 65.0, 600.0  # Hz, our choice: from a low man's voice to a child's
_FRAME_SECONDS = 0.064  # of sound for one value of the pitch: four periods of the lowest
_DOTS = 110  # an inch
_SIDE = 128  # pixels of a shown picture
_COLOURS = {"wave": "#7a8ba8", "pitch": "#c8553d", "positive": "#4c7fb8", "negative": "#c8553d"}
_WHEEL_INCHES = 3.3
_POINTS_AN_INCH = 72


def shown_picture(picture: np.ndarray, side: int = _SIDE) -> bytes:
    """One RGB picture uint8 [H, W, 3], made as high as `side`, as PNG."""
    import cv2

    height, width = picture.shape[:2]
    size = max(1, round(width * side / height)), side
    sized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if height > side else cv2.INTER_CUBIC)
    done, content = cv2.imencode(".png", cv2.cvtColor(sized, cv2.COLOR_RGB2BGR))
    if not done:
        raise DataError("A picture of the clip could not be shown.")
    return bytes(content.tobytes())


def pitch_of(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Fundamental frequency by probabilistic YIN (Mauch and Dixon 2014; librosa).

    Args:
        waveform: float32 [S].
        sample_rate: In Hz.

    Returns:
        Times in seconds and pitch in Hz; NaN where nobody has a voice. Both are empty for sound that is too short.
    """
    import librosa

    frame = 2 ** math.ceil(math.log2(_FRAME_SECONDS * sample_rate))
    if len(waveform) < frame:
        return np.zeros(0), np.zeros(0)
    pitch, _, _ = librosa.pyin(waveform, fmin=PITCH[0], fmax=PITCH[1], sr=sample_rate, frame_length=frame)
    return librosa.times_like(pitch, sr=sample_rate, hop_length=frame // 4), pitch


def sound_picture(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Waveform and pitch over time, on two axes."""
    figure, axes = new_axes("seconds", "sound", (9.0, 2.1))
    low, high = _envelope(waveform)
    seconds = np.linspace(0, len(waveform) / sample_rate, len(low))
    axes.fill_between(seconds, low, high, color=_COLOURS["wave"], linewidth=0)
    axes.set(xlim=(0, len(waveform) / sample_rate), ylim=(-1.02, 1.02), yticks=[-1, 0, 1])
    other = axes.twinx()
    other.plot(*pitch_of(waveform, sample_rate), color=_COLOURS["pitch"], linewidth=2.2)
    other.set(ylim=PITCH, yscale="log", yticks=[75, 150, 300, 600], yticklabels=["75", "150", "300", "600"])
    other.minorticks_off()
    other.set_ylabel("pitch (Hz)", color=_COLOURS["pitch"])
    other.spines["top"].set_visible(False)
    return _png(figure)


def _envelope(waveform: np.ndarray, columns: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest sample of each of at most so many parts."""
    parts = np.array_split(waveform, min(columns, max(1, len(waveform))))
    return np.array([part.min(initial=0) for part in parts]), np.array([part.max(initial=0) for part in parts])


def weights_picture(weights: Mapping[str, np.ndarray]) -> bytes:
    """How much each stream counts, and each of its tokens: one row of bars a stream.

    Args:
        weights: float [N] by stream, as `PreFusion.stream_weights` gives them for one clip.
    """
    figure, _ = new_axes("", "", (9.0, 0.95 * len(weights) + 0.5))
    figure.clear()
    largest = max((float(np.abs(values).max(initial=0)) for values in weights.values()), default=0.0) or 1.0
    rows = figure.subplots(len(weights), 1, squeeze=False)[:, 0]
    for axes, (name, values) in zip(rows, weights.items(), strict=True):
        colours = [_COLOURS["positive" if value >= 0 else "negative"] for value in values]
        axes.bar(np.arange(len(values)), values, width=0.92, color=colours)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set(xlim=(-0.5, max(len(values), 1) - 0.5), ylim=(-1.1 * largest, 1.1 * largest), xticks=[])
        axes.set_ylabel(f"{name}\n{float(values.sum()):+.2f}", rotation=0, ha="right", va="center", parse_math=False)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    rows[-1].set_xlabel("the tokens of each stream, in the order of time")
    return _png(figure)


def wheels_picture(labels: Sequence[str], taxonomy: Taxonomy) -> bytes:
    """All wheels side by side, with the sectors lit that the labels reach in scoring."""
    from matplotlib.figure import Figure

    count = len(taxonomy.wheels)
    figure = Figure(figsize=(_WHEEL_INCHES * count, _WHEEL_INCHES * 1.1), facecolor="white")
    grid = figure.subplots(1, count, squeeze=False)[0]
    for number, (axes, wheel) in enumerate(zip(grid, taxonomy.wheels, strict=True), start=1):
        reached = [taxonomy.deciding_word(label, number) for label in labels]
        lit = [word for word in reached if word is not None]
        radius = _WHEEL_INCHES / 2 * _POINTS_AN_INCH
        draw_wheel(axes, wheel, f"Wheel {number}", lit=lit, radius_points=radius)
    figure.subplots_adjust(left=0.002, right=0.998, bottom=0.01, top=0.9, wspace=0.02)
    return _png(figure)


def sectors_of(labels: Sequence[str], taxonomy: Taxonomy) -> list[tuple[str, list[str]]]:
    """Each label with its sector on each wheel (level 1), `-` where it is on none."""
    wheels = range(1, len(taxonomy.wheels) + 1)
    return [(label, [taxonomy.sector(label, number) or "-" for number in wheels]) for label in labels]


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DOTS)
    return content.getvalue()
