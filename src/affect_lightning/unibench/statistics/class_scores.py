"""Scores of a closed set of classes: accuracy, macro and weighted F1 with intervals, and the confusion (ours).

For questions of one's own, such as whether a person hesitates. A response has one class or none; one without a class is
wrong and counted, and no class is blamed for it. All scores are functions of the confusion's counts, so one multinomial draw
of these counts is one bootstrap resample of the clips, as in `intervals.py`. Legend: K classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.metrics.functional import Array
from affect_lightning.unibench.scoring.scores import Confusion
from affect_lightning.unibench.statistics.intervals import (
    FEWEST_CLIPS,
    RESAMPLES,
    SEED,
    generator,
    interval_method,
    percentile_interval,
)

NO_CLASS = "none"
FIGURES = ("accuracy", "macro_f1", "weighted_f1")


@dataclass(frozen=True)
class ClassScores:
    """Scores of the responses to one question, in percent.

    Attributes:
        question: What was asked.
        confusion: Rows are true classes, columns the classes of responses, the last one `none`.
        scores: By the names of FIGURES.
        intervals: Ends of the 95% intervals by the same names; None with fewer than two clips.
        class_f1: F1 of each class; 0 for one that is never true and never said.
        clips: Scored.
        unmapped: Clips whose response has no class.
    """

    question: str
    confusion: Confusion
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float] | None]
    class_f1: dict[str, float]
    clips: int
    unmapped: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, with how the intervals come about."""
        return {**vars(self), "confusion": vars(self.confusion), "interval_method": interval_method()}


def class_scores(
    question: str, truths: Sequence[str], answers: Sequence[str | None], classes: Sequence[str]
) -> ClassScores:
    """Score the classes of responses.

    Args:
        question: What was asked.
        truths: True class of each clip.
        answers: Class of each response; None for none.
        classes: K names.

    Raises:
        DataError: There are no clips, or a truth or answer is none of the classes.
    """
    if not truths:
        raise DataError("There is no clip with a true class to score.")
    place = {name: index for index, name in enumerate(classes)}
    strange = sorted({str(name) for name in (*truths, *answers) if name is not None and name not in place})
    if strange:
        raise DataError(f"The classes are {', '.join(classes)}, but there is also {', '.join(map(repr, strange))}.")
    counts = np.zeros((len(classes), len(classes) + 1))
    for truth, answer in zip(truths, answers, strict=True):
        counts[place[truth], len(classes) if answer is None else place[answer]] += 1
    figures = {name: float(value) for name, value in class_figures(counts).items()}
    return ClassScores(
        question,
        Confusion("classes", tuple(classes), (*classes, NO_CLASS), tuple(map(tuple, counts.tolist()))),
        {name: 100 * figures[name] for name in FIGURES},
        _intervals(counts, question),
        {name: 100 * float(value) for name, value in zip(classes, _class_f1(counts), strict=True)},
        len(truths),
        int(counts[:, -1].sum()),
    )


def class_figures(counts: Array) -> dict[str, Array]:
    """Fractions by name out of confusions [..., K, K + 1]; any leading dimensions."""
    f1, support = _class_f1(counts), counts.sum(-1)
    total = support.sum(-1)
    return {
        "accuracy": _diagonal(counts).sum(-1) / total,
        "macro_f1": f1.mean(-1),
        "weighted_f1": (f1 * support).sum(-1) / total,
    }


def _class_f1(counts: Array) -> Array:
    """F1 of each class, [..., K]: twice the hits by true plus said clips; 0 where there are neither."""
    there = counts.sum(-1) + counts[..., :-1].sum(-2)
    return 2 * _diagonal(counts) / np.maximum(there, 1)


def _diagonal(counts: Array) -> Array:
    return np.asarray(np.diagonal(counts[..., :-1], axis1=-2, axis2=-1))


def _intervals(counts: Array, question: str) -> dict[str, tuple[float, float] | None]:
    clips = int(counts.sum())
    if clips < FEWEST_CLIPS:
        return dict.fromkeys(FIGURES)
    drawn = generator(SEED, question).multinomial(clips, counts.ravel() / clips, size=RESAMPLES)
    values = class_figures(drawn.reshape(RESAMPLES, *counts.shape).astype(np.float64))
    return {name: percentile_interval(100 * values[name]) for name in FIGURES}
