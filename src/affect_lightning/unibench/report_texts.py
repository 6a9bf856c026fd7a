"""Words and numbers that every form of a report shares: scores, intervals, details of a set, notes below the table.

Paper: Section 4 and Table 2. `report_markdown.py`, `report_html.py` and `report_tables.py` lay out what stands here,
so that they never disagree.
"""

from __future__ import annotations

from affect_lightning.data.readers.benchmark_sets import BENCHMARK_SETS, METRIC_TITLES
from affect_lightning.unibench.report_rows import CHOSEN_ON_TEST, Report, ReportRow
from affect_lightning.unibench.scores import SetScore
from affect_lightning.unibench.statistics.intervals import LEVEL
from affect_lightning.unibench.statistics.paired_tests import MEAN, PairedTest

BOUND_NOTE = (
    "Rows in italics are no models but bounds, computed by the generator of the corpus: the best expected score of a "
    "response that names one emotion and relies on those modalities only."
)
MEAN_NOTE = "Scores in percent. The mean is that of the primary scores of the sets of MER-UniBench."
INTERVAL_NOTE = (
    f"Beside or below a score: its {LEVEL:.0%} bootstrap interval over the clips; that of the mean draws clips anew "
    f"within each set."
)
HIT_RATE_NOTE = (
    "The hit rate has no penalty for long lists of labels; its companions M-score, Precision_S and F_S have one (report.csv "
    "and the details by set have them)."
)
PUBLISHED_NOTE = (
    "Rows marked “published” are figures as others printed them, not measured here; their means are over all nine sets."
)
CHOSEN_ON_TEST_NOTE = (
    f"Rows marked “{CHOSEN_ON_TEST}” take, for each set, the checkpoint that is best on that very test set, as the "
    f"paper's own row does; such scores are too high and must not be compared with others."
)
TEST_NOTE = (
    "Difference: second less first, in percentage points, on the clips that both answered, with its 95% interval from "
    "the paired bootstrap. p-values are two-sided; Holm's correction is over the pairs of models within a column. "
    "Only first, only second: clips that one of the two hits and the other misses, compared by McNemar's exact test."
)

NAMED_ROWS = 4  # published rows of one source that its note names; our choice


def percent(value: float | None) -> str:
    """A score with two decimals, or a dash where there is none.

    >>> percent(78.5387), percent(None)
    ('78.54', '–')
    """
    return "–" if value is None else f"{value:.2f}"


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval with one decimal in brackets; empty where there is none.

    >>> interval_text((74.91, 82.04))
    '[74.9, 82.0]'
    """
    return "" if interval is None else f"[{interval[0]:.1f}, {interval[1]:.1f}]"


def score_text(value: float | None, interval: tuple[float, float] | None) -> str:
    """A score and its interval."""
    return " ".join(filter(None, (percent(value), interval_text(interval))))


def mean_text(row: ReportRow) -> str:
    """The mean of the sets' primary scores, with the number of sets where it is not all nine."""
    return percent(row.scores.mean) + sets_text(row)


def sets_text(row: ReportRow) -> str:
    """How many sets the mean is over, where it is not all nine."""
    return "" if row.scores.complete else f" ({row.scores.sets_in_mean} of {len(BENCHMARK_SETS)} sets)"


def set_title(report: Report, key: str) -> str:
    """A set's name in tables."""
    return "mean" if key == MEAN else report.set_scores(key)[0].title


def details_of(score: SetScore) -> list[tuple[str, str]]:
    """What stands behind a set's score, as pairs of term and value."""
    wheels = score.scored_clips_per_wheel
    scored = f"{score.scored_clips:,}" if len(set(wheels)) < 2 else f"{min(wheels):,} to {max(wheels):,} by wheel"
    official = "" if score.official_clips in {None, score.clips} else f" (official set: {score.official_clips:,})"
    return [
        ("metric", METRIC_TITLES[score.metric]),
        ("score", score_text(score.score, score.interval)),
        *((name, score_text(value, score.secondary_intervals.get(name))) for name, value in score.secondary.items()),
        ("clips", f"{score.clips:,}{official}"),
        ("scored clips", scored),
        ("skipped as neutral", f"{score.skipped_clips:,}"),
        ("quarantined", ""),
        *([("without a prediction, counted as wrong", f"{score.missing:,}")] if score.missing else []),
        ("responses without a label", f"{score.unparsable:,}"),
        ("labels per response", percent(score.labels_per_response)),
    ]


def set_details(row: ReportRow) -> list[tuple[str, dict[str, str]]]:
    """Title and details of each of a row's sets, with the clips that could not be read."""
    known = row.provenance.get("quarantined")
    counted = [str(clip.get("corpus", "")) for clip in known] if known is not None else None
    details = []
    for key, score in row.scores.sets.items():
        terms = dict(details_of(score))
        terms["quarantined"] = "" if counted is None else str(counted.count(key))
        details.append((score.title, terms))
    return details


def notes_of(report: Report) -> list[str]:
    """The sentences that a reader of the table needs, and no others."""
    scores = [score for row in report.rows for score in row.scores.sets.values()]
    notes = [MEAN_NOTE]
    if any(score.interval for score in scores):
        notes.append(INTERVAL_NOTE)
    if any(score.metric == "hit_rate" for score in scores):
        notes.append(HIT_RATE_NOTE)
    if any(row.chosen_on_test for row in report.rows):
        notes.append(CHOSEN_ON_TEST_NOTE)
    if report.bounds:
        notes.append(BOUND_NOTE)
    if report.published:
        notes.append(" ".join([PUBLISHED_NOTE, *source_notes(report)]))
    return notes


def source_notes(report: Report) -> list[str]:
    """Where the published rows come from, and what must be known about them."""
    origins: dict[str, list[str]] = {}
    for row in report.published:
        origins.setdefault(row.origin, []).append(row.name)
    named = {
        origin: ", ".join(names) if len(names) <= NAMED_ROWS else f"{len(names)} rows from {names[0]} to {names[-1]}"
        for origin, names in origins.items()
    }
    notes = [f"Source of {names}: {origin}." for origin, names in named.items()]
    return notes + [f"{row.name}: {row.note}." for row in report.published if row.note]


def test_cells(report: Report, test: PairedTest) -> list[str]:
    """A paired test as the cells of a table; see TEST_HEAD."""
    note = f" ({test.note})" if test.note else ""
    hits = ("", "") if test.only_first is None else (f"{test.only_first:,}", f"{test.only_second:,}")
    return [
        f"{test.first} → {test.second}{note}",
        set_title(report, test.key),
        f"{test.clips:,}",
        f"{test.difference:+.2f} [{test.interval[0]:+.2f}, {test.interval[1]:+.2f}]",
        p_text(test.p_value),
        p_text(test.p_corrected),
        *hits,
        p_text(test.mcnemar_p),
        p_text(test.mcnemar_p_corrected),
    ]


TEST_HEAD = (
    "models",
    "set",
    "clips",
    "difference",
    "p",
    "p (Holm)",
    "only first",
    "only second",
    "McNemar p",
    "McNemar p (Holm)",
)


def p_text(value: float | None) -> str:
    """A p-value; empty where there is none.

    >>> p_text(0.0312), p_text(0.00002), p_text(None)
    ('0.031', '< 0.001', '')
    """
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
