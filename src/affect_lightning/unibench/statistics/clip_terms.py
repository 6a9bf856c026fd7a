"""Terms: what each clip adds to the sums that a set's metrics are made of, and the scores out of the sums.

Paper: Section 4. Every metric of MER-UniBench is a function of sums over clips, so that the clips' terms are all that
intervals and paired tests need: no second pass over responses. `affect_lightning.metrics.functional` makes the terms of
a metric and its figures out of their sums; this module says which figures a set shows: its primary score and the
companions. `set_scoring.py` keeps the terms in the outcomes.

Legend: B clips, W wheels, C terms of a clip.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from affect_lightning.corpora import Metric
from affect_lightning.errors import DataError
from affect_lightning.metrics.functional import (
    BLOCKS,
    SENTIMENT_CELLS,
    Array,
    ClipHits,
    ClipSetScores,
    hit_figures,
    sentiment_figures,
    set_figures,
)
from affect_lightning.unibench.scoring.scores import SetScore

# Blocks of W terms. A hit-rate set has the blocks of both metrics; they share the last one, which counts clips.
_BLOCKS: dict[Metric, int] = {"hit_rate": 2 * BLOCKS - 1, "f_s": BLOCKS}


def hit_terms(hits: ClipHits, sets: ClipSetScores) -> Array:
    """Terms of a hit-rate set, [B, 5 W]: hits, M-scores, precision, recall and 1 for a scored clip."""
    wheels = hits.scored.shape[1]
    return np.concatenate([hits.terms()[:, :-wheels], sets.terms()], axis=1)


def metric_values(metric: Metric, sums: Array) -> dict[str, Array]:
    """Scores out of sums of terms.

    Args:
        metric: Of the set.
        sums: Sums over clips, [..., C]; any leading dimensions.

    Returns:
        Fractions [...] by name, the primary score first, under the metric's key; NaN where no clip counted.
    """
    if metric == "waf":
        sentiments = sentiment_figures(sums)
        return {"waf": sentiments["waf"], "ACC": sentiments["accuracy"]}
    wheels = sums.shape[-1] // _BLOCKS[metric]
    sets = set_figures(sums[..., -BLOCKS * wheels :])
    if metric == "f_s":
        return {"f_s": sets["f"], "Precision_S": sets["precision"], "Recall_S": sets["recall"]}
    hits = hit_figures(np.concatenate([sums[..., : (BLOCKS - 1) * wheels], sums[..., -wheels:]], axis=-1))
    # The hit rate has no penalty for long lists; its companions have.
    return {
        "hit_rate": hits["hit_rate"],
        "M-score": hits["m_score"],
        "Precision_S": sets["precision"],
        "F_S": sets["f"],
    }


def scored_clips(metric: Metric, sums: Array) -> tuple[int, ...]:
    """Clips that counted: by wheel, or for sentiment all together, as the only number. Sums [C]."""
    counts = [sums.sum()] if metric == "waf" else np.split(sums, _BLOCKS[metric])[-1]
    return tuple(int(count) for count in counts)


def terms_of(score: SetScore) -> Array | None:
    """The terms of a set's clips, [B, C]; None where its outcomes are not at hand.

    Raises:
        DataError: The terms have another form than those of the set's metric.
    """
    if not score.outcomes or not all(outcome.terms for outcome in score.outcomes):
        return None
    _check_width(score, {len(outcome.terms) for outcome in score.outcomes})
    return np.array([outcome.terms for outcome in score.outcomes], dtype=np.float64)


def kinds_of(score: SetScore) -> tuple[Array, np.ndarray[Any, np.dtype[np.int64]]] | None:
    """The kinds of clips by their terms, [K, C], in ascending order, and how many clips are of each kind, [K].

    Clips are few kinds even where they are a million. None where the outcomes are not at hand; raises as `terms_of` does.
    """
    counts = Counter(outcome.terms for outcome in score.outcomes)
    if not counts or () in counts:
        return None
    _check_width(score, {len(terms) for terms in counts})
    kinds = sorted(counts)
    return np.array(kinds, dtype=np.float64), np.array([counts[kind] for kind in kinds], dtype=np.int64)


def _check_width(score: SetScore, widths: set[int]) -> None:
    width = next(iter(widths))
    fits = width == SENTIMENT_CELLS if score.metric == "waf" else width % _BLOCKS[score.metric] == 0
    if len(widths) > 1 or not fits:
        raise DataError(
            f"The clips of {score.key} have {sorted(widths)} terms each, which does not fit its metric "
            f"{score.metric}. Score the predictions again."
        )
