"""torchmetrics shells of the metrics: `EmotionWheelFScore`, `EmotionHitRate`, `SentimentWAF` and `SentimentAccuracy`.

Place in the paper: section 4. Each keeps the sums of the clips' terms (`functional.py`) and nothing else, so any number
of processes, each with any number of clips, gives the score of one process. Each gives one scalar. Inside a
`torchmetrics.MetricCollection`, metrics that differ in `statistic` only share their sums.

Legend: B clips, W wheels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics.functional import (
    BLOCKS,
    SENTIMENT_CELLS,
    Array,
    clip_hits,
    clip_sentiments,
    clip_set_scores,
    hit_figures,
    sentiment_figures,
    set_figures,
)
from affect_lightning.metrics.taxonomy import Taxonomy, check_level
from affect_lightning.metrics.taxonomy_choice import default_taxonomy

SetStatistic = Literal["f", "precision", "recall"]
HitStatistic = Literal["hit_rate", "m_score"]


class _SumsOfTerms(Metric):
    """Sums over clips in one state, and one figure out of them.

    The state's name says what was summed. A MetricCollection shares states that have the same names and the same
    values after the first batch; without the name, two taxonomies that agree on one batch would share for ever.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    statistic: str
    _terms: Callable[[list[Any], list[Any]], Array]
    _figures: Callable[[Array], dict[str, Array]]

    def _start(self, what: str, terms: int, *settings: object) -> None:
        self._state = f"{what}_{sha256(repr(settings).encode()).hexdigest()[:8]}"
        self.add_state(self._state, torch.zeros(terms, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Any], truths: Sequence[Any] | Tensor, valid: Tensor | None = None) -> None:
        """Add a batch of B clips.

        Args:
            predictions: Of each clip, as the class says.
            truths: Of each clip, as the class says.
            valid: False for clips that only fill up a batch and must not count, bool [B].

        Raises:
            DataError: The lengths differ, or a true sentiment is not a number.
        """
        values = truths.flatten().tolist() if isinstance(truths, Tensor) else truths
        sums = getattr(self, self._state)
        sums += torch.from_numpy(self._terms(_keep_valid(predictions, valid), _keep_valid(values, valid)).sum(0)).to(
            sums
        )

    def compute(self) -> Tensor:
        """The chosen statistic, float64 scalar in [0, 1]; NaN when no clip was scored."""
        sums = getattr(self, self._state)
        value = float(self._figures(sums.cpu().numpy())[self.statistic])
        return torch.tensor(value, dtype=torch.float64, device=sums.device)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot one or several values; returns matplotlib's figure and axes."""
        return self._plot(val, ax)


class EmotionWheelFScore(_SumsOfTerms):
    """F_S, Precision_S or Recall_S of open-vocabulary labels (paper, section 4).

    Predictions and truths are label lists, each a sequence of words or a text.

    Args:
        taxonomy: By default that of `default_taxonomy`.
        level: 1 for the inner ring, which the paper's figures use; 2 for the middle ring.
        statistic: `f`, `precision` or `recall`.
        options: Of `torchmetrics.Metric`.

    Raises:
        ConfigurationError: `level` or `statistic` is unknown.

    Examples:
        >>> metric = EmotionWheelFScore(statistic="precision")
        >>> metric.update([["happy", "angry"]], [["joyful"]])
        >>> metric.compute().item()
        0.5
    """

    _figures = staticmethod(set_figures)

    def __init__(
        self, taxonomy: Taxonomy | None = None, level: int = 1, statistic: SetStatistic = "f", **options: Any
    ) -> None:
        super().__init__(**options)
        check_level(level)
        _check_statistic(statistic, ("f", "precision", "recall"))
        self.taxonomy, self.level, self.statistic = taxonomy or default_taxonomy(), level, statistic
        self._start("set_sums", BLOCKS * len(self.taxonomy.wheels), self.taxonomy.sha256, level)

    def _terms(self, predictions: list[Any], truths: list[Any]) -> Array:
        return clip_set_scores(predictions, truths, self.taxonomy, self.level).terms()


class EmotionHitRate(_SumsOfTerms):
    """Hit rate of the one true emotion among the predicted labels, or its companion M-score (paper, section 4).

    Predictions are label lists, each a sequence of words or a text; truths one word each (or a list of which any counts).

    Args:
        taxonomy: By default that of `default_taxonomy`.
        statistic: `hit_rate` or `m_score`.
        candidates: Emotions among which the data set's truth is chosen; needed for the M-score.
        level: 1 for the inner ring, which the paper's figures use; 2 for the middle ring.
        options: Of `torchmetrics.Metric`.

    Raises:
        ConfigurationError: `level` or `statistic` is unknown, or the M-score is asked for without candidates.

    Examples:
        >>> metric = EmotionHitRate()
        >>> metric.update([["happy", "angry"], ["sad"]], ["joy", "anger"])
        >>> metric.compute().item()
        0.5
    """

    _figures = staticmethod(hit_figures)

    def __init__(
        self,
        taxonomy: Taxonomy | None = None,
        statistic: HitStatistic = "hit_rate",
        candidates: Sequence[str] | None = None,
        level: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_level(level)
        _check_statistic(statistic, ("hit_rate", "m_score"))
        if statistic == "m_score" and candidates is None:
            raise ConfigurationError(
                "The M-score needs `candidates`, the emotions of the data set such as ['happy', 'sad']: batches and "
                "processes see different emotions, and all must count the same ones."
            )
        self.taxonomy, self.level, self.statistic = taxonomy or default_taxonomy(), level, statistic
        self.candidates = None if candidates is None else tuple(candidates)
        size = BLOCKS * len(self.taxonomy.wheels)
        self._start("hit_sums", size, self.taxonomy.sha256, level, self.candidates)

    def _terms(self, predictions: list[Any], truths: list[Any]) -> Array:
        # Without candidates no M-score is asked for, and none may depend on the emotions of a batch.
        return clip_hits(predictions, truths, self.taxonomy, self.candidates or (), self.level).terms()


class SentimentWAF(_SumsOfTerms):
    """Weighted F1 of positive against negative sentiment, the primary score (paper, Section 4).

    Predictions are words, of which all but `positive` count as not positive; truths are values: above 0 is positive,
    exactly 0 does not count.

    Examples:
        >>> metric = SentimentWAF()
        >>> metric.update(["positive", "neutral", "negative"], [1.5, -2.0, 0.0])
        >>> metric.compute().item()
        1.0
    """

    statistic = "waf"
    _figures = staticmethod(sentiment_figures)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._start("confusion", SENTIMENT_CELLS)

    def _terms(self, predictions: list[Any], truths: list[Any]) -> Array:
        return clip_sentiments(predictions, truths).terms()


class SentimentAccuracy(SentimentWAF):
    """Accuracy of positive against negative sentiment, the companion; data as for `SentimentWAF`.

    Examples:
        >>> metric = SentimentAccuracy()
        >>> metric.update(["positive", "positive"], [1.5, -2.0])
        >>> metric.compute().item()
        0.5
    """

    statistic = "accuracy"


def _keep_valid(items: Sequence[Any], valid: Tensor | None) -> list[Any]:
    """Items of the clips that count: all of them without a mask."""
    if valid is None:
        return list(items)
    flags = valid.flatten().tolist()
    if len(flags) != len(items):
        raise DataError(f"Got {len(items)} items with a `valid` mask for {len(flags)} clips; expected equal numbers.")
    return [item for item, flag in zip(items, flags, strict=True) if flag]


def _check_statistic(statistic: str, known: tuple[str, ...]) -> None:
    if statistic not in known:
        raise ConfigurationError(f"Unknown statistic {statistic!r}; choose one of {', '.join(known)}.")
