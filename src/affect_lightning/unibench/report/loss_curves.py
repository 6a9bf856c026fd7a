"""Loss curves: scalars out of TensorBoard's event files.

`callback.py` reads the curves of the run that made the checkpoint, `figures.py` draws them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

MAX_POINTS = 500  # a curve; our choice: more than the pixels that the figure is wide
_LOSS_TAG = re.compile(r"(^|[/_])loss(_step)?$")


@dataclass(frozen=True)
class Curve:
    """A scalar over training steps.

    Attributes:
        name: Tag in TensorBoard, such as `train/loss`, perhaps with the run's name before it.
        points: Pairs of step and value, by step.
    """

    name: str
    points: tuple[tuple[int, float], ...]

    def thinned(self) -> Curve:
        """The curve with at most MAX_POINTS points, evenly chosen; first and last stay."""
        count = len(self.points)
        if count <= MAX_POINTS:
            return self
        chosen = {round(index * (count - 1) / (MAX_POINTS - 1)) for index in range(MAX_POINTS)}
        return Curve(self.name, tuple(self.points[index] for index in sorted(chosen)))


def read_loss_curves(run: Path | str) -> list[Curve]:
    """Every scalar of a run whose tag ends with `loss`, thinned.

    Args:
        run: Folder with TensorBoard event files.

    Returns:
        Curves sorted by tag; empty when the folder holds no event files or no losses. Values that are no finite numbers
        are left out: a NaN loss stops a run by itself.
    """
    run = Path(run)
    if not run.is_dir() or not any(run.glob("events.out.tfevents.*")):
        return []
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    accumulator = EventAccumulator(str(run), size_guidance={SCALARS: 0})
    accumulator.Reload()
    curves = []
    for tag in sorted(accumulator.Tags()[SCALARS]):
        if _LOSS_TAG.search(tag):
            values = {event.step: event.value for event in accumulator.Scalars(tag) if math.isfinite(event.value)}
            curves.append(Curve(tag, tuple(sorted(values.items()))).thinned())
    return [curve for curve in curves if curve.points]
