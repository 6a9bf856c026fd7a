"""The columns of the report's tables: scores, details of each set, paired tests, and all numbers for CSV.

Paper: Section 4 and Table 2. A column is one entry here, or one entry point of the group `affect_lightning.report_columns`
that names a `Column` of another package (docs/reports.md). Every renderer shows the columns that stand here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any

from affect_lightning.corpora import MER_UNIBENCH, METRIC_TITLES
from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading import load_entry
from affect_lightning.unibench.report.content import Report, ReportRow
from affect_lightning.unibench.report.provenance import CHOSEN_ON_TEST_NOTE, banner_of
from affect_lightning.unibench.report.published import PublishedRow
from affect_lightning.unibench.report.tables import (
    COUNT,
    DIFFERENCE,
    NOT_MEASURED,
    NUMBER,
    P_VALUE,
    SCORE,
    Column,
    Marks,
    Table,
    Value,
    make_table,
)
from affect_lightning.unibench.scoring.scores import SetScore
from affect_lightning.unibench.scoring.unread_words import UnreadWords
from affect_lightning.unibench.statistics.paired_tests import MEAN, SIGNIFICANT, PairedTest

GROUP = "report_columns"


@dataclass(frozen=True)
class ScoredSet:
    """A set of a run: the row of the details.

    Attributes:
        run: With the provenance.
        score: With the outcome of each clip, where the report has them.
    """

    run: ReportRow
    score: SetScore

    @property
    def quarantined(self) -> int | None:
        """Clips of the set that could not be read; None where nobody counted them."""
        clips = self.run.provenance.get("quarantined")
        return None if clips is None else [str(clip.get("corpus", "")) for clip in clips].count(self.score.key)

    @property
    def neutral_clips(self) -> int:
        """Skipped clips whose truth is known: on no wheel, as `neutral`, or exactly 0."""
        return self.score.skipped_clips - self.score.unknown_truths

    @property
    def cleaned_text(self) -> str:
        """What was removed from how many responses before labels were read; empty if nothing was."""
        return ", ".join(f"{kind} {number:,}" for kind, number in self.score.cleaned.items())

    def unread(self, kind: str) -> UnreadWords | None:
        """The unread words of one side; None where all could be read, or the set has none."""
        return next((side for side in self.score.unread if side.kind == kind and side.unread), None)


def _unread_column(kind: str) -> Column:
    """The share of a side's words that could not be read: in percent, and in tables with examples."""

    def percent(item: Any) -> float | None:
        side = item.unread(kind)
        return side.percent if side else None

    def text(item: Any) -> str:
        side = item.unread(kind)
        return side.text if side else ""

    return Column(f"unread {kind}", percent, text=text, format=NUMBER, name=f"unread_{kind.replace(' ', '_')}")


def _companion(name: str) -> Column:
    return Column(
        name,
        lambda item: item.score.secondary.get(name),
        lambda item: item.score.secondary_intervals.get(name),
        NUMBER,
    )


def _scored_text(item: ScoredSet) -> str:
    wheels = item.score.scored_clips_per_wheel
    many = len(set(wheels)) > 1
    return f"{min(wheels):,} to {max(wheels):,} by wheel" if many else f"{item.score.scored_clips:,}"


def _clips_text(item: ScoredSet) -> str:
    official = item.score.official_clips
    return f"{item.score.clips:,}" + ("" if official in {None, item.score.clips} else f" (official set: {official:,})")


# What is behind a set's score. The companions of its metric come after the score.
SET_COLUMNS = (
    Column("metric", lambda item: METRIC_TITLES[item.score.metric]),
    Column("score", lambda item: item.score.score, lambda item: item.score.interval, SCORE),
    Column("clips", lambda item: item.score.clips, format=COUNT, text=_clips_text),
    Column("scored clips", lambda item: item.score.scored_clips, format=COUNT, text=_scored_text, name="scored_clips"),
    Column("skipped as neutral", lambda item: item.neutral_clips, format=COUNT, name="skipped_clips"),
    Column(
        "skipped, truth unknown",
        lambda item: item.score.unknown_truths,
        text=lambda item: COUNT.text(item.score.unknown_truths or None),
        format=COUNT,
        name="unknown_truths",
    ),
    Column("quarantined", lambda item: item.quarantined, format=COUNT),
    Column(
        "without a prediction, counted as wrong",
        lambda item: item.score.missing,
        text=lambda item: COUNT.text(item.score.missing or None),
        format=COUNT,
        name="missing",
    ),
    Column("responses without a label", lambda item: item.score.unparsable, format=COUNT, name="unparsable"),
    Column(
        "refused, or cannot tell",
        lambda item: item.score.refused,
        text=lambda item: COUNT.text(item.score.refused or None),
        format=COUNT,
        name="refused",
    ),
    Column("removed from responses", lambda item: item.cleaned_text, name="cleaned"),
    *(_unread_column(kind) for kind in ("given labels", "given sentiments", "true labels")),
    Column(
        "labels per response", lambda item: item.score.labels_per_response, format=SCORE, name="labels_per_response"
    ),
)


def _set_columns(companions: list[str], columns: tuple[Column, ...]) -> list[Column]:
    metric, score, *counts = SET_COLUMNS
    return [metric, score, *map(_companion, companions), *counts, *(item for item in columns if item.about == "set")]


def _companions(scores: list[SetScore]) -> list[str]:
    return list(dict.fromkeys(name for score in scores for name in score.secondary))


def set_table(row: ReportRow, columns: tuple[Column, ...] = ()) -> Table:
    """The details of a run, with installed columns: a line a set; columns that are empty for all sets are left out."""
    scores = [*row.scores.sets.values()]
    titled = [Column("set", lambda item: item.score.title), *_set_columns(_companions(scores), columns)]
    return make_table(titled, [ScoredSet(row, score) for score in scores]).without_empty_columns()


def details_of(row: ReportRow, key: str, columns: tuple[Column, ...] = ()) -> list[tuple[str, str]]:
    """What is behind the score of one set, as pairs of title and text; empty ones are left out."""
    item = ScoredSet(row, row.scores.sets[key])
    shown = [(column.title, str(column.cell(item))) for column in _set_columns(_companions([item.score]), columns)]
    return [(title, text) for title, text in shown if text]


def _figure(title: str, key: str, companion: str = "", **more: Any) -> Column:
    """A figure of any row of the table of scores; see `ReportRow.figure`."""
    return Column(
        title, lambda row: row.figure(key, companion)[0], lambda row: row.figure(key, companion)[1], SCORE, **more
    )


def score_table(report: Report) -> Table:
    """The scores: a line a run, bound and published row; a column a set, the mean, and installed columns of runs."""

    def of_sets(row: Any) -> str:
        return f"{row.scores.sets_in_mean} of {len(MER_UNIBENCH.sets)} sets" if isinstance(row, ReportRow) else ""

    def mean(row: Any) -> str:
        is_part = isinstance(row, ReportRow) and not row.scores.complete
        return SCORE.text(row.figure(MEAN)[0]) + (f" ({of_sets(row)})" if is_part else "")

    columns = [
        Column("model", lambda row: row.name, hover=_origin),
        *(_score_column(report.set_scores(key)[0]) for key in report.set_keys()),
        _figure("mean", MEAN, text=mean, hover=of_sets, is_ranked=True, is_summary=True),
        *_columns_of_runs(report),
    ]
    return make_table(columns, report.every_row(), lambda row: row.marks)


def _score_column(first: SetScore) -> Column:
    def behind(row: Any) -> str:
        if not isinstance(row, ReportRow):
            return ""
        known = first.key in row.scores.sets
        return "; ".join(map(" ".join, details_of(row, first.key))) if known else "not tested"

    beside = partial(_penalty, first.key) if first.metric == "hit_rate" else None
    subtitle = METRIC_TITLES[first.metric]
    return _figure(first.title, first.key, hover=behind, beside=beside, subtitle=subtitle, is_ranked=True)


def _penalty(key: str, row: Any) -> str:
    """What a hit rate does not tell: M-score and labels a clip of a run's set. Longer lists of labels only raise it."""
    score = row.scores.sets.get(key) if isinstance(row, ReportRow) else None
    if score is None or score.score is None:
        return ""
    known = (("M", score.secondary.get("M-score"), ""), ("", score.labels_per_response, "labels"))
    return ", ".join(f"{before} {value:.1f} {behind}".strip() for before, value, behind in known if value is not None)


def _origin(row: Any) -> str:
    return f"{row.origin}. {row.note}".strip() if isinstance(row, PublishedRow) else ""


def _columns_of_runs(report: Report) -> list[Column]:
    """Installed columns about runs, empty for rows that are no runs."""

    def only_runs(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda row: read(row) if isinstance(row, ReportRow) else None

    return [
        Column(
            column.title,
            only_runs(column.value),
            column.interval and only_runs(column.interval),
            column.format,
            name=column.name,
        )
        for column in report.columns
        if column.about == "run"
    ]


def paired_table(report: Report) -> Table:
    """The paired tests: a line for two models and a set; significant ones are strong."""
    pairs = Counter((test.first, test.second) for test in report.tests if test.key in MER_UNIBENCH.sets)

    def title(test: PairedTest) -> str:
        if test.key != MEAN:
            return report.set_scores(test.key)[0].title
        return MEAN if test.sets == pairs[test.first, test.second] else f"{MEAN} of {test.sets} sets"

    columns = (
        Column(
            "models",
            lambda test: f"{test.first} → {test.second}" + (f" ({test.note})" if test.note else ""),
            is_grouped=True,
        ),
        Column("set", title),
        Column("clips", lambda test: test.clips, format=COUNT),
        Column("difference", lambda test: test.difference, lambda test: test.interval, DIFFERENCE),
        Column("p", lambda test: test.p_value, format=P_VALUE),
        Column("p (Holm)", lambda test: test.p_corrected, format=P_VALUE),
        Column("only first", lambda test: test.only_first, format=COUNT),
        Column("only second", lambda test: test.only_second, format=COUNT),
        Column("McNemar p", lambda test: test.mcnemar_p, format=P_VALUE),
        Column("McNemar p (Holm)", lambda test: test.mcnemar_p_corrected, format=P_VALUE),
    )

    def marks(test: PairedTest) -> Marks:
        return Marks(is_strong=test.p_corrected is not None and test.p_corrected < SIGNIFICANT)

    return make_table(columns, report.tests, marks)


def number_table(report: Report) -> Table:
    """Everything for programs: a line a row; for each set its score, companions, counts and installed columns."""

    def kept(name: str) -> Callable[[Any], Value]:
        return lambda row: row.provenance.get(name) if isinstance(row, ReportRow) else None

    def scored(name: str) -> Callable[[Any], Value]:
        return lambda row: getattr(row.scores, name) if isinstance(row, ReportRow) else None

    columns = [
        Column("model", lambda row: row.name),
        Column("kind", lambda row: row.marks.kind if row.marks.kind != "published" else NOT_MEASURED),
        Column("source", lambda row: "this run" if isinstance(row, ReportRow) else getattr(row, "origin", "")),
        Column("note", lambda row: _note(report, row)),
        Column("checkpoint_rule", kept("checkpoint_rule")),
        Column("taxonomy", scored("taxonomy")),
        Column("taxonomy_sha256", scored("taxonomy_sha256")),
        Column("extractor", scored("extractor")),
        Column("seed", kept("seed")),
        *(column for key in report.set_keys() for column in _numbers_of_set(report, key)),
        _figure("mean", MEAN),
        Column("mean.sets", scored("sets_in_mean")),
        *_columns_of_runs(report),
    ]
    return make_table(columns, report.every_row())


def _note(report: Report, row: Any) -> str:
    if not isinstance(row, ReportRow):
        return str(getattr(row, "note", ""))
    notes = (banner_of(replace(report, rows=(row,))), CHOSEN_ON_TEST_NOTE if row.chosen_on_test else "")
    return " ".join(filter(None, notes))


def _numbers_of_set(report: Report, key: str) -> Iterator[Column]:
    """The columns of one set, each named after it; scores and companions also of rows that are no runs."""

    def of_set(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def value(row: Any) -> Any:
            score = row.scores.sets.get(key) if isinstance(row, ReportRow) else None
            return read(ScoredSet(row, score)) if score else None

        return value

    yield _figure(key, key)
    yield from (_figure(f"{key}.{name}", key, name) for name in _companions(report.set_scores(key)))
    for column in _set_columns([], report.columns):
        if column.title != "score":
            name = f"{key}.{column.name or column.title}"
            yield Column(name, of_set(column.value), column.interval and of_set(column.interval))


# --- columns of other packages ---


def installed_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Columns that installed packages offer, by the names of their entry points.

    Raises:
        PluginError: There is no such column, it cannot be imported, is no `Column`, or has a title that is taken.
    """
    taken = {column.title for column in SET_COLUMNS} | {"", "model", "set", MEAN}
    columns = []
    for name in dict.fromkeys(names):
        column, title = load_entry(GROUP, name, Column)
        if column.title in taken:
            raise PluginError(
                f"{title} has the title {column.title!r}, which is empty or used by another column. Give it a title of its own."
            )
        taken.add(column.title)
        columns.append(_checked(column, title))
    return tuple(columns)


def _checked(column: Column, who: str) -> Column:
    """The same column, whose failures name it."""

    def held(read: Callable[[Any], Any], fits: Callable[[Any], bool], wanted: str) -> Callable[[Any], Any]:
        def value(row: Any) -> Any:
            about = row.run.name + ", " + row.score.title if isinstance(row, ScoredSet) else row.name
            try:
                found = read(row)
            except Exception as error:
                raise PluginError(f"{who} failed for {about}: {type(error).__name__}: {error}.") from error
            if found is not None and not fits(found):
                raise PluginError(f"{who} gave {found!r} for {about}; it must give {wanted}, or None.")
            return found

        return value

    value = held(column.value, lambda found: isinstance(found, str) or _is_number(found), "a finite number or a text")
    if column.interval is None:
        return replace(column, value=value)

    def is_pair(found: Any) -> bool:
        return isinstance(found, tuple) and len(found) == 2 and all(map(_is_number, found))

    return replace(column, value=value, interval=held(column.interval, is_pair, "a tuple of two finite numbers"))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
