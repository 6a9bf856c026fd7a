"""The table model: a table is columns and rows; every renderer shows the same cells.

Paper: Table 2 is such a table. A column says what is under its title (`Column`), `make_table` asks each column about
each row, and `renderers.py` turns the cells into Markdown, LaTeX, CSV and HTML (`command_line/terminal.py` into text for
the terminal). A new column is one entry: in `columns.py` for one of ours, in an installed package for one of yours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Value = str | int | float | None
Interval = tuple[float, float]
Kind = Literal["measured", "bound", "published"]
NOT_MEASURED = "published, not measured"


@dataclass(frozen=True)
class Format:
    """How values become text.

    Attributes:
        value: Format specification of numbers, such as `.2f`.
        interval: The same for the two ends of an interval.
        missing: Text where there is no value.
        least: Smaller numbers are shown as `< least`.
        is_number: Whether columns are aligned to the right.
    """

    value: str = ""
    interval: str = ".1f"
    missing: str = ""
    least: float | None = None
    is_number: bool = True

    def text(self, value: Value) -> str:
        """A value as text.

        >>> SCORE.text(78.5387), SCORE.text(None), P_VALUE.text(0.00002), COUNT.text(2610), TEXT.text("a")
        ('78.54', '–', '< 0.001', '2,610', 'a')
        """
        if value is None:
            return self.missing
        if isinstance(value, str):
            return value
        return f"< {self.least}" if self.least is not None and value < self.least else format(value, self.value)

    def interval_text(self, interval: Interval | None) -> str:
        """An interval in brackets; empty where there is none.

        >>> SCORE.interval_text((74.91, 82.04)), DIFFERENCE.interval_text((-1.0, 2.5)), SCORE.interval_text(None)
        ('[74.9, 82.0]', '[-1.00, +2.50]', '')
        """
        return "" if interval is None else f"[{', '.join(format(end, self.interval) for end in interval)}]"


TEXT = Format(is_number=False)
SCORE = Format(".2f", missing="–")  # percent
NUMBER = Format(".2f")
COUNT = Format(",")
DIFFERENCE = Format("+.2f", "+.2f")
P_VALUE = Format(".3f", missing="–", least=0.001)


@dataclass(frozen=True)
class Column:
    """What is under a title.

    Attributes:
        title: Head of the column.
        value: Number, text or None (nothing to show) of a row.
        interval: Interval of the value, if it has one.
        format: How the value becomes text.
        about: What a row is. `set`: a `ScoredSet`, for the details of each set. `run`: a `ReportRow`, for the table of
            scores. Only columns of installed packages need it.
        text: Text of a row instead of the formatted value, where that needs more than the value.
        beside: What a reader must see with the value, in every table but that of the terminal; empty for nothing.
        hover: What the page shows when the mouse rests on a cell.
        subtitle: Second line of the head.
        name: Head in CSV files, by default the title.
        is_ranked: Whether the highest measured value is marked; the values are percent.
        is_grouped: Whether the page shows the first of equal values below each other only.
        is_summary: Whether the page sets the column apart, as it does the mean.
    """

    title: str
    value: Callable[[Any], Value]
    interval: Callable[[Any], Interval | None] | None = None
    format: Format = TEXT
    about: Literal["set", "run"] = "set"
    text: Callable[[Any], str] | None = None
    beside: Callable[[Any], str] | None = None
    hover: Callable[[Any], str] | None = None
    subtitle: str = ""
    name: str = ""
    is_ranked: bool = False
    is_grouped: bool = False
    is_summary: bool = False

    @property
    def heading(self) -> str:
        """Title and subtitle in one line."""
        return f"{self.title} ({self.subtitle})" if self.subtitle else self.title

    def cell(self, row: Any) -> Cell:
        """What the column shows of a row."""
        value, interval = self.value(row), self.interval(row) if self.interval else None
        return Cell(
            value,
            interval,
            self.text(row) if self.text else self.format.text(value),
            self.format.interval_text(interval),
            self.beside(row) if self.beside else "",
            self.hover(row) if self.hover else "",
        )


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        value: As it is, for programs.
        interval: Of the value.
        text: The value for readers.
        interval_text: The interval for readers.
        beside: See `Column`.
        hover: See `Column`.
        is_best: Whether it is the highest measured value of a ranked column.
    """

    value: Value
    interval: Interval | None
    text: str
    interval_text: str
    beside: str = ""
    hover: str = ""
    is_best: bool = False

    def __str__(self) -> str:
        return " ".join(filter(None, (self.text, self.interval_text, self.beside and f"({self.beside})")))


@dataclass(frozen=True)
class Marks:
    """What sets a row apart.

    Attributes:
        kind: Measured here, a bound, or published by others.
        warning: A tag behind the row's name.
        is_strong: Whether the page shows the row bold.
    """

    kind: Kind = "measured"
    warning: str = ""
    is_strong: bool = False


@dataclass(frozen=True)
class Line:
    """The cells of a row, as many as there are columns, and its marks. The first cell is the row's name."""

    cells: tuple[Cell, ...]
    marks: Marks = Marks()

    @property
    def name(self) -> str:
        """The row's name with its marks in words, for forms without tags."""
        name = str(self.cells[0])
        if self.marks.warning:
            return f"{name} [{self.marks.warning}]"
        return f"{name} ({NOT_MEASURED})" if self.marks.kind == "published" else name


@dataclass(frozen=True)
class Table:
    """Columns, and the lines below them."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    def without_empty_columns(self) -> Table:
        """The same table without columns in which every cell is empty."""
        kept = [i for i in range(len(self.columns)) if any(str(line.cells[i]) for line in self.lines)]
        lines = (replace(line, cells=tuple(line.cells[index] for index in kept)) for line in self.lines)
        return Table(tuple(self.columns[index] for index in kept), tuple(lines))


def make_table(columns: Sequence[Column], rows: Iterable[Any], marks: Callable[[Any], Marks] | None = None) -> Table:
    """Ask each column about each row.

    Args:
        columns: From left to right.
        rows: From top to bottom, of the type that the columns know.
        marks: Of a row, by default none.
    """
    rows = list(rows)
    every = [marks(row) if marks else Marks() for row in rows]
    by_column = []
    for column in columns:
        cells = [column.cell(row) for row in rows]
        if column.is_ranked:
            cells = _best_marked(cells, [mark.kind == "measured" for mark in every])
        by_column.append(cells)
    lines = [Line(tuple(cells[index] for cells in by_column), mark) for index, mark in enumerate(every)]
    return Table(tuple(columns), tuple(lines))


def _best_marked(cells: Sequence[Cell], measured: Sequence[bool]) -> list[Cell]:
    """The best of several measured values is marked; one alone is not the best of anything."""
    pairs = list(zip(cells, measured, strict=True))
    values = [cell.value for cell, counts in pairs if counts and isinstance(cell.value, int | float)]
    best = max(values) if len(values) > 1 else None
    return [replace(cell, is_best=best is not None and counts and cell.value == best) for cell, counts in pairs]
