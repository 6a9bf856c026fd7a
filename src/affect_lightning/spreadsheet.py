"""Texts of an `.xlsx` file by openpyxl, within bounds: a small file can unpack to gigabytes or name a million empty rows.

The official wheels and synonyms are spreadsheets, and so are tables of users. `metrics/official_tables.py` and
`corpora/annotation_tables.py` read them through this module.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from affect_lightning.errors import DataError
from affect_lightning.file_kinds import foreign_kind

# Our choice for both: the largest official spreadsheet unpacks to 0.3 MB and has 4,300 cells.
_MAX_UNPACKED_BYTES = 16 * 1024**2
_MAX_CELLS = 1_000_000
_HEAD_ROWS = 2  # a table has a header and a row
# What openpyxl raises for a damaged file, by trial: it checks little before it uses it.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,  # of XML
    EOFError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Sheets(NamedTuple):
    """The first sheet of a file, and how its others begin.

    Attributes:
        title: Of the first sheet.
        rows: Its texts; see `read_spreadsheet`.
        others: The first two rows of each other sheet that is not hidden, by its title.
    """

    title: str
    rows: list[list[str]]
    others: Mapping[str, list[list[str]]]


def read_spreadsheet(path: Path) -> list[list[str]]:
    """Cells of the first sheet as texts.

    Args:
        path: The `.xlsx` file.

    Returns:
        One list of texts a row, from the first row on; an empty cell is an empty text and rows may differ in length.

    Raises:
        DataError: See `read_sheets`.
    """
    return read_sheets(path).rows


def read_sheets(path: Path) -> Sheets:
    """The first sheet of an `.xlsx` file, and how its others begin.

    Raises:
        DataError: The file is missing, is not a readable spreadsheet or is too large; the message names it.
    """
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > _MAX_UNPACKED_BYTES:
                raise ValueError(f"it unpacks to {unpacked:,} bytes; at most {_MAX_UNPACKED_BYTES:,} are read")
            return _sheets(file)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected an .xlsx spreadsheet.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except _BROKEN as error:
        what = foreign_kind(path)
        if what is not None and "zip" not in what:
            raise DataError(f"{path} is {what}.") from error
        raise DataError(
            f"{path} cannot be read as an .xlsx spreadsheet ({type(error).__name__}: {error}). Copy the file again."
        ) from error


def _sheets(file: Any) -> Sheets:
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl reports missing styles, which no text depends on
        first, *others = load_workbook(file, read_only=True, data_only=True).worksheets
        seen = (sheet for sheet in others if sheet.sheet_state == "visible")
        return Sheets(first.title, _texts(first), {sheet.title: _texts(sheet, _HEAD_ROWS) for sheet in seen})


def _texts(sheet: Any, most: int | None = None) -> list[list[str]]:
    sheet.reset_dimensions()  # the file's own word for them may be wrong
    rows, cells = [], 0
    for row in sheet.iter_rows(max_row=most, values_only=True):
        cells += len(row) + 1
        if cells > _MAX_CELLS:
            raise ValueError(f"it has more than {_MAX_CELLS:,} cells")
        rows.append(["" if value is None else str(value) for value in row])
    return rows
