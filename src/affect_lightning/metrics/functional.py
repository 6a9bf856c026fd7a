"""Pure functions of MER-UniBench's metrics: set F-score, hit rate, and sentiment WAF and accuracy.

Place in the paper: Section 4 and Appendix K; where the text is short (empty sets, neutral clips, averages over wheels),
the authors' released metric decides. This is the only implementation, in three steps: the terms of each clip
(`clip_set_scores`, `clip_hits`, `clip_sentiments`), their sums, and the figures out of the sums (`set_figures`,
`hit_figures`, `sentiment_figures`). `metric_classes.py` keeps the sums in torchmetrics shells; unibench's intervals and
paired tests resample the clips' terms, thousands of sums at once. All scores are fractions in [0, 1].

Legend: B clips, W wheels, C terms of a clip; `...` any leading dimensions, such as resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.label_strings import LabelList
from affect_lightning.metrics.taxonomy import Taxonomy
from affect_lightning.metrics.taxonomy_choice import default_taxonomy

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
LabelLists = Sequence[LabelList]
BLOCKS = 3  # blocks of W terms of the metrics on wheels: two values, and 1 for a scored clip
SENTIMENT_CELLS = 4  # cells of the confusion: 2 truth + prediction


@dataclass(frozen=True)
class ClipSetScores:
    """Agreement of predicted and true sectors, clip by clip.

    Attributes:
        precision: Share of the predicted sectors that are true, float64 [B, W]; 0 where nothing is predicted.
        recall: Share of the true sectors that are predicted, float64 [B, W].
        scored: False where the truth maps to nothing and the clip does not count, bool [B, W].
    """

    precision: Array
    recall: Array
    scored: Flags

    def terms(self) -> Array:
        """What each clip adds to the sums, [B, 3 W]: precision, recall and 1 for a scored clip."""
        return _wheel_terms(self.scored, self.precision, self.recall)


@dataclass(frozen=True)
class SetFScore:
    """F_S, Precision_S and Recall_S (paper, section 4), each a mean over the wheels.

    Attributes:
        f: Mean over the wheels of the F-score of each wheel's mean precision and mean recall.
        precision: Precision_S.
        recall: Recall_S.
        scored_clips: Clips that counted, wheel by wheel.
    """

    f: float
    precision: float
    recall: float
    scored_clips: tuple[int, ...]


@dataclass(frozen=True)
class ClipHits:
    """Whether the true emotion is among the predicted ones, clip by clip.

    Attributes:
        hit: 1 for a hit, 0 for a miss, float64 [B, W].
        m_score: The hit divided by the number of predicted sectors that are candidate sectors of the data set,
            float64 [B, W]; 0 for a miss.
        scored: False where the truth maps to nothing and the clip does not count, bool [B, W].
    """

    hit: Array
    m_score: Array
    scored: Flags

    def terms(self) -> Array:
        """What each clip adds to the sums, [B, 3 W]: hit, M-score and 1 for a scored clip."""
        return _wheel_terms(self.scored, self.hit, self.m_score)


@dataclass(frozen=True)
class HitRate:
    """Hit rate and its companion, each a mean over the wheels.

    Attributes:
        hit_rate: Share of hits; long label lists are not penalised.
        m_score: The companion that penalises them; equal to the hit rate when one sector is predicted for each clip.
        scored_clips: Clips that counted, wheel by wheel.
    """

    hit_rate: float
    m_score: float
    scored_clips: tuple[int, ...]


@dataclass(frozen=True)
class ClipSentiments:
    """The binary sentiment problem, clip by clip.

    Attributes:
        truth: Whether the true sentiment is above 0, bool [B].
        predicted: Whether the predicted sentiment is positive, bool [B].
        scored: False where the true sentiment is exactly 0 and the clip does not count, bool [B].
    """

    truth: Flags
    predicted: Flags
    scored: Flags

    def terms(self) -> Array:
        """What each clip adds to the confusion, [B, 4]: 1 in its cell 2 truth + prediction; all 0 if it does not count."""
        cells = 2 * self.truth.astype(np.int64) + self.predicted
        return np.eye(SENTIMENT_CELLS)[cells] * self.scored[:, None]


def clip_set_scores(
    predictions: LabelLists, truths: LabelLists, taxonomy: Taxonomy | None = None, level: int = 1
) -> ClipSetScores:
    """Precision and recall of each clip's sectors on each wheel.

    Args:
        predictions: B label lists, each a sequence of words or a text (see `parse_labels`).
        truths: B label lists.
        taxonomy: By default that of `default_taxonomy`.
        level: 1 for the inner ring (the paper's figures), 2 for the middle ring.

    Returns:
        Results for the B clips and the taxonomy's W wheels.

    Raises:
        DataError: The numbers of predictions and truths differ.
        ConfigurationError: `level` is neither 1 nor 2.
    """
    predicted, true = _encode_both(predictions, truths, taxonomy or default_taxonomy(), level)
    common = np.bitwise_count(predicted & true).astype(np.float64)
    predicted_count, true_count = np.bitwise_count(predicted), np.bitwise_count(true)
    return ClipSetScores(
        precision=common / np.maximum(predicted_count, 1),
        recall=common / np.maximum(true_count, 1),
        scored=true_count > 0,
    )


def set_f_score(
    predictions: LabelLists, truths: LabelLists, taxonomy: Taxonomy | None = None, level: int = 1
) -> SetFScore:
    """F_S with its precision and recall; see `clip_set_scores` for arguments and errors.

    Examples:
        >>> score = set_f_score([["happy", "angry"]], [["joyful"]])
        >>> score.precision, score.recall
        (0.5, 1.0)
    """
    sums = clip_set_scores(predictions, truths, taxonomy, level).terms().sum(0)
    return SetFScore(**_floats(set_figures(sums)), scored_clips=_counts(sums))


def set_figures(sums: Array) -> dict[str, Array]:
    """F_S, Precision_S and Recall_S out of sums of `ClipSetScores.terms`.

    A wheel without scored clips is left out of the means over wheels (our choice: the official metric divides by 0).

    Args:
        sums: [..., 3 W].

    Returns:
        `f`, `precision` and `recall`, fractions [...]; NaN where no clip was scored on any wheel.
    """
    precision, recall = _wheel_means(sums)
    both = precision + recall
    f_scores = np.divide(2 * precision * recall, both, out=0 * both, where=both > 0)
    return {"f": _over_wheels(f_scores), "precision": _over_wheels(precision), "recall": _over_wheels(recall)}


def clip_hits(
    predictions: LabelLists,
    truths: LabelLists,
    taxonomy: Taxonomy | None = None,
    candidates: Iterable[str] | None = None,
    level: int = 1,
) -> ClipHits:
    """Hits of each clip on each wheel.

    Args:
        predictions: B label lists, each a sequence of words or a text (see `parse_labels`).
        truths: B true emotions: one word each, or a list of which any word counts.
        taxonomy: By default that of `default_taxonomy`.
        candidates: Emotions among which the data set's truth is chosen, for the M-score; by default every true
            emotion that occurs in `truths`.
        level: 1 for the inner ring (the paper's figures), 2 for the middle ring.

    Returns:
        Results for the B clips and the taxonomy's W wheels.

    Raises:
        DataError: The numbers of predictions and truths differ.
        ConfigurationError: `level` is neither 1 nor 2.
    """
    taxonomy = taxonomy or default_taxonomy()
    predicted, true = _encode_both(predictions, truths, taxonomy, level)
    if candidates is None:
        allowed = np.bitwise_or.reduce(true, axis=0, keepdims=True)
    else:
        allowed = taxonomy.encode([list(candidates)], level)
    hit = ((predicted & true) != 0).astype(np.float64)
    competing = np.bitwise_count(predicted & (allowed | true))
    return ClipHits(hit=hit, m_score=hit / np.maximum(competing, 1), scored=true != 0)


def hit_rate(
    predictions: LabelLists,
    truths: LabelLists,
    taxonomy: Taxonomy | None = None,
    candidates: Iterable[str] | None = None,
    level: int = 1,
) -> HitRate:
    """Hit rate and M-score; see `clip_hits` for arguments and errors.

    Examples:
        >>> result = hit_rate([["happy", "angry"], ["sad"]], ["joy", "anger"])
        >>> result.hit_rate, result.m_score
        (0.5, 0.25)
    """
    sums = clip_hits(predictions, truths, taxonomy, candidates, level).terms().sum(0)
    return HitRate(**_floats(hit_figures(sums)), scored_clips=_counts(sums))


def hit_figures(sums: Array) -> dict[str, Array]:
    """Hit rate and M-score out of sums of `ClipHits.terms`; wheels without scored clips as in `set_figures`.

    Args:
        sums: [..., 3 W].

    Returns:
        `hit_rate` and `m_score`, fractions [...]; NaN where no clip was scored on any wheel.
    """
    hits, m_scores = _wheel_means(sums)
    return {"hit_rate": _over_wheels(hits), "m_score": _over_wheels(m_scores)}


def clip_sentiments(predictions: Sequence[str | None], truths: Sequence[float] | Tensor) -> ClipSentiments:
    """The binary sentiment problem of each clip.

    Args:
        predictions: B sentiments as words; all but `positive` (in any case) count as not positive.
        truths: B sentiment values; above 0 is positive, exactly 0 does not count.

    Returns:
        Results for the B clips.

    Raises:
        DataError: The numbers of predictions and truths differ, or a truth is not a number.
    """
    values = np.asarray(truths.tolist() if hasattr(truths, "tolist") else truths, dtype=np.float64).ravel()
    if len(predictions) != len(values):
        raise DataError(f"Got {len(predictions)} predicted sentiments for {len(values)} true values; expected equal.")
    wrong = np.isnan(values).nonzero()[0]
    if len(wrong):
        raise DataError(f"The true sentiment of clip {wrong[0]} is not a number (NaN); expected a value such as -1.5.")
    predicted = [str(prediction).strip().lower() == "positive" for prediction in predictions]
    return ClipSentiments(truth=values > 0, predicted=np.array(predicted, dtype=np.bool_), scored=values != 0)


def sentiment_waf(predictions: Sequence[str | None], truths: Sequence[float] | Tensor) -> float:
    """Weighted F1 of positive against negative; see `clip_sentiments` for arguments and errors."""
    return float(sentiment_figures(clip_sentiments(predictions, truths).terms().sum(0))["waf"])


def sentiment_accuracy(predictions: Sequence[str | None], truths: Sequence[float] | Tensor) -> float:
    """Accuracy of positive against negative; see `clip_sentiments` for arguments and errors."""
    return float(sentiment_figures(clip_sentiments(predictions, truths).terms().sum(0))["accuracy"])


def sentiment_figures(sums: Array) -> dict[str, Array]:
    """F1 of each class weighted by the class's share of the truth, and the accuracy.

    Args:
        sums: Of `ClipSentiments.terms`, [..., 4].

    Returns:
        `waf` and `accuracy`, fractions [...]; NaN where no clip counted.
    """
    confusion = np.moveaxis(sums, -1, 0).reshape(2, 2, *sums.shape[:-1])  # truth, prediction; 0 is not positive
    support, named, right = confusion.sum(1), confusion.sum(0), confusion[[0, 1], [0, 1]]
    weighted = (support * 2 * right / np.maximum(support + named, 1)).sum(0)
    total = support.sum(0)
    return {"waf": _share(weighted, total), "accuracy": _share(right.sum(0), total)}


def _encode_both(
    predictions: LabelLists, truths: LabelLists, taxonomy: Taxonomy, level: int
) -> tuple[np.ndarray, np.ndarray]:
    if len(predictions) != len(truths):
        raise DataError(f"Got {len(predictions)} predictions for {len(truths)} truths; expected one a clip.")
    return taxonomy.encode(predictions, level), taxonomy.encode(truths, level)


def _wheel_terms(scored: Flags, first: Array, second: Array) -> Array:
    """Two values [B, W] side by side, 0 for clips that do not count, and 1 for those that do."""
    return np.concatenate([np.where(scored, first, 0.0), np.where(scored, second, 0.0), scored], axis=1)


def _wheel_means(sums: Array) -> list[Array]:
    """Means over the scored clips of each wheel, [..., W] for all blocks but the last, which counts them."""
    *values, count = np.split(sums, BLOCKS, axis=-1)
    return [_share(value, count) for value in values]


def _share(part: Array, whole: Array) -> Array:
    """One by the other; NaN where the other is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _over_wheels(values: Array) -> Array:
    """Mean over the wheels that scored a clip, [..., W] to [...]; NaN where none did."""
    used = ~np.isnan(values)
    return _share(np.where(used, values, 0.0).sum(-1), used.sum(-1))


def _floats(figures: dict[str, Array]) -> dict[str, float]:
    """Plain numbers; one NaN object for all, so that two results without scored clips compare equal."""
    return {name: math.nan if np.isnan(value) else float(value) for name, value in figures.items()}


def _counts(sums: Array) -> tuple[int, ...]:
    return tuple(int(number) for number in np.split(sums, BLOCKS)[-1])
