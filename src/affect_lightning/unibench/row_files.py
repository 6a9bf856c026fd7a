"""Tables of rows, as csv, jsonl or parquet; each row knows where it stands, for messages.

`prediction_files.py` reads predictions and `truths.py` reads labels of the user's own through this module; csv and
jsonl come from `data/readers`. Nothing in these formats can hold code; the authors' `.npz` files go through
`affect_lightning.safe_npz` instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from affect_lightning.corpora.own_tables import read_json_lines
from affect_lightning.corpora.tables import TableRow, read_rows
from affect_lightning.errors import ConfigurationError, DataError

ROW_FILE_SUFFIXES = (".csv", ".jsonl", ".parquet")


class ItemRow(TableRow):
    """A row of a file without lines, such as parquet or npz; `line` counts its rows from 1."""

    def where(self, column: str) -> str:
        """File, row and column, for messages; the clip's name too, if the row has one."""
        return super().where(column).replace(f"{self.path}, line ", f"{self.path}, row ", 1)


def refuse(row: TableRow, column: str, complaint: str) -> NoReturn:
    """Raise a DataError that names file, row and column.

    Args:
        row: Where the fault is.
        column: Likewise.
        complaint: What was found, what was expected and what to do.
    """
    raise DataError(f"{row.where(column)}: {complaint}")


def read_row_file(path: Path) -> list[TableRow]:
    """The rows of a csv (UTF-8, with a header), jsonl or parquet file; empty lines are left out.

    Raises:
        DataError: The file is missing, unreadable, empty, of another format, or a row is broken; the message names
            file and row.
        ConfigurationError: A parquet file, and pyarrow is not installed.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a {', '.join(ROW_FILE_SUFFIXES)} file.")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = read_rows(path, ())
    elif suffix == ".jsonl":
        rows = read_json_lines(path)
    elif suffix == ".parquet":
        rows = _read_parquet(path)
    else:
        raise DataError(f"{path} ends in {suffix or 'nothing'}; expected one of {', '.join(ROW_FILE_SUFFIXES)}.")
    if not rows:
        raise DataError(f"{path} has no rows; expected one a clip. Restore the file.")
    return rows


def columns_of(rows: list[TableRow]) -> list[str]:
    """Every column of any row, in order of appearance; the rows of a jsonl file may differ."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _read_parquet(path: Path) -> list[TableRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            f"Reading {path} needs pyarrow, which is not installed: pip install 'affect-lightning[parquet]', or save "
            f"the table as csv or jsonl."
        ) from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is no sound parquet file: {error}. Write it again.") from error
    return [ItemRow(cells, path, number) for number, cells in enumerate(rows, start=1)]
