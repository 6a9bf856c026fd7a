"""A row of a table with what its finished runs say; `pages.py` and `drawing.py` show it.

Paper: the rows of the table in question. `runs.py` has the runs, `seed_means.py` the mean over their seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affect_lightning.unibench.paper_tables.catalogue import PaperRow, PaperTable
from affect_lightning.unibench.paper_tables.runs import Run
from affect_lightning.unibench.paper_tables.seed_means import SeedMean, seed_mean
from affect_lightning.unibench.report.content import ReportRow
from affect_lightning.unibench.report.files import read_report


@dataclass(frozen=True)
class FinishedRow:
    """A row with what its finished runs say.

    Attributes:
        row: Of the paper.
        reports: One for each finished run.
        figures: By name.
        asked: Runs that the row should have.
    """

    row: PaperRow
    reports: tuple[ReportRow, ...]
    figures: Mapping[str, SeedMean]
    asked: int

    @property
    def state(self) -> str:
        """What a reader must know of the row's runs; empty if all are done."""
        if self.row.words is None:
            return f"not run: needs {self.row.needs}"
        missing = self.asked - len(self.reports)
        return f"{missing} of {self.asked} runs missing" if missing else ""


def finished_rows(table: PaperTable, runs: Mapping[str, Sequence[Run]]) -> list[FinishedRow]:
    """Read the reports of the runs that are done.

    Raises:
        DataError: A report cannot be read, or the seeds of a row were tested on different clips.
    """
    rows = []
    for row in table.rows:
        done = [run.result for run in runs[row.title]]
        reports = [read_report(result, outcomes=True).rows[0] for result in done if result is not None]
        scores = [report.scores for report in reports]
        figures = {figure: seed_mean(scores, figure) for figure in table.figures}
        rows.append(FinishedRow(row, tuple(reports), figures, len(runs[row.title])))
    return rows
