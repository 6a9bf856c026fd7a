"""Figures of a row: the mean over its seeds, and an interval over seeds and clips.

Paper: single figures; the intervals are ours. All seeds of a row answered the same clips, so one draw of the clips serves
every seed (a crossed design). The seeds are drawn too. A bootstrap of S seeds makes their spread too small by the factor
(S - 1) / S, which is a third for three seeds, so their part of each draw is stretched by the root of S / (S - 1).

Legend: B clips, C terms of a clip, K kinds of clips, R resamples, S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.metrics.functional import Array
from affect_lightning.unibench.paper_tables.catalogue import sets_of
from affect_lightning.unibench.scoring.scores import SetScore, SuiteScores
from affect_lightning.unibench.statistics.intervals import (
    FEWEST_CLIPS,
    RESAMPLES,
    SEED,
    generator,
    metric_values,
    percentile_interval,
    resampled_sums,
    terms_of,
)

_SEEDS_KEY = "seeds"


@dataclass(frozen=True)
class SeedMean:
    """A figure over seeds.

    Attributes:
        value: Mean, percent; None where a set is missing or none of its clips counted.
        interval: 95%, percent; None where the outcomes of the clips are not at hand.
        by_seed: Of each seed, percent.
    """

    value: float | None
    interval: tuple[float, float] | None
    by_seed: tuple[float, ...] = ()


def seed_mean(
    seeds: Sequence[SuiteScores], figure: str, *, resamples: int = RESAMPLES, random_seed: int = SEED
) -> SeedMean:
    """A figure of a row.

    Args:
        seeds: Scores of each seed, with outcomes.
        figure: `mean`, another group of sets (see `catalogue.GROUPS`), or a set.
        resamples: Number of draws.
        random_seed: Of the draws.

    Raises:
        DataError: The seeds did not answer the same clips.
    """
    keys = sets_of(figure)
    values = [[scores.sets[key].score if key in scores.sets else None for key in keys] for scores in seeds]
    if not seeds or any(value is None for row in values for value in row):
        return SeedMean(None, None)
    by_seed = tuple(float(np.mean(row)) for row in values)  # type: ignore[arg-type]
    drawn = [_set_draws([scores.sets[key] for scores in seeds], resamples, random_seed) for key in keys]
    known = [values for values in drawn if values is not None]
    interval = None
    if len(known) == len(keys):
        interval = percentile_interval(100.0 * _over_seeds(np.mean(known, axis=0), random_seed))
    return SeedMean(float(np.mean(by_seed)), interval, by_seed)


def _set_draws(scores: Sequence[SetScore], resamples: int, random_seed: int) -> Array | None:
    """Fractions [R, S] of one set, the clips drawn alike for all seeds; None without outcomes."""
    names = [[outcome.name for outcome in score.outcomes] for score in scores]
    if any(sorted(other) != sorted(names[0]) for other in names[1:]):
        raise DataError(
            f"Test all seeds on the same clips of {scores[0].key}: they answered {', '.join(str(len(one)) for one in names)}."
        )
    terms = [terms_of(score) for score in scores]
    if any(one is None for one in terms) or len(names[0]) < FEWEST_CLIPS:
        return None
    first = {name: place for place, name in enumerate(names[0])}
    in_order = [
        one[np.argsort([first[name] for name in order])]  # type: ignore[index]
        for one, order in zip(terms, names, strict=True)
    ]
    sums = resampled_sums(np.concatenate(in_order, axis=1), resamples, generator(random_seed, scores[0].key))
    parts = np.split(sums, len(scores), axis=1)
    return np.stack([metric_values(scores[0].metric, part)[scores[0].metric] for part in parts], axis=1)


def _over_seeds(draws: Array, random_seed: int) -> Array:
    """The mean over seeds of each draw [R], with the seeds drawn again; of fractions [R, S]."""
    count = draws.shape[1]
    means = draws.mean(axis=1)
    if count < 2:
        return means
    shares = generator(random_seed, _SEEDS_KEY).multinomial(count, [1 / count] * count, size=len(draws)) / count
    stretched = means + sqrt(count / (count - 1)) * ((shares - 1 / count) * draws).sum(axis=1)
    return stretched.clip(0.0, 1.0)  # a stretched draw may leave what a score can be
