"""Bootstrap intervals: against scipy's bootstrap, against the metrics themselves, and their repeatability."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from affect_lightning.corpora import Metric
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics.functional import Array
from affect_lightning.unibench.scoring.scores import SetScore, SuiteScores
from affect_lightning.unibench.statistics.intervals import (
    generator,
    metric_values,
    percentile_interval,
    resampled_sums,
    set_replicates,
    terms_of,
    with_intervals,
)
from report_cases import generated_suite

SUITE = generated_suite(seed=3, skill=0.5)
METRICS: dict[str, Metric] = {"meld": "hit_rate", "sims": "waf", "ovmerdplus": "f_s"}
# Both sides draw 10,000 times, so that each end of an interval is off by about 0.01 of its width.
SHARE_OF_WIDTH = 0.05


def score_of_clips(metric: Metric, terms: Array) -> dict[str, float]:
    """The scores of some clips by plain loops over clips and wheels, for one resample."""
    clips = terms.tolist()
    if metric == "waf":
        cells = [clip.index(1.0) for clip in clips if any(clip)]
        sides = []
        for side in (0, 1):
            support, named = (
                sum(cell in pair for cell in cells) for pair in ((2 * side, 2 * side + 1), (side, side + 2))
            )
            sides.append(support / len(cells) * 2 * cells.count(3 * side) / max(support + named, 1))
        return {"waf": sum(sides), "ACC": (cells.count(0) + cells.count(3)) / len(cells)}
    blocks = 5 if metric == "hit_rate" else 3
    wheels = terms.shape[1] // blocks
    means, f_scores = [], []
    for wheel in range(wheels):
        scored = [clip for clip in clips if clip[(blocks - 1) * wheels + wheel]]
        if scored:
            means.append([fmean(clip[block * wheels + wheel] for clip in scored) for block in range(blocks - 1)])
            precision, recall = means[-1][-2:]
            f_scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    *hits, precision, recall = (fmean(column) for column in zip(*means, strict=True))
    if metric == "f_s":
        return {"f_s": fmean(f_scores), "Precision_S": precision, "Recall_S": recall}
    return {"hit_rate": hits[0], "M-score": hits[1], "Precision_S": precision, "F_S": fmean(f_scores)}


def close_intervals(ours: tuple[float, float] | None, theirs: tuple[float, float]) -> bool:
    assert ours is not None
    allowed = SHARE_OF_WIDTH * (theirs[1] - theirs[0])
    return abs(ours[0] - theirs[0]) < allowed and abs(ours[1] - theirs[1]) < allowed


@pytest.mark.parametrize("key", list(METRICS))
def test_scores_out_of_sums_are_those_of_a_plain_loop(key: str) -> None:
    score = SUITE.sets[key]
    terms = terms_of(score)
    assert terms is not None
    chosen = np.random.default_rng(0).integers(len(terms), size=(20, len(terms)))
    ours = metric_values(score.metric, terms[chosen].sum(1))
    for index, clips in enumerate(chosen):
        expected = score_of_clips(score.metric, terms[clips])
        assert {name: values[index] for name, values in ours.items()} == pytest.approx(expected, abs=1e-12)
    whole = {name: 100 * float(value) for name, value in metric_values(score.metric, terms.sum(0)).items()}
    assert whole == pytest.approx({score.metric: score.score, **score.secondary})


@pytest.mark.parametrize("key", list(METRICS))
def test_intervals_are_those_of_scipy(key: str) -> None:
    score = SUITE.sets[key]
    terms = terms_of(score)
    assert terms is not None
    for name in metric_values(score.metric, terms[0]):

        def statistic(clips: Array, axis: int, name: str = name) -> Array:
            return 100 * metric_values(score.metric, terms[clips].sum(axis - 1))[name]  # clips are on the last axis

        theirs = scipy_interval((np.arange(len(terms)),), statistic)
        ours = score.interval if name == score.metric else score.secondary_intervals[name]
        assert close_intervals(ours, theirs), f"{name}: {ours}, scipy: {theirs}"


def scipy_interval(data: tuple[Array, ...], statistic: Callable[..., Array]) -> tuple[float, float]:
    random = np.random.default_rng(7)
    found = stats.bootstrap(
        data, statistic, n_resamples=10_000, method="percentile", vectorized=True, batch=500, rng=random
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def test_the_means_interval_is_that_of_scipy_over_independent_sets() -> None:
    terms = {key: terms_of(score) for key, score in SUITE.sets.items()}

    def mean(*chosen: Array, axis: int) -> Array:
        values = [
            metric_values(METRICS[key], terms[key][clips].sum(axis - 1))[METRICS[key]]  # type: ignore[index]
            for key, clips in zip(SUITE.sets, chosen, strict=True)
        ]
        return 100 * np.mean(values, axis=0)

    theirs = scipy_interval(tuple(np.arange(score.clips) for score in SUITE.sets.values()), mean)
    assert close_intervals(SUITE.mean_interval, theirs)
    assert SUITE.mean is not None
    assert theirs[0] < SUITE.mean < theirs[1]


def test_sums_are_distributed_as_those_of_all_resamples() -> None:
    """Three clips, two of a kind: all 27 resamples against the drawn shares (0.9 million draws of the sum)."""
    terms = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    every = [terms[[a, b, c]].sum(0) for a in range(3) for b in range(3) for c in range(3)]
    drawn = resampled_sums(terms, 30_000, np.random.default_rng(1))
    for total in {tuple(row) for row in every}:
        expected = sum(tuple(row) == total for row in every) / 27
        assert (drawn == total).all(1).mean() == pytest.approx(expected, abs=0.015)


def test_a_set_has_its_own_draws_and_they_repeat() -> None:
    alone = with_intervals(SuiteScores({"sims": SUITE.sets["sims"]}, "t", "0", "e"))
    assert alone.sets["sims"].interval == SUITE.sets["sims"].interval
    other = with_intervals(SUITE, seed=1)
    assert other.sets["sims"].interval != SUITE.sets["sims"].interval
    assert with_intervals(SUITE) == SUITE
    parts = resampled_sums(np.arange(9.0)[:, None], 10, generator(0, "meld"))
    assert parts.shape == (10, 1)
    with pytest.raises(ConfigurationError, match="A bootstrap needs at least 1 resample; got 0"):
        with_intervals(SUITE, resamples=0)


def test_many_kinds_of_clips_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = np.arange(50.0)[:, None]
    whole = resampled_sums(terms, 100, generator(0, "meld"))
    monkeypatch.setattr("affect_lightning.unibench.statistics.intervals._CELLS", 150)
    assert (resampled_sums(terms, 100, generator(0, "meld")) == whole).all()


def test_scores_without_clips_have_no_interval() -> None:
    bare = replace(SUITE.sets["meld"], outcomes=(), interval=None, secondary_intervals={})
    scores = with_intervals(replace(SUITE, sets={**SUITE.sets, "meld": bare}))
    assert (scores.sets["meld"].interval, scores.mean_interval) == (None, None)
    assert scores.sets["sims"].interval is not None
    one = generated_suite(0, 0.5, clips=1, corpora=["ovmerdplus"]).sets["ovmerdplus"]
    assert (one.score is not None, one.interval, set_replicates(one)) == (True, None, None)
    assert percentile_interval(np.array([math.nan])) is None


def test_terms_of_another_metric_are_refused() -> None:
    wrong: SetScore = replace(SUITE.sets["meld"], metric="waf")
    with pytest.raises(DataError, match=r"The clips of meld have \[25\] terms each, which does not fit its metric waf"):
        terms_of(wrong)


def test_intervals_survive_the_disk() -> None:
    again = SuiteScores.from_json(json.loads(json.dumps(SUITE.to_json())))
    assert again == SUITE
    assert again.mean_interval == SUITE.mean_interval


def test_the_confusion_counts_each_scored_clip_once() -> None:
    for key, score in SUITE.sets.items():
        confusion = score.confusion
        assert confusion is not None
        total = sum(map(sum, confusion.counts))
        scored = score.scored_clips if key == "sims" else score.scored_clips_per_wheel[0]
        assert total == pytest.approx(scored)
    assert SUITE.sets["sims"].confusion is not None
    (right, wrong), _ = SUITE.sets["sims"].confusion.counts
    predicted = [outcome for outcome in SUITE.sets["sims"].outcomes if outcome.terms[:2] != (0.0, 0.0)]
    assert (right + wrong, right) == (len(predicted), sum(outcome.hit is True for outcome in predicted))
    assert sum(SUITE.sets["meld"].label_counts) == SUITE.sets["meld"].clips
