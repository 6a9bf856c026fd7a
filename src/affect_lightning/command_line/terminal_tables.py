"""Plain-text tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from affect_lightning.errors import visible

if TYPE_CHECKING:
    from affect_lightning.unibench.report.tables import Table


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Lay out a table with aligned columns.

    Args:
        header: Column titles.
        rows: Cells, one sequence a row, as long as the header.
        right: Indices of the columns that are aligned to the right (numbers).

    Returns:
        The table, without a newline at its end.
    """
    header, *rows = ([visible(str(cell)) for cell in line] for line in (header, *rows))
    widths = [max(len(str(row[column])) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        laid = [
            str(cell).rjust(width) if column in right else str(cell).ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(laid).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *(line(row) for row in rows)])


def render_terminal(table: Table, *, is_turned: bool = False, is_short: bool = False) -> str:
    """A report's table as plain text.

    Args:
        table: As for all other forms of a report.
        is_turned: Columns down and rows across, for a terminal that is narrow.
        is_short: Titles and values alone, without intervals, for many columns.
    """
    heads = [column.title if is_short else column.heading for column in table.columns]
    lines = [[line.name, *(cell.text if is_short else str(cell) for cell in line.cells[1:])] for line in table.lines]
    if not is_turned:
        numbers = [index for index, column in enumerate(table.columns) if column.format.is_number]
        return format_table(heads, lines, right=numbers)
    heads[0] = ""
    first, *down = zip(heads, *lines, strict=True)
    return format_table(first, down, right=range(1, len(first)))
