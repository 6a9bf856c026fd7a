"""What the terminal shows: plain-text tables, and no lines of libraries that the user can do nothing about.

The list of those lines is here, with the reason for each. Every command that uses a library with such a warning first
calls `silence_expected_warnings`. Warnings that name a remedy, and all of our own, stay. `tests/test_readme_commands.py`
runs the README's commands and accepts no other warning.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
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


# Patterns of the beginning of a message, as `warnings.filterwarnings` takes them.
EXPECTED_WARNINGS = (
    "LightningCLI's args parameter",  # the words come from the command line, by way of program.py
    r"Found \d+ module\(s\) in eval mode",  # the frozen encoders, on purpose
    r"FSDP2-wrapped module .* returned a view",  # no part behind it changes its input in place
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # inside Lightning 2.6 with torch 2.15
    r"Checkpoint directory .* exists and is not empty",  # normal when a run continues
    "The dirpath has changed from",  # a run that continues in a new folder, on purpose
    r"The '\w+_dataloader' does not have many workers",  # `data.workers` is the user's choice
    r"Precision .* is not supported by the model summary",  # mixed precision keeps 32-bit weights, as it then assumes
    r".*copying from a non-meta parameter",  # `summary`: parts that read a file of theirs copy it into nothing, as meant
)


# Loggers of libraries, and how a line begins that advertises or tells what the user has not asked for.
EXPECTED_LINES: Mapping[str, tuple[str, ...]] = {
    "lightning.pytorch.utilities.rank_zero": ("\N{ELECTRIC LIGHT BULB} Tip:",),  # to install the maker's other packages
    "lightning.fabric.utilities.rank_zero": ("\N{ELECTRIC LIGHT BULB} Tip:",),
}


def _is_of_use(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(EXPECTED_LINES.get(record.name, ()))


def silence_expected_warnings() -> None:
    """Silence what tells the user of the program nothing."""
    for name in EXPECTED_LINES:
        logging.getLogger(name).addFilter(_is_of_use)
    # Lightning 2.6 still calls what jsonargparse 4.53 deprecates; its user can do nothing about it.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
