"""Renderers: a table as Markdown, LaTeX, CSV and HTML, each with its own escaping; and the page around the tables.

Paper: none. `tables.py` has the model, `columns.py` the columns, `figures.py` the figures; `command_line/terminal.py`
renders for the terminal. The LaTeX table needs the package booktabs and nothing else. report.html is one self-contained page
with the tables, figures, example clips and the provenance: `page.html` is its template, `table.html` and `figures.html` have
its parts, `page.css` the style. Jinja escapes every text.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from affect_lightning.unibench.report.columns import paired_table, score_table, set_table
from affect_lightning.unibench.report.content import Curve, Report, ReportRow
from affect_lightning.unibench.report.examples import Example
from affect_lightning.unibench.report.figures import (
    Figure,
    curve_figure,
    label_figure,
    legend,
    matrix_figure,
    score_figure,
    wheel_figure,
)
from affect_lightning.unibench.report.provenance import (
    CONFUSION_NOTE,
    TEST_NOTE,
    banner_of,
    not_comparable,
    notes_of,
    provenance_lines,
)
from affect_lightning.unibench.report.tables import NOT_MEASURED, Cell, Column, Line, Table, Value
from affect_lightning.unibench.scoring.scores import add_confusions
from affect_lightning.unibench.statistics.paired_tests import SIGNIFICANT

if TYPE_CHECKING:
    from jinja2 import Environment
OPEN_ROWS = 3  # runs whose confusions are unfolded; our choice


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The templates next to this file. Every text is escaped, and a missing name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__name__.rpartition(".")[0], "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["px"] = "{:.1f}".format
    return environment


def render_html(table: Table) -> str:
    """The table as an HTML element; `page.css` has its style."""
    return templates().get_template("table.html").render(table=table)


# --- Markdown ---


def render_markdown(table: Table) -> str:
    """The table as GitHub-flavoured Markdown."""
    lines = [_markdown_line(column.heading for column in table.columns)]
    lines.append("|" + "|".join("---:" if column.format.is_number else "---" for column in table.columns) + "|")
    for line in table.lines:
        name = line.name if line.marks.kind != "bound" else f"*{line.name}*"
        lines.append(_markdown_line([name, *map(str, line.cells[1:])]))
    return "\n".join(lines)


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"


def markdown_text(text: str) -> str:
    r"""Text in one line, without mark-up that could break a table or begin an HTML element.

    >>> print(markdown_text("a|b\\|<i>"))
    a\|b\\\|&lt;i>
    """
    return re.sub(r"([\\|])", r"\\\1", re.sub(r"\s+", " ", text)).replace("<", "&lt;").strip()


# --- LaTeX ---

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "“": "``",
    "”": "''",
    "→": r"$\rightarrow$",
    "\n": " ",
}


def render_latex(table: Table, caption: str) -> str:
    """The table in LaTeX: the best measured value of a ranked column bold, below the values what belongs to them."""
    lines = [
        r"% Needs \usepackage{booktabs}. Written by affect-lightning.",
        r"\begin{table*}[t]",
        r"\centering\small\setlength{\tabcolsep}{3.5pt}",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.format.is_number else 'l' for column in table.columns)}}}",
        r"\toprule",
        _latex_line(latex_text(column.title) for column in table.columns),
        _latex_line(latex_text(column.subtitle).replace(r"F\_S", "$F_S$") for column in table.columns),
    ]
    for kind, group in itertools.groupby(table.lines, key=lambda line: line.marks.kind):
        lines.append(r"\midrule")
        if kind == "published":
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\textit{{{latex_text(NOT_MEASURED)}}}}} \\")
        for line in group:
            lines += _latex_lines(line)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table*}", ""])


def _latex_lines(line: Line) -> list[str]:
    """The line of values, and below it those of intervals and of what is next to the values, where there are any."""
    name = latex_text(line.cells[0].text)
    if line.marks.kind == "bound":
        name = rf"\textit{{{name}}}"
    elif line.marks.kind == "published":
        name = rf"{name}$^\dagger$"
    elif line.marks.warning:
        name = latex_text(line.name)
    lines = [_latex_line([name, *map(_latex_value, line.cells[1:])])]
    for texts in ([cell.interval_text for cell in line.cells], [cell.beside for cell in line.cells]):
        if any(texts):
            # In braces, because a bracket after \\ would be read as its option.
            lines.append(_latex_line(rf"{{\scriptsize {latex_text(text)}}}" if text else "" for text in texts))
    return lines


def _latex_value(cell: Cell) -> str:
    text = latex_text(cell.text)
    return rf"\textbf{{{text}}}" if cell.is_best else text


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def latex_text(text: str) -> str:
    r"""Text with LaTeX's special characters made harmless.

    >>> print(latex_text("a_b & 5%"))
    a\_b \& 5\%
    """
    return "".join(_LATEX.get(character, character) for character in text)


# --- CSV ---


def render_csv(table: Table) -> str:
    """One line a row, numbers in full; a column with intervals is followed by its `.low` and `.high`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([csv_value(name) for column in table.columns for name in _csv_names(column)])
    for line in table.lines:
        cells = zip(table.columns, line.cells, strict=True)
        writer.writerow([csv_value(value) for column, cell in cells for value in _csv_values(column, cell)])
    return buffer.getvalue()


def _csv_names(column: Column) -> list[str]:
    name = column.name or column.title
    return [name, f"{name}.low", f"{name}.high"] if column.interval else [name]


def _csv_values(column: Column, cell: Cell) -> list[Value]:
    return [cell.value, *(cell.interval or (None, None))] if column.interval else [cell.value]


def csv_value(value: Value) -> Value:
    """A value that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe before it.

    >>> csv_value("=1+1"), csv_value("mine"), csv_value(-1.5)
    ("'=1+1", 'mine', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def render_page(report: Report) -> str:
    """The report as a complete HTML page without external resources."""
    figures = {
        "score_figure": score_figure(report),
        "confusions": [(row.label, figures) for row in report.rows if (figures := _confusions(row))],
        "label_figure": label_figure(report),
        "curve_figure": curve_figure(_curves(report)),
    }
    return templates().get_template("page.html").render(
        figures,
        report=report,
        several=len(report.rows) > 1,
        open_rows=OPEN_ROWS,
        lead=_lead(report),
        banners=[text for text in (banner_of(report), not_comparable(report)) if text],
        scores=render_html(score_table(report)),
        notes=notes_of(report),
        score_legend=legend(report),
        tests=render_html(paired_table(report)),
        test_note=f"{TEST_NOTE} Bold: corrected p below {SIGNIFICANT}.",
        confusion_note=CONFUSION_NOTE,
        label_legend=legend(report, published=False),
        examples=_examples(report),
        details=[(row.label, render_html(set_table(row, report.columns))) for row in report.rows],
        provenance=[(row.label, lines) for row in report.rows if (lines := provenance_lines(row.provenance))],
    )  # fmt: skip


def _lead(report: Report) -> str:
    clips = max((sum(score.clips for score in row.scores.sets.values()) for row in report.rows), default=0)
    counts = ((len(report.set_keys()), "set"), (clips, "clip"), (len(report.rows), "run"))
    return ", ".join(f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s" for count, noun in counts)


def _confusions(row: ReportRow) -> list[tuple[Figure | None, Figure]]:
    """Wheel and matrix of each kind of confusion, all sets of a kind together."""
    kept = [score.confusion for score in row.scores.sets.values() if score.confusion is not None]
    figures = []
    for title in dict.fromkeys(confusion.title for confusion in kept):
        pooled = add_confusions([confusion for confusion in kept if confusion.title == title])
        matrix = matrix_figure(pooled) if pooled is not None else None
        if pooled is not None and matrix is not None:
            figures.append((wheel_figure(pooled), matrix))
    return figures


def _curves(report: Report) -> list[Curve]:
    """The losses of all runs, named after them where several have some."""
    several = len([row for row in report.rows if row.curves]) > 1
    named = [(f"{row.name}: " if several else "", curve) for row in report.rows for curve in row.curves]
    return [replace(curve, name=before + curve.name) for before, curve in named]


def _examples(report: Report) -> list[tuple[str, list[tuple[str, Example]]]]:
    """Clips with the title of their set and the answers of all runs."""
    titles = {key: score.title for row in report.rows for key, score in row.scores.sets.items()}
    clips: dict[tuple[str, str], list[tuple[str, Example]]] = {}
    for row in report.rows:
        for example in row.examples:
            clips.setdefault((example.corpus, example.name), []).append((row.name, example))
    return [(titles.get(corpus, corpus), answers) for (corpus, _), answers in clips.items()]
