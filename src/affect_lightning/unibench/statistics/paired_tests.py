"""Paired tests between models: whether a difference is more than the chance of which clips are in the set.

Paper: none; Table 2 compares single figures. Both models answered the same clips, so clips are drawn in pairs: the
bootstrap of `intervals.py` on the terms of both models side by side gives the difference's interval and p-value, also
for the mean over the sets. McNemar's exact test looks at the clips that one model hits and the other misses. With
several pairs of models, Holm's method corrects the p-values within each column of the table.

Few clips: resamples of clips that all differ alike never cross 0, so the bootstrap alone would call three clips significant.
If the models were equal, each clip's difference could as well have the other sign, and with n clips the most extreme of
these 2^n signs has the two-sided p-value 2 / 2^n. No p-value is below it. One clip that both score has neither interval nor
p-value, and its set takes no part in the test of the mean: a single clip has no spread, not a spread of 0.

Legend: C terms of a clip, M models, R resamples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.metrics.functional import Array
from affect_lightning.unibench.scoring.scores import ClipOutcome, SetScore, SuiteScores
from affect_lightning.unibench.statistics.intervals import (
    FEWEST_CLIPS,
    RESAMPLES,
    SEED,
    clips_that_count,
    generator,
    metric_values,
    percentile_interval,
    resampled_sums,
    terms_of,
)

MEAN = "mean"  # key of the mean's column
SIGNIFICANT = 0.05  # our choice, the usual one


@dataclass(frozen=True)
class PairedTest:
    """The comparison of two models on one set, or on the mean of the sets.

    Attributes:
        first: Name of the first model.
        second: Name of the second model.
        key: Of the set, or `mean`.
        clips: Clips that both answered; on these alone both are compared.
        difference: Score of the second less that of the first, percentage points.
        interval: 95% bootstrap interval of the difference, percentage points; None below two clips that both score.
        p_value: Two-sided, of the paired bootstrap, and at least 2 / 2^n for n clips that both score; None as the interval.
        p_corrected: The same after Holm's correction over the pairs of models within the column.
        only_first: Clips that only the first model hits; None for the mean.
        only_second: Clips that only the second model hits; None for the mean.
        mcnemar_p: Two-sided exact McNemar test on these clips; None for the mean, and as the interval.
        mcnemar_p_corrected: The same after Holm's correction.
        sets: Sets in the comparison; more than 1 for the mean only, which leaves out sets without a p-value.
        note: What makes the comparison doubtful, such as different taxonomies; empty if nothing does.
    """

    first: str
    second: str
    key: str
    clips: int
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    p_corrected: float | None
    only_first: int | None = None
    only_second: int | None = None
    mcnemar_p: float | None = None
    mcnemar_p_corrected: float | None = None
    sets: int = 1
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PairedTest:
        """Read what `to_json` gave; raises KeyError, TypeError or ValueError if it is something else."""
        if values["interval"] is None:
            return cls(**values)
        low, high = values["interval"]
        return cls(**{**values, "interval": (float(low), float(high))})


def paired_tests(
    models: Sequence[tuple[str, SuiteScores]], *, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[PairedTest, ...]:
    """Compare every two models on every set that both have, and on the mean of these sets.

    Args:
        models: Name and scores of each; sets without outcomes are left out.
        resamples: Number of times that the clips are drawn again.
        seed: Of the draws.

    Returns:
        Tests in the order of the pairs, within a pair in the order of the sets, the mean last.

    Raises:
        DataError: Outcomes do not fit the metric of their set.
    """
    draws = _Draws(resamples, seed)
    tests: list[PairedTest] = []
    for (first, first_scores), (second, second_scores) in itertools.combinations(models, 2):
        note = _note(first_scores, second_scores)
        pairs = [
            (key, draws.differences(score, second_scores.sets[key], [suite.sets.get(key) for _, suite in models]))
            for key, score in first_scores.sets.items()
            if key in second_scores.sets
        ]
        found = [(key, pair) for key, pair in pairs if pair is not None]
        tests += [pair.test(first, second, key, note) for key, pair in found]
        in_mean = [pair for key, pair in found if key in MER_UNIBENCH.sets and pair.is_testable]
        if len(in_mean) > 1:
            tests.append(_mean_of(in_mean).test(first, second, MEAN, note, sets=len(in_mean)))
    return tuple(_corrected(tests))


@dataclass(frozen=True)
class _Differences:
    """Observed difference and its replicates [R], percentage points; hits of one model only.

    `clips` are those that both models answered, `scored` those of them that count in both scores.
    """

    clips: int
    scored: int
    observed: float
    replicates: Array
    only: tuple[int, int] | None

    @property
    def is_testable(self) -> bool:
        return self.scored >= FEWEST_CLIPS

    def test(self, first: str, second: str, key: str, note: str, sets: int = 1) -> PairedTest:
        interval, p_value = None, None
        if self.is_testable:
            interval = percentile_interval(self.replicates) or (self.observed, self.observed)
            p_value = max(bootstrap_p_value(self.replicates), least_p_value(self.scored))
        test = PairedTest(
            first, second, key, self.clips, self.observed, interval, p_value, p_value, sets=sets, note=note
        )
        if self.only is None:
            return test
        p_hits, (ours, theirs) = (mcnemar_p_value(*self.only) if self.is_testable else None), self.only
        return replace(test, only_first=ours, only_second=theirs, mcnemar_p=p_hits, mcnemar_p_corrected=p_hits)


class _Draws:
    """Resampled scores, kept so that all pairs of models with the same clips share one draw."""

    def __init__(self, resamples: int, seed: int) -> None:
        self._resamples = resamples
        self._seed = seed
        self._kept: dict[tuple[str, tuple[str, ...]], dict[int, tuple[float, Array]]] = {}

    def differences(
        self, first: SetScore, second: SetScore, everyone: Sequence[SetScore | None]
    ) -> _Differences | None:
        """None where outcomes are missing, too few clips are common, or one model has no score on them."""
        if first.metric != second.metric or terms_of(first) is None or terms_of(second) is None:
            return None
        names = tuple(sorted(_by_name(first).keys() & _by_name(second).keys()))
        if len(names) < FEWEST_CLIPS:
            return None
        values = self._values(first, names, everyone)
        (first_score, first_drawn), (second_score, second_drawn) = values[id(first)], values[id(second)]
        if math.isnan(first_score) or math.isnan(second_score):
            return None
        return _Differences(
            clips=len(names),
            scored=_scored_by_both(first, second, names),
            observed=100 * (second_score - first_score),
            replicates=100 * (second_drawn - first_drawn),
            only=_hits_of_one(first, second, names),
        )

    def _values(
        self, score: SetScore, names: tuple[str, ...], everyone: Sequence[SetScore | None]
    ) -> dict[int, tuple[float, Array]]:
        """Score and replicates of every model that answered these clips, by the identity of its SetScore."""
        if (score.key, names) not in self._kept:
            wanted = set(names)
            able = [
                other
                for other in everyone
                if other is not None
                and other.metric == score.metric
                and terms_of(other) is not None
                and wanted <= _by_name(other).keys()
            ]
            terms = [_terms_on(other, names) for other in able]
            sums = resampled_sums(np.concatenate(terms, axis=1), self._resamples, generator(self._seed, score.key))
            drawn = np.split(sums, np.cumsum([part.shape[1] for part in terms])[:-1], axis=1)
            self._kept[score.key, names] = {
                id(other): (
                    float(metric_values(score.metric, part.sum(0))[score.metric]),
                    metric_values(score.metric, sums)[score.metric],
                )
                for other, part, sums in zip(able, terms, drawn, strict=True)
            }
        return self._kept[score.key, names]


def bootstrap_p_value(replicates: Array) -> float:
    """Two-sided p-value of a difference: twice the share of resamples on the rarer side of 0.

    A resample at exactly 0 counts for both sides, and one is added to both counts, so that the p-value is never 0.

    >>> bootstrap_p_value(np.array([1.0, 2.0, 3.0, -1.0]))
    0.8
    """
    drawn = replicates[~np.isnan(replicates)]
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(drawn) + 1))


def least_p_value(clips: int) -> float:
    """The smallest two-sided p-value that this many paired clips can have: that of the sign-flip test.

    >>> least_p_value(2), least_p_value(11)
    (0.5, 0.0009765625)
    """
    return min(1.0, 2.0 ** (1 - clips))


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test: a fair coin decides which of two equal models hits where only one does.

    >>> mcnemar_p_value(1, 5)
    0.21875
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail, term = 0, 1
    for index in range(fewer + 1):
        tail += term
        term = term * (total - index) // (index + 1)
    return min(1.0, 2 * tail / 2**total)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the chance of any false finding among all tests stays below the level.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _corrected(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """The tests with both p-values corrected within each column."""
    done = list(tests)
    for key in {test.key for test in tests}:
        places = [place for place, test in enumerate(tests) if test.key == key and test.p_value is not None]
        for place, p_value in zip(places, holm([tests[place].p_value or 0.0 for place in places]), strict=True):
            done[place] = replace(done[place], p_corrected=p_value)
        hits = [place for place in places if tests[place].mcnemar_p is not None]
        for place, p_value in zip(hits, holm([tests[place].mcnemar_p or 0.0 for place in hits]), strict=True):
            done[place] = replace(done[place], mcnemar_p_corrected=p_value)
    return done


def _mean_of(pairs: Sequence[_Differences]) -> _Differences:
    return _Differences(
        clips=sum(pair.clips for pair in pairs),
        scored=sum(pair.scored for pair in pairs),
        observed=math.fsum(pair.observed for pair in pairs) / len(pairs),
        replicates=np.mean([pair.replicates for pair in pairs], axis=0),
        only=None,
    )


def _by_name(score: SetScore) -> dict[str, ClipOutcome]:
    return {outcome.name: outcome for outcome in score.outcomes}


def _terms_on(score: SetScore, names: Sequence[str]) -> Array:
    outcomes = _by_name(score)
    return np.array([outcomes[name].terms for name in names], dtype=np.float64)


def _scored_by_both(first: SetScore, second: SetScore, names: Sequence[str]) -> int:
    counted = [clips_that_count(score.metric, _terms_on(score, names)) for score in (first, second)]
    return int(np.logical_and(*counted).sum())


def _hits_of_one(first: SetScore, second: SetScore, names: Sequence[str]) -> tuple[int, int]:
    ours, theirs = _by_name(first), _by_name(second)
    pairs = [(ours[name].hit, theirs[name].hit) for name in names]
    return pairs.count((True, False)), pairs.count((False, True))


def _note(first: SuiteScores, second: SuiteScores) -> str:
    notes = []
    if first.taxonomy_sha256 != second.taxonomy_sha256:
        notes.append(f"different taxonomies ({first.taxonomy}, {second.taxonomy})")
    if first.extractor != second.extractor:
        notes.append("different label extractors")
    return "; ".join(notes)
