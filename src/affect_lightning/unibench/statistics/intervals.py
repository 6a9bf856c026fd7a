"""What each clip adds to the sums behind a set's scores, the scores from the sums, and bootstrap intervals of every score.

Paper: Section 4 for the scores; Table 2 gives single figures, so the intervals are ours. Every metric of MER-UniBench is a
function of sums over clips, so the clips' terms are all that intervals and paired tests need: no second pass over the
responses. `affect_lightning.metrics.functional` makes a metric's terms and its figures from their sums. This module says
which figures a set shows: its primary score and the companions. `set_scoring.py` keeps the terms in the outcomes.
The clips of a set are drawn again with replacement, 10,000 times. The mean draws again within each set by itself. Two clips
with the same terms are interchangeable, so the number of times each kind of clip is drawn is multinomial: one draw of
those numbers and one matrix product make all resamples. `paired_tests.py` draws in the same way.
Legend: B clips, W wheels, K kinds of clips, C terms of a clip, R resamples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from affect_lightning.corpora import MER_UNIBENCH, Metric
from affect_lightning.errors import ConfigurationError, DataError
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
from affect_lightning.unibench.scoring.scores import SetScore, SuiteScores

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


def clips_that_count(metric: Metric, terms: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which clips counted on any wheel, [B]; terms [B, C]."""
    counts = terms if metric == "waf" else np.split(terms, _BLOCKS[metric], axis=1)[-1]
    return np.asarray(counts.any(axis=1))


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


RESAMPLES = 10_000  # our choice: the ends of an interval then move by about 0.03 standard errors between seeds
LEVEL = 0.95  # our choice, the usual one
SEED = 0  # our choice: the same clips give the same interval, whatever the seed of the training
FEWEST_CLIPS = 2  # one clip says nothing about the spread
_CELLS = 4_000_000  # numbers held at once by one draw (32 MB); our choice


def interval_method(resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, object]:
    """How the intervals come about, as plain values for the provenance."""
    return {"method": "percentile bootstrap over clips", "level": LEVEL, "resamples": resamples, "seed": seed}


def with_intervals(scores: SuiteScores, *, resamples: int = RESAMPLES, seed: int = SEED) -> SuiteScores:
    """The same scores with the intervals of every score, companion and of the mean.

    Args:
        scores: With outcomes; a set without them gets no interval, and then the mean gets none either.
        resamples: Number of times that the clips are drawn again.
        seed: Of the draws; each set draws for itself, so that its interval does not depend on the others.

    Raises:
        ConfigurationError: `resamples` is below 1.
    """
    if resamples < 1:
        raise ConfigurationError(f"A bootstrap needs at least 1 resample; got {resamples}.")
    sets: dict[str, SetScore] = {}
    replicates: list[Array | None] = []
    for key, score in scores.sets.items():
        values = set_replicates(score, resamples, seed)
        sets[key] = score if values is None else _with_interval(score, values)
        if key in MER_UNIBENCH.sets and score.score is not None:
            replicates.append(None if values is None else values[score.metric])
    known = [values for values in replicates if values is not None]
    mean = _interval_of(np.mean(known, axis=0)) if known and len(known) == len(replicates) else None
    return replace(scores, sets=sets, mean_interval=mean)


def set_replicates(score: SetScore, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, Array] | None:
    """The scores of each resample of a set's clips, fractions [R] by metric; None without outcomes or with one clip."""
    kinds = kinds_of(score)
    if kinds is None or score.score is None or score.clips - score.skipped_clips < FEWEST_CLIPS:
        return None
    sums = _resampled_kinds(*kinds, resamples, generator(seed, score.key))
    return metric_values(score.metric, sums)


def generator(seed: int, key: str) -> np.random.Generator:
    """The random numbers of one set."""
    return np.random.default_rng([seed, *key.encode("utf-8")])


def resampled_sums(terms: Array, resamples: int, random: np.random.Generator) -> Array:
    """Sums of the terms of clips drawn with replacement.

    Args:
        terms: [B, C].
        resamples: R.
        random: Source of the draws.

    Returns:
        Sums over B drawn clips, [R, C].
    """
    kinds, counts = np.unique(terms, axis=0, return_counts=True)  # [K, C], [K]
    return _resampled_kinds(kinds, counts, resamples, random)


def _resampled_kinds(
    kinds: Array, counts: np.ndarray[Any, np.dtype[np.int64]], resamples: int, random: np.random.Generator
) -> Array:
    """The same out of the kinds of clips, [K, C], and how many are of each kind, [K]."""
    shares = counts / counts.sum()
    step = max(1, _CELLS // len(kinds))
    parts = [
        random.multinomial(int(counts.sum()), shares, size=min(step, resamples - start)).astype(np.float64) @ kinds
        for start in range(0, resamples, step)
    ]
    return np.concatenate(parts)


def percentile_interval(values: Array) -> tuple[float, float] | None:
    """The central 95% of the values; None where none is a number. Values that are no numbers are left out."""
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _interval_of(fractions: Array) -> tuple[float, float] | None:
    return percentile_interval(100.0 * fractions)


def _with_interval(score: SetScore, replicates: Mapping[str, Array]) -> SetScore:
    known = {
        name: _interval_of(replicates[name])
        for name, value in score.secondary.items()
        if name in replicates and value is not None and math.isfinite(value)
    }
    return replace(score, interval=_interval_of(replicates[score.metric]), secondary_intervals=known)
