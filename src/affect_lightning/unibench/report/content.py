"""What a report says, as data: a row for each model or run, reference rows, and their form in report.json.

Paper: Table 2 (rows are models, columns are the nine sets and their mean). `columns.py` says which columns show it,
`files.py` writes, reads and compares reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.corpora.corpus_file import declared_bounds
from affect_lightning.errors import DataError
from affect_lightning.unibench.report.examples import Example
from affect_lightning.unibench.report.loss_curves import Curve
from affect_lightning.unibench.report.published import PublishedRow
from affect_lightning.unibench.report.tables import Column, Interval, Marks
from affect_lightning.unibench.scoring.scores import SetScore, SuiteScores
from affect_lightning.unibench.statistics.paired_tests import MEAN, PairedTest, paired_tests

FORMAT = "affect-lightning report"
VERSION = 1
CHOSEN_ON_TEST = "paper_best_on_test"  # the checkpoint rule of the paper's own row


@dataclass(frozen=True)
class ReportRow:
    """One model or run.

    Attributes:
        name: Shown in the table, such as `after training`.
        scores: Of its sets.
        provenance: How the scores came about: metrics, taxonomy and its hash, extractor, checkpoint, seed, versions,
            clips and quarantined clips; plain values only.
        curves: Losses of the run that made the checkpoint.
        examples: Clips to show.
    """

    name: str
    scores: SuiteScores
    provenance: Mapping[str, Any] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def chosen_on_test(self) -> bool:
        """Whether the checkpoint was chosen on the test sets, as the paper does, so that the scores are too high."""
        return str(self.provenance.get("checkpoint_rule", "")).startswith(CHOSEN_ON_TEST)

    @property
    def label(self) -> str:
        """The name as figures show it: marked where the checkpoint was chosen on the test sets."""
        return f"{self.name} [{CHOSEN_ON_TEST}]" if self.chosen_on_test else self.name

    @property
    def marks(self) -> Marks:
        """What sets the row apart in tables."""
        return Marks(warning=CHOSEN_ON_TEST if self.chosen_on_test else "")

    def figure(self, key: str, companion: str = "") -> tuple[float | None, Interval | None]:
        """Score of a set, of one of its companions, or (with the key `mean`) the mean; percent, with its interval."""
        if key == MEAN:
            return self.scores.mean, self.scores.mean_interval
        score = self.scores.sets.get(key)
        if score is None:
            return None, None
        if companion:
            return score.secondary.get(companion), score.secondary_intervals.get(companion)
        return score.score, score.interval


@dataclass(frozen=True)
class ReferenceRow:
    """A row that is no model, such as the best score that is possible from the face alone.

    Attributes:
        name: Shown in the table.
        scores: Percent by set; a set may be missing.
        mean: Percent; None if it is not known.
    """

    name: str
    scores: Mapping[str, float]
    mean: float | None = None

    marks: ClassVar[Marks] = Marks("bound")

    def figure(self, key: str, companion: str = "") -> tuple[float | None, None]:
        """As that of `ReportRow`; there are neither companions nor intervals."""
        if companion:
            return None, None
        return self.mean if key == MEAN else self.scores.get(key), None


def bound_rows(corpus_file: Path) -> tuple[ReferenceRow, ...]:
    """The best possible scores of a generated corpus, a row for each subset of the modalities, in percent.

    Raises:
        DataError: The corpus.json is unreadable, or its bounds have another form.
    """
    scores = declared_bounds(corpus_file)
    subsets = dict.fromkeys(subset for row in scores.values() for subset in row)
    rows = []
    for subset in sorted(subsets, key=lambda subset: subset.count("+")):
        by_set = {key: 100.0 * float(row[subset]) for key, row in scores.items() if subset in row}
        mean = by_set.pop("mean", None)
        rows.append(ReferenceRow(f"bound: {subset.replace('+', ' + ')}", by_set, mean))
    return tuple(rows)


@dataclass(frozen=True)
class Report:
    """All that a report shows.

    Attributes:
        title: Of the page.
        rows: Models or runs, in the order of the table.
        bounds: Reference rows, shown apart from the models.
        published: Rows that others published, shown apart and marked as not measured.
        tests: Paired tests between the rows.
        columns: Installed columns to show as well; they are not kept in report.json.
    """

    title: str
    rows: tuple[ReportRow, ...]
    bounds: tuple[ReferenceRow, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    tests: tuple[PairedTest, ...] = ()
    columns: tuple[Column, ...] = field(default=(), repr=False, compare=False)

    def every_row(self) -> list[ReportRow | ReferenceRow | PublishedRow]:
        """The lines of the table of scores: runs, bounds, published rows."""
        return [*self.rows, *self.bounds, *self.published]

    def with_paired_tests(self) -> Report:
        """The report with paired tests between its rows, where they know the outcomes of their clips."""
        return replace(self, tests=paired_tests([(row.name, row.scores) for row in self.rows]))

    def set_keys(self) -> list[str]:
        """Sets of any row: those of MER-UniBench in the paper's order, then others by name."""
        return MER_UNIBENCH.in_order(key for row in self.rows for key in row.scores.sets)

    def set_scores(self, key: str) -> list[SetScore]:
        """The scores of one set, in the order of the rows that have it."""
        return [row.scores.sets[key] for row in self.rows if key in row.scores.sets]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "title": self.title,
            "rows": [_row_to_json(row) for row in self.rows],
            "bounds": [asdict(bound) for bound in self.bounds],
            "published": [row.to_json() for row in self.published],
            "paired_tests": [test.to_json() for test in self.tests],
        }

    @classmethod
    def from_json(cls, content: Any, where: str) -> Report:
        """The report of plain values.

        Args:
            content: What `to_json` gave.
            where: File, for the message.

        Raises:
            DataError: It is no report of this format and version, or a field is missing.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(f"{where} is no report of affect-lightning: its format is not {FORMAT!r}.")
        if content.get("version") != VERSION:
            raise DataError(
                f"{where} has version {content.get('version')!r} of the report's format, expected {VERSION}. Score the "
                f"predictions again with this version of affect-lightning."
            )
        try:
            rows = tuple(_row_from_json(row) for row in content["rows"])
            bounds = tuple(ReferenceRow(**bound) for bound in content["bounds"])
            published = tuple(PublishedRow.from_json(row) for row in content.get("published", ()))
            tests = tuple(PairedTest.from_json(test) for test in content.get("paired_tests", ()))
            return cls(str(content["title"]), rows, bounds, published, tests)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where} is a damaged report: {error!r}. Score the predictions again.") from error


def _row_to_json(row: ReportRow) -> dict[str, Any]:
    return {
        "name": row.name,
        **row.scores.to_json(),
        "provenance": dict(row.provenance),
        "curves": [asdict(curve) for curve in row.curves],
        "examples": [asdict(example) for example in row.examples],
    }


def _row_from_json(row: Mapping[str, Any]) -> ReportRow:
    examples = [
        Example(**{**example, "labels": tuple(example["labels"]), "pictures": tuple(example["pictures"])})
        for example in row["examples"]
    ]
    curves = [
        Curve(curve["name"], tuple((int(step), float(value)) for step, value in curve["points"]))
        for curve in row["curves"]
    ]
    return ReportRow(
        name=row["name"],
        scores=SuiteScores.from_json(row),
        provenance=row["provenance"],
        curves=tuple(curves),
        examples=tuple(examples),
    )
