"""Bootstrap intervals of every score: percentile intervals over clips, and of the mean over sets.

Paper: none; Table 2 gives single figures. The clips of a set are drawn again with replacement, 10,000 times, and the
metric is computed from the sums of their terms (`clip_terms.py`). The mean draws again within each set by itself. Two
clips with the same terms are interchangeable, so that the number of times each kind of clip is drawn is multinomial:
one draw of those numbers and one matrix product make all resamples. `paired_tests.py` draws the same way.

Legend: B clips, K kinds of clips, C terms of a clip, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.errors import ConfigurationError
from affect_lightning.metrics.functional import Array
from affect_lightning.unibench.scoring.scores import SetScore, SuiteScores
from affect_lightning.unibench.statistics.clip_terms import kinds_of, metric_values

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
