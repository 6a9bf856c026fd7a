"""Terms: what each clip adds to the sums that a set's metrics are made of.

Paper: Section 4. Every metric of MER-UniBench is a function of sums over clips, so that the clips' terms are all that
intervals and paired tests need: no second pass over responses. `scoring.py` keeps the terms in the outcomes,
`intervals.py` and `paired_tests.py` draw clips anew and add up. `affect_lightning.metrics.functional` turns one vector
of sums into one score; `metric_values` here does so for thousands of vectors at once, and a test holds the two equal.

Legend: B clips, W wheels, C terms of a clip, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affect_lightning.corpora import Metric
from affect_lightning.errors import DataError
from affect_lightning.metrics.functional import ClipHits, ClipSentiments, ClipSetScores
from affect_lightning.unibench.scores import SetScore

Array = np.ndarray[Any, np.dtype[np.float64]]

_PARTS: dict[Metric, int] = {"hit_rate": 5, "f_s": 3}  # blocks of W columns; see the three functions below
_SENTIMENT_CELLS = 4


def hit_terms(hits: ClipHits, sets: ClipSetScores) -> Array:
    """Terms of a hit-rate set, [B, 5 W]: hits, M-scores, precision, recall and 1 for a scored clip."""
    return _blocks(hits.scored.numpy(), hits.hit, hits.m_score, sets.precision, sets.recall)


def set_terms(sets: ClipSetScores) -> Array:
    """Terms of an F_S set, [B, 3 W]: precision, recall and 1 for a scored clip."""
    return _blocks(sets.scored.numpy(), sets.precision, sets.recall)


def sentiment_terms(clips: ClipSentiments) -> Array:
    """Terms of a WAF set, [B, 4]: the clip's cell of the confusion (2 truth + prediction); all 0 if it does not count."""
    cells = 2 * clips.truth.long() + clips.predicted.long()
    return np.eye(_SENTIMENT_CELLS)[cells.numpy()] * clips.scored.numpy()[:, None]


def _blocks(scored: np.ndarray[Any, Any], *values: Any) -> Array:
    blocks = [np.where(scored, value.numpy(), 0.0) for value in values]
    return np.concatenate([*blocks, scored.astype(np.float64)], axis=1)


def terms_of(score: SetScore) -> Array | None:
    """The terms of a set's clips, [B, C]; None where its outcomes are not at hand.

    Raises:
        DataError: The terms have another form than those of the set's metric.
    """
    if not score.outcomes or not all(outcome.terms for outcome in score.outcomes):
        return None
    widths = {len(outcome.terms) for outcome in score.outcomes}
    width = next(iter(widths))
    fits = width == _SENTIMENT_CELLS if score.metric == "waf" else width % _PARTS[score.metric] == 0
    if len(widths) > 1 or not fits:
        raise DataError(
            f"The clips of {score.key} have {sorted(widths)} terms each, which is not the form of its metric "
            f"{score.metric}. Score the predictions again."
        )
    return np.array([outcome.terms for outcome in score.outcomes], dtype=np.float64)


def metric_values(metric: Metric, sums: Array) -> dict[str, Array]:
    """Scores out of sums of terms.

    Args:
        metric: Of the set.
        sums: Sums over clips, [..., C]; any leading dimensions.

    Returns:
        Fractions [...] by name, the primary score first, under the metric's key; NaN where no clip counted.
    """
    if metric == "waf":
        return _sentiment_values(sums)
    parts = np.split(sums, _PARTS[metric], axis=-1)
    count = parts[-1]
    means = [np.divide(part, count, out=np.full_like(part, np.nan), where=count > 0) for part in parts[:-1]]
    precision, recall = means[-2:]
    both = precision + recall
    f_scores = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    f_scores[np.isnan(both)] = np.nan
    if metric == "f_s":
        return {
            "f_s": _over_wheels(f_scores),
            "Precision_S": _over_wheels(precision),
            "Recall_S": _over_wheels(recall),
        }
    return {
        "hit_rate": _over_wheels(means[0]),
        "M-score": _over_wheels(means[1]),
        "Precision_S": _over_wheels(precision),
        "F_S": _over_wheels(f_scores),
    }


def _over_wheels(values: Array) -> Array:
    """Mean over the wheels that scored a clip, [..., W] to [...]; NaN where none did."""
    used = ~np.isnan(values)
    count = used.sum(-1)
    total = np.where(used, values, 0.0).sum(-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _sentiment_values(sums: Array) -> dict[str, Array]:
    true_negative, false_positive, false_negative, true_positive = np.moveaxis(sums, -1, 0)
    total = sums.sum(-1)
    weighted = np.zeros_like(total)
    for right, support, predicted in (
        (true_negative, true_negative + false_positive, true_negative + false_negative),
        (true_positive, true_positive + false_negative, true_positive + false_positive),
    ):
        weighted += support * 2 * right / np.maximum(support + predicted, 1)
    nothing = np.full(total.shape, np.nan)
    return {
        "waf": np.divide(weighted, total, out=nothing.copy(), where=total > 0),
        "ACC": np.divide(true_negative + true_positive, total, out=nothing, where=total > 0),
    }


def common_names(scores: Sequence[SetScore]) -> list[str]:
    """Names of the clips that all of these scores of one set have, sorted."""
    sets = [{outcome.name for outcome in score.outcomes} for score in scores]
    return sorted(set.intersection(*sets)) if sets else []
