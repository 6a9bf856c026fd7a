"""Confusions for the report's figures: what was predicted where something was true.

Paper: Section 4 maps labels onto the sectors of emotion wheels; this shows which sectors are taken for which on one of
them, and which sentiments. A figure, not a metric. `scoring.py` counts, `confusion_figure.py` draws.

Legend: B clips, S sectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affect_lightning.metrics import Taxonomy
from affect_lightning.metrics.functional import ClipSentiments
from affect_lightning.unibench.scores import Confusion

WHEEL = 1  # the wheel that is shown; our choice: any would do, and five pictures would say little more
NOTHING = "none"  # no label of the response stands on the wheel


def sector_confusion(
    labels: Sequence[Sequence[str]], truths: Sequence[Sequence[str]], taxonomy: Taxonomy, wheel: int = WHEEL
) -> Confusion:
    """Confusion of the sectors of one wheel.

    Args:
        labels: Of B responses.
        truths: True emotion words of the same clips; a clip whose truth stands on no sector is left out.
        taxonomy: With the wheel.
        wheel: Its number, from 1.
    """
    names = taxonomy.sector_names(wheel)
    predicted = _shares(taxonomy.encode(labels)[:, wheel - 1], len(names))
    true = _shares(taxonomy.encode(truths)[:, wheel - 1], len(names))
    none = (predicted.sum(1, keepdims=True) == 0).astype(np.float64)
    counts = true.T @ np.concatenate([predicted, none], axis=1)  # [S, S + 1]
    return Confusion(f"wheel {wheel}", names, (*names, NOTHING), _tuples(counts))


def sentiment_confusion(clips: ClipSentiments) -> Confusion:
    """Confusion of positive against not positive."""
    names = ("not positive", "positive")
    return Confusion("sentiment", names, names, _tuples(clips.terms().sum(0).reshape(2, 2)))


def add_confusions(confusions: Sequence[Confusion]) -> Confusion | None:
    """The sum of confusions with the same names; None if there are none or their names differ."""
    if not confusions or len({(item.truths, item.predictions) for item in confusions}) != 1:
        return None
    first = confusions[0]
    counts = np.sum([item.counts for item in confusions], axis=0)
    return Confusion(first.title, first.truths, first.predictions, _tuples(counts))


def _shares(bits: np.ndarray[Any, np.dtype[np.int64]], sectors: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Equal shares of a clip's sectors, [B, S]; all 0 for a clip that has none."""
    members = ((bits[:, None] >> np.arange(sectors)) & 1).astype(np.float64)
    return members / np.maximum(members.sum(1, keepdims=True), 1)


def _tuples(counts: np.ndarray[Any, Any]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 6) for value in row) for row in counts)
