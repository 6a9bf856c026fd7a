"""report.md: the table, the details of each set and where the scores come from, for a repository or a paper's draft.

`report_html.py` beside this file lays out the same report as a page; `reports.py` writes both, and `report_texts.py`
has the words that they share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from affect_lightning.corpora import METRIC_TITLES
from affect_lightning.unibench.provenance import provenance_lines
from affect_lightning.unibench.published import NOTE
from affect_lightning.unibench.report_rows import Report, ReportRow
from affect_lightning.unibench.report_texts import (
    TEST_HEAD,
    TEST_NOTE,
    interval_text,
    mean_text,
    notes_of,
    percent,
    score_text,
    set_details,
    test_cells,
)


def render_markdown(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    parts = [f"# {_cell(report.title)}", "", *_score_table(report), ""]
    parts += [line for note in notes_of(report) for line in (_cell(note), "")]
    if report.tests:
        parts += ["## Paired tests", "", *_test_table(report), "", TEST_NOTE, ""]
    for row in report.rows:
        parts += [f"## {_cell(row.label)}", "", *_detail_table(row), ""]
        parts += [f"- {_cell(term)}: {_cell(value)}" for term, value in provenance_lines(row.provenance)]
        parts.append("")
    examples = [example for row in report.rows for example in row.examples]
    if examples:
        parts += ["Example clips with pictures: see report.html beside this file.", ""]
    return "\n".join(parts)


def _score_table(report: Report) -> list[str]:
    keys = report.set_keys()
    titles = [f"{scores[0].title} ({METRIC_TITLES[scores[0].metric]})" for scores in map(report.set_scores, keys)]
    lines = _table_head(["model", *titles, "mean"])
    for row in report.rows:
        found = [row.scores.sets.get(key) for key in keys]
        cells = [score_text(score.score, score.interval) if score else percent(None) for score in found]
        mean = " ".join(filter(None, (mean_text(row), interval_text(row.scores.mean_interval))))
        lines.append(_table_line([row.label, *cells, mean]))
    for bound in report.bounds:
        cells = [percent(bound.scores.get(key)) for key in keys]
        lines.append(_table_line([f"*{bound.name}*", *cells, percent(bound.mean)]))
    for published in report.published:
        cells = [percent(published.scores.get(key)) for key in keys]
        lines.append(_table_line([f"{published.name} ({NOTE})", *cells, percent(published.mean)]))
    return lines


def _test_table(report: Report) -> list[str]:
    return [*_table_head(TEST_HEAD), *(_table_line(test_cells(report, test)) for test in report.tests)]


def _detail_table(row: ReportRow) -> list[str]:
    details = set_details(row)
    terms = list(dict.fromkeys(term for _, found in details for term in found))
    lines = _table_head(["set", *terms])
    lines += [_table_line([title, *(found.get(term, "") for term in terms)]) for title, found in details]
    return lines


def _table_head(cells: Sequence[str]) -> list[str]:
    return [_table_line(cells), "|" + "|".join(["---", *["---:"] * (len(cells) - 1)]) + "|"]


def _table_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()
