"""torchmetrics shells of the sentiment metrics: `SentimentWAF` (primary) and `SentimentAccuracy` (companion).

Both keep the confusion counts of `functional.py`, so they share their state inside a `torchmetrics.MetricCollection`,
and any number of processes give the score of one process. Place in the paper: section 4, sentiment sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from affect_lightning.metrics.emotion_metrics import keep_valid
from affect_lightning.metrics.functional import accuracy_from_confusion, clip_sentiments, waf_from_confusion


class _SentimentConfusion(Metric):
    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    confusion: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("confusion", torch.zeros(2, 2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self, predictions: Sequence[str | None], truths: Sequence[float] | Tensor, valid: Tensor | None = None
    ) -> None:
        """Add a batch.

        Args:
            predictions: B sentiments as words; all but `positive` count as not positive.
            truths: B sentiment values; above 0 is positive, exactly 0 does not count.
            valid: False for clips that only fill up a batch and must not count, bool [B].

        Raises:
            DataError: The lengths differ, or a truth is not a number.
        """
        values = truths.flatten().tolist() if isinstance(truths, Tensor) else truths
        counts = clip_sentiments(keep_valid(predictions, valid), keep_valid(values, valid)).sums()
        self.confusion += counts.to(self.confusion.device)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot one or several values; returns matplotlib's figure and axes."""
        return self._plot(val, ax)


class SentimentWAF(_SentimentConfusion):
    """Weighted F1 of positive against negative sentiment (paper, Section 4).

    Examples:
        >>> metric = SentimentWAF()
        >>> metric.update(["positive", "neutral", "negative"], [1.5, -2.0, 0.0])
        >>> metric.compute().item()
        1.0
    """

    def compute(self) -> Tensor:
        """The score, float64 scalar in [0, 1]; NaN when no clip was scored."""
        return torch.tensor(waf_from_confusion(self.confusion), dtype=torch.float64, device=self.confusion.device)


class SentimentAccuracy(_SentimentConfusion):
    """Accuracy of positive against negative sentiment (paper, Section 4).

    Examples:
        >>> metric = SentimentAccuracy()
        >>> metric.update(["positive", "positive"], [1.5, -2.0])
        >>> metric.compute().item()
        0.5
    """

    def compute(self) -> Tensor:
        """The score, float64 scalar in [0, 1]; NaN when no clip was scored."""
        return torch.tensor(accuracy_from_confusion(self.confusion), dtype=torch.float64, device=self.confusion.device)
