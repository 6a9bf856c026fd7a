"""Renderers: a table as Markdown, LaTeX, CSV and HTML, each with its own escaping.

Paper: none. `tables.py` has the model, `columns.py` the columns; `command_line/terminal_tables.py` renders for the terminal. The
LaTeX table needs the package booktabs and nothing else.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from affect_lightning.unibench.report.tables import NOT_MEASURED, Cell, Column, Line, Table, Value

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The templates beside this file. Every text is escaped, and a missing name is an error."""
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
    """The line of values, and below it those of intervals and of what stands beside the values, where there are any."""
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
