"""Paired tests: against all resamples of a few clips, against scipy's binomial test, and between runs on the disk."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from affect_lightning.errors import DataError
from affect_lightning.unibench.report.content import Report
from affect_lightning.unibench.report.files import OUTCOMES_NAME, compare_runs, read_report, write_report
from affect_lightning.unibench.scoring.scores import SuiteScores
from affect_lightning.unibench.statistics.intervals import clips_that_count, metric_values, terms_of
from affect_lightning.unibench.statistics.paired_tests import (
    MEAN,
    PairedTest,
    bootstrap_p_value,
    holm,
    mcnemar_p_value,
    paired_tests,
)
from report_cases import finished_runs, generated_row, generated_suite

WEAK, STRONG = generated_suite(1, 0.3), generated_suite(2, 0.8)


def some_clips(suite: SuiteScores, key: str, count: int) -> SuiteScores:
    score = suite.sets[key]
    terms = np.array([outcome.terms for outcome in score.outcomes[:count]])
    value = 100 * float(metric_values(score.metric, terms.sum(0))[score.metric])
    return replace(suite, sets={key: replace(score, score=value, clips=count, outcomes=score.outcomes[:count])})


@pytest.mark.parametrize("key", ["meld", "sims", "ovmerdplus"])
def test_the_difference_is_that_over_all_resamples(key: str) -> None:
    """Six clips, all 46,656 ordered resamples, each scored for both models."""
    first, second = some_clips(WEAK, key, 6), some_clips(STRONG, key, 6)
    ours, theirs = terms_of(first.sets[key]), terms_of(second.sets[key])
    assert ours is not None
    assert theirs is not None
    metric = first.sets[key].metric
    chosen = np.array(list(itertools.product(range(6), repeat=6)))
    drawn = 100 * (
        metric_values(metric, theirs[chosen].sum(1))[metric] - metric_values(metric, ours[chosen].sum(1))[metric]
    )
    drawn = drawn[~np.isnan(drawn)]
    (test,) = paired_tests([("first", first), ("second", second)], resamples=40_000)
    assert (test.key, test.clips) == (key, 6)
    assert test.difference == pytest.approx((second.sets[key].score or 0) - (first.sets[key].score or 0))
    exact = max(2 / 2**6, min(1.0, 2 * min((drawn <= 1e-9).mean(), (drawn >= -1e-9).mean())))
    assert test.p_value == pytest.approx(exact, abs=0.02)
    assert test.interval is not None
    # Few clips give few different values, so the ends are compared through the shares that they cut off.
    assert (drawn < test.interval[0] - 1e-9).mean() < 0.035
    assert (drawn > test.interval[1] + 1e-9).mean() < 0.035
    assert (drawn <= test.interval[0] + 1e-9).mean() > 0.015
    assert (drawn >= test.interval[1] - 1e-9).mean() > 0.015


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 5), (5, 1), (3, 3), (40, 62), (900, 1100)])
def test_mcnemar_is_the_binomial_test_of_scipy(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_p_value(first, second) == pytest.approx(expected)


def test_holm_by_hand() -> None:
    # Five p-values times 5, 4, 3, 2, 1, never falling: 0.05, 0.08, 0.09, then 0.08 and 0.05 are lifted to 0.09.
    assert holm([0.05, 0.01, 0.03, 0.02, 0.04]) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.09])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_equal_models_differ_by_nothing() -> None:
    tests = paired_tests([("a", WEAK), ("b", WEAK)])
    assert [test.key for test in tests] == ["meld", "sims", "ovmerdplus", MEAN]
    for test in tests:
        assert (test.difference, test.interval, test.p_value) == (0.0, (0.0, 0.0), 1.0)
    assert bootstrap_p_value(np.array([np.nan, 1.0])) == 1.0


def test_the_mean_is_the_mean_of_the_differences() -> None:
    *sets, mean = paired_tests([("weak", WEAK), ("strong", STRONG)])
    assert mean.difference == pytest.approx(sum(test.difference for test in sets) / 3)
    assert mean.difference == pytest.approx((STRONG.mean or 0) - (WEAK.mean or 0))
    assert (mean.sets, mean.clips, mean.mcnemar_p) == (3, 180, None)
    assert mean.p_value is not None
    assert mean.p_value < 0.01
    widths = [test.interval[1] - test.interval[0] for test in (*sets, mean) if test.interval is not None]
    assert len(widths) == 4
    assert widths[-1] < min(widths[:-1])


def test_three_models_are_corrected_within_a_column() -> None:
    middle = generated_suite(5, 0.5)
    models = [("weak", WEAK), ("middle", middle), ("strong", STRONG)]
    tests = paired_tests(models)
    assert len(tests) == 3 * 4
    for key in ("meld", MEAN):
        column = [test for test in tests if test.key == key]
        assert [test.p_corrected for test in column] == holm(
            [test.p_value for test in column if test.p_value is not None]
        )
    alone = next(test for test in paired_tests([models[0], models[2]]) if test.key == "meld")
    together = next(test for test in tests if test.key == "meld" and (test.first, test.second) == ("weak", "strong"))
    assert alone.difference == pytest.approx(together.difference)
    assert alone.p_value == pytest.approx(together.p_value, abs=0.02)
    assert together.p_value is not None
    assert together.p_corrected is not None
    assert together.p_corrected >= together.p_value


def test_only_common_clips_are_compared_and_doubts_are_noted() -> None:
    score = STRONG.sets["meld"]
    fewer = replace(score, outcomes=score.outcomes[10:], clips=50)
    other = replace(STRONG, sets={"meld": fewer}, taxonomy="official-2025", taxonomy_sha256="0", extractor="another")
    (test,) = paired_tests([("weak", WEAK), ("other", other)])
    assert test.clips == 50
    assert test.note == "different taxonomies (builtin, official-2025); different label extractors"
    without = replace(STRONG, sets={"meld": replace(score, outcomes=())})
    assert paired_tests([("weak", WEAK), ("without", without)]) == ()
    apart = replace(score, outcomes=tuple(replace(outcome, name=f"x{outcome.name}") for outcome in score.outcomes))
    assert paired_tests([("weak", WEAK), ("apart", replace(STRONG, sets={"meld": apart}))]) == ()


def test_finished_runs_are_tested_without_scoring_again(tmp_path: Path) -> None:
    runs = finished_runs(tmp_path)
    compare_runs(runs, tmp_path / "both")
    report = read_report(tmp_path / "both")
    assert report.tests == paired_tests([("weak", WEAK), ("strong", STRONG)])
    assert [PairedTest.from_json(json.loads(json.dumps(test.to_json()))) for test in report.tests] == [*report.tests]
    rows = read_report(tmp_path / "both", outcomes=True).rows
    assert rows[0].scores.sets["meld"].outcomes == WEAK.sets["meld"].outcomes
    assert rows[0].scores.sets["ovmerdplus"].outcomes == WEAK.sets["ovmerdplus"].outcomes
    for name in ("report.md", "report.html"):
        text = (tmp_path / "both" / name).read_text(encoding="utf-8")
        assert "weak → strong" in text
        assert "McNemar p (Holm)" in text


def test_runs_without_outcomes_are_compared_without_tests(tmp_path: Path) -> None:
    runs = finished_runs(tmp_path)
    (runs[0] / OUTCOMES_NAME).unlink()
    compare_runs(runs, tmp_path / "both")
    report = read_report(tmp_path / "both")
    assert report.tests == ()
    assert [row.name for row in report.rows] == ["weak", "strong"]


def test_outcomes_of_another_report_are_refused(tmp_path: Path) -> None:
    runs = finished_runs(tmp_path)
    lines = (runs[0] / OUTCOMES_NAME).read_text(encoding="utf-8").splitlines()
    (runs[0] / OUTCOMES_NAME).write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"outcomes.jsonl does not belong to the report.json in the same folder: its 59 clips of meld"
    ):
        compare_runs(runs, tmp_path / "both")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"outcomes.jsonl, row 181 is broken: JSONDecodeError"),
        ("[]", r"row 181 is broken: TypeError"),
        ('{"model": "weak"}', r"row 181 is broken: KeyError\('hit'\)"),
        ('{"hit": 3, "terms": []}', r"hit is 3, expected true, false or null"),
        ('{"hit": null, "terms": [NaN]}', r"a term is not a finite number"),
    ],
)
def test_broken_outcomes_are_named(tmp_path: Path, line: str, message: str) -> None:
    runs = finished_runs(tmp_path)
    with (runs[0] / OUTCOMES_NAME).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        compare_runs(runs, tmp_path / "both")


def _one_scored(suite: SuiteScores, key: str, count: int = 1) -> SuiteScores:
    """Two clips more than `count` are answered; only `count` of them are scored."""
    few = some_clips(suite, key, 60).sets[key]
    scored = [outcome for outcome in few.outcomes if clips_that_count(few.metric, np.array([outcome.terms]))[0]]
    silent = [replace(one, name=f"x{one.name}", terms=(0.0,) * len(one.terms), hit=None) for one in scored[:2]]
    outcomes = (*scored[:count], *silent)
    return replace(
        suite,
        sets={**suite.sets, key: replace(few, clips=count + 2, scored_clips=count, outcomes=outcomes, interval=None)},
    )


def test_one_scored_clip_has_no_p_value(tmp_path: Path) -> None:
    first, second = _one_scored(WEAK, "meld"), _one_scored(STRONG, "meld")
    tests = paired_tests([("first", first), ("second", second)])
    alone = tests[0]
    assert (alone.key, alone.clips) == ("meld", 3)
    assert (alone.interval, alone.p_value, alone.p_corrected, alone.mcnemar_p) == (None, None, None, None)
    *_, mean = tests
    assert (mean.key, mean.sets) == (MEAN, 2)
    assert mean.difference == pytest.approx(sum(test.difference for test in tests[1:-1]) / 2)
    rows = tuple(replace(generated_row(name), scores=suite) for name, suite in (("a", first), ("b", second)))
    report = Report("Title", rows).with_paired_tests()
    write_report(report, tmp_path)
    assert read_report(tmp_path).tests == report.tests
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| mean of 2 sets |" in text
    assert "Fewer than 30 clips: MELD 3 (1 scored: no interval)." in text
    (line,) = (line for line in text.splitlines() if line.startswith("| a → b | MELD |"))
    assert line.split("|")[5:7] == [" – ", " – "]


def test_few_clips_that_all_differ_alike_are_no_evidence() -> None:
    first, second = _one_scored(WEAK, "meld", 2), _one_scored(STRONG, "meld", 2)
    (test,) = paired_tests([("first", replace(first, sets={"meld": first.sets["meld"]})), ("second", second)])
    assert test.p_value is not None
    assert test.p_value >= 0.5


def test_holm_leaves_out_what_has_no_p_value() -> None:
    few = [(name, _one_scored(generated_suite(seed, 0.5), "meld")) for seed, name in ((3, "a"), (4, "b"))]
    tests = [test for test in paired_tests([*few, ("weak", WEAK), ("strong", STRONG)]) if test.key == "meld"]
    known = [test for test in tests if test.p_value is not None]
    assert [(test.first, test.second) for test in known] == [("weak", "strong")]
    assert known[0].p_corrected == known[0].p_value
