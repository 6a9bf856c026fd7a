"""Pure functions of MER-UniBench's metrics: set F-score, hit rate, and sentiment WAF and accuracy.

Place in the paper: Section 4 and Appendix K; where the text is short (empty sets, neutral clips, averages over wheels),
the authors' released metric decides. Each metric has three parts: the results clip by clip (for intervals and paired
tests), their sums, and the score from the sums. `emotion_metrics.py` and `sentiment_metrics.py` keep the sums in
torchmetrics shells. All scores are fractions in [0, 1].

Legend: B clips, W wheels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from affect_lightning.errors import DataError
from affect_lightning.metrics.label_strings import LabelList
from affect_lightning.metrics.taxonomy import Taxonomy
from affect_lightning.metrics.taxonomy_choice import default_taxonomy

LabelLists = Sequence[LabelList]


def _scored_sums(scored: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums [W] of two values [B, W] over the clips that count, and the number of these clips, float64."""
    return (
        torch.where(scored, first, 0.0).sum(0),
        torch.where(scored, second, 0.0).sum(0),
        scored.sum(0).double(),
    )


@dataclass(frozen=True)
class ClipSetScores:
    """Agreement of predicted and true sectors, clip by clip.

    Attributes:
        precision: Share of the predicted sectors that are true, float64 [B, W]; 0 where nothing is predicted.
        recall: Share of the true sectors that are predicted, float64 [B, W].
        scored: False where the truth maps to nothing and the clip does not count, bool [B, W].
    """

    precision: Tensor
    recall: Tensor
    scored: Tensor

    def sums(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over the scored clips: precision, recall and count, float64 [W] each."""
        return _scored_sums(self.scored, self.precision, self.recall)


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

    hit: Tensor
    m_score: Tensor
    scored: Tensor

    def sums(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over the scored clips: hits, M-scores and count, float64 [W] each."""
        return _scored_sums(self.scored, self.hit, self.m_score)


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

    truth: Tensor
    predicted: Tensor
    scored: Tensor

    def sums(self) -> Tensor:
        """Confusion counts over the scored clips, float64 [2, 2]: row truth, column prediction, 0 is not positive."""
        cells = 2 * self.truth[self.scored].long() + self.predicted[self.scored].long()
        return torch.bincount(cells, minlength=4).reshape(2, 2).double()


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
        precision=torch.from_numpy(common / np.maximum(predicted_count, 1)),
        recall=torch.from_numpy(common / np.maximum(true_count, 1)),
        scored=torch.from_numpy(true_count > 0),
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
    return set_f_score_from_sums(*clip_set_scores(predictions, truths, taxonomy, level).sums())


def set_f_score_from_sums(precision: Tensor, recall: Tensor, count: Tensor) -> SetFScore:
    """F_S from the sums over clips, float64 [W] each; NaN when no clip was scored on any wheel.

    A wheel without scored clips is left out of the means over wheels (our choice: the official metric divides by 0).
    """
    used = count > 0
    mean_precision, mean_recall = precision[used] / count[used], recall[used] / count[used]
    f_scores = 2 * mean_precision * mean_recall / (mean_precision + mean_recall).clamp(min=1e-300)
    return SetFScore(
        f=_mean(f_scores), precision=_mean(mean_precision), recall=_mean(mean_recall), scored_clips=_counts(count)
    )


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
    return ClipHits(
        hit=torch.from_numpy(hit),
        m_score=torch.from_numpy(hit / np.maximum(competing, 1)),
        scored=torch.from_numpy(true != 0),
    )


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
    return hit_rate_from_sums(*clip_hits(predictions, truths, taxonomy, candidates, level).sums())


def hit_rate_from_sums(hits: Tensor, m_scores: Tensor, count: Tensor) -> HitRate:
    """Hit rate from the sums over clips, float64 [W] each; NaN when no clip was scored on any wheel.

    A wheel without scored clips is left out of the means over wheels (our choice: the official metric divides by 0).
    """
    used = count > 0
    return HitRate(
        hit_rate=_mean(hits[used] / count[used]),
        m_score=_mean(m_scores[used] / count[used]),
        scored_clips=_counts(count),
    )


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
    if not isinstance(truths, Tensor):
        truths = [math.nan if truth is None else truth for truth in truths]
    values = torch.as_tensor(truths, dtype=torch.float64, device="cpu").flatten()
    if len(predictions) != len(values):
        raise DataError(f"Got {len(predictions)} predicted sentiments for {len(values)} true values; expected equal.")
    wrong = torch.isnan(values).nonzero().flatten().tolist()
    if wrong:
        raise DataError(f"The true sentiment of clip {wrong[0]} is not a number (NaN); expected a value such as -1.5.")
    predicted = [str(prediction).strip().lower() == "positive" for prediction in predictions]
    return ClipSentiments(truth=values > 0, predicted=torch.tensor(predicted, dtype=torch.bool), scored=values != 0)


def sentiment_waf(predictions: Sequence[str | None], truths: Sequence[float] | Tensor) -> float:
    """Weighted F1 of positive against negative; see `clip_sentiments` for arguments and errors."""
    return waf_from_confusion(clip_sentiments(predictions, truths).sums())


def sentiment_accuracy(predictions: Sequence[str | None], truths: Sequence[float] | Tensor) -> float:
    """Accuracy of positive against negative; see `clip_sentiments` for arguments and errors."""
    return accuracy_from_confusion(clip_sentiments(predictions, truths).sums())


def waf_from_confusion(confusion: Tensor) -> float:
    """F1 of each class weighted by the class's share of the truth; NaN for an empty matrix.

    Args:
        confusion: Counts, float64 [2, 2]: row truth, column prediction.
    """
    support, predicted, right = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    f_scores = 2 * right / (support + predicted).clamp(min=1)
    return float((f_scores * support).sum() / support.sum())


def accuracy_from_confusion(confusion: Tensor) -> float:
    """Share of the diagonal; NaN for an empty matrix. See `waf_from_confusion` for the argument."""
    return float(confusion.diagonal().sum() / confusion.sum())


def _encode_both(
    predictions: LabelLists, truths: LabelLists, taxonomy: Taxonomy, level: int
) -> tuple[np.ndarray, np.ndarray]:
    if len(predictions) != len(truths):
        raise DataError(f"Got {len(predictions)} predictions for {len(truths)} truths; expected one a clip.")
    return taxonomy.encode(predictions, level), taxonomy.encode(truths, level)


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else math.nan


def _counts(count: Tensor) -> tuple[int, ...]:
    return tuple(int(number) for number in count.tolist())
