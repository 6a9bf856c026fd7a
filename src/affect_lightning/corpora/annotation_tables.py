"""Tables and their rows: csv, json, parquet and xlsx rows that know where they are, one at a time.

Paper: Appendix C (annotation of MER-Caption+ and of the nine sets). Label files, subtitles, tables of your own and
saved outputs of models are read through this module. `file_texts.py` turns bytes into text and JSON, `table_cells.py` cells
into words and numbers. Nothing in these formats can hold code; the official `.npz` files go through
`affect_lightning.safe_npz` instead. Lines are read one at a time, so a million rows need little memory; a `.json` and an
`.xlsx` file are read whole.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from affect_lightning.corpora.clip_names import names_clips
from affect_lightning.corpora.file_texts import MAX_CELL, parse_json, read_text, text_lines, whole_text
from affect_lightning.errors import ConfigurationError, DataError, visible
from affect_lightning.file_kinds import foreign_kind
from affect_lightning.plain_characters import plain_characters

ROW_FILE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")
_LOOSE_SUFFIXES = (".jsonl", ".json")  # rows of these may differ in their columns
_WHOLE_SUFFIXES = (".json", ".xlsx")  # these are read in one piece
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # the first line of a table that Excel has written
_DELIMITERS = (",", ";", "\t")  # the first of those that part the header into most columns
_SHOWN_NAMES = 5  # names listed in a message before "and N more"; our choice


class TableRow(dict[str, Any]):
    """A row by column, which knows where it is.

    Attributes:
        path: Of the file.
        line: Counted from 1, the header's line included; the last line of a row that spans several.
    """

    __slots__ = ("line", "path")
    kind = "line"

    def __init__(self, cells: Mapping[str, Any] | Iterable[tuple[str, Any]], path: Path, line: int) -> None:
        super().__init__(cells)
        self.path, self.line = path, line

    def where(self, column: str) -> str:
        """File, row and column, for messages; the clip's name too, once the row has one."""
        clip = f", clip {self['name']}" if self.get("name") and column != "name" else ""
        return f"{self.path}, {self.kind} {self.line}, column {column}{clip}"


class ItemRow(TableRow):
    """A row of a file without lines, such as parquet or npz; `line` counts its rows from 1."""

    __slots__ = ()
    kind = "row"


def refuse(row: TableRow, column: str, complaint: str) -> NoReturn:
    """Raise a DataError that names file, row and column.

    Args:
        row: Where the fault is.
        column: Likewise.
        complaint: What was found, what was expected and what to do.
    """
    raise DataError(f"{row.where(column)}: {complaint}")


def find_file(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that is a file in `folder`.

    Args:
        folder: Where to look.
        names: Accepted file names, in order of preference.
        what: What the file holds, for the message.

    Raises:
        DataError: The folder or the file is missing; the message lists what was found instead.
    """
    if not folder.is_dir():
        raise DataError(f"The folder {folder} is missing. It should hold {' or '.join(names)} ({what}).")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path.name for path in folder.iterdir() if path.suffix in {".csv", ".npz"})
    raise DataError(
        f"There is no file with {what} in {folder}: expected {' or '.join(names)}, found "
        f"{', '.join(found) if found else 'no csv or npz file'}. Put it there, or give the folder that holds it."
    )


def read_rows(path: Path, columns: Sequence[str], any_of: Sequence[str] = ()) -> list[TableRow]:
    """The rows of a csv file with a header, parted by commas, semicolons or tabs, or by what a line `sep=;` says.

    Args:
        path: The file.
        columns: Columns that must be there.
        any_of: Of these, at least one must be there.

    Returns:
        One row of stripped cells a line; empty lines are left out.

    Raises:
        DataError: The file is unreadable, empty, lacks a column, or has a row that is shorter or longer than the
            header.
    """
    return list(_csv_rows(path, columns, any_of))


def _csv_rows(path: Path, columns: Sequence[str] = (), any_of: Sequence[str] = ()) -> Iterator[TableRow]:
    lines, delimiter, skipped = _parted(text_lines(path))
    csv.field_size_limit(MAX_CELL)  # Python's own bound of 131,072 is less than a long response
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        header = [_column(cell) for cell in next(reader, [])]
        _check_columns(path, header, columns, any_of)
        for cells in reader:
            stripped = [*map(str.strip, cells)]
            if any(stripped):
                line = reader.line_num + skipped
                if len(stripped) != len(header):
                    _check_width(path, line, header, stripped)
                yield TableRow(zip(header, stripped, strict=False), path, line)
    except csv.Error as error:
        line = reader.line_num + skipped
        raise DataError(f"{path}, line {line} cannot be read as csv: {error}. Restore the file.") from error


def _parted(lines: Iterator[str]) -> tuple[Iterator[str], str, int]:
    """The lines from the header on, what parts their cells, and how many lines stand before the header."""
    first = next(lines, "")
    told = _SEPARATOR_LINE.fullmatch(first)
    if told is not None:
        return lines, told[1], 1
    bare = re.sub(r'"[^"]*"', "", first)
    return itertools.chain([first], lines), max(_DELIMITERS, key=bare.count), 0


def _json_line_rows(path: Path) -> Iterator[TableRow]:
    """One JSON object a line."""
    for number, line in enumerate(text_lines(path, newline="\n"), start=1):
        if not line.strip():
            continue
        content = parse_json(line, f"{path}, line {number}")
        if isinstance(content, list):
            raise DataError(
                f"{path}, line {number} holds a list. Name the file .json if this is all of it, or write one object a line."
            )
        if not isinstance(content, dict):
            raise DataError(
                f'{path}, line {number} must be an object such as {{"name": "clip1", "text": "Hello."}}; found '
                f"{type(content).__name__}."
            )
        yield TableRow(_plain_columns(content, f"{path}, line {number}"), path, number)


def _json_rows(path: Path) -> Iterator[TableRow]:
    """A list of objects, an object with one such list, as lmms-eval writes it under `logs`, or an object by clip name."""
    text = read_text(path)
    content = parse_json(text, str(path)) if text.strip() else []
    if isinstance(content, dict) and _is_by_name(content):
        content = [{"name": name, **item} for name, item in content.items()]
    lists = [content] if isinstance(content, list) else []
    if isinstance(content, dict):
        lists = [item for item in content.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
    if len(lists) != 1 or not all(isinstance(row, dict) for row in lists[0]):
        raise DataError(
            f'{path} must be one list of objects such as [{{"name": "clip1", "text": "Hello."}}]; found '
            f"{type(content).__name__}. Write one object a line and name it .jsonl."
        )
    for number, row in enumerate(lists[0], start=1):
        yield ItemRow(_plain_columns(row, f"{path}, row {number}"), path, number)


def _is_by_name(content: Mapping[str, Any]) -> bool:
    """Whether an object has an object with the same keys for each clip, as MERR has it."""
    items = list(content.values())
    return bool(items) and all(isinstance(item, dict) for item in items) and bool(set(items[0]).intersection(*items))


def _sheet_rows(path: Path) -> Iterator[TableRow]:
    """The sheet of an `.xlsx` file that has clips; its first row is the header."""
    from affect_lightning.spreadsheet import read_sheets

    title, found, others = read_sheets(path)
    tables = [other for other, head in others.items() if _lists_clips(head)]
    if tables:
        raise DataError(
            f"Save the sheet that you want in a file of its own: {path} has several sheets. The first is {title!r}, and "
            f"{shown([*map(repr, tables)])} may list clips, too."
        )
    header, *rows = found or [[]]
    header = [*map(_column, header)]
    _check_columns(path, header, (), ())
    for number, cells in enumerate(rows, start=2):
        if any(cell.strip() for cell in cells):
            _check_width(path, number, header, [*cells, *[""] * (len(header) - len(cells))])
            whole = {name: whole_text(cell).strip() for name, cell in zip(header, cells, strict=False) if name}
            yield ItemRow({**dict.fromkeys(filter(None, header), ""), **whole}, path, number)


def _lists_clips(head: Sequence[Sequence[str]]) -> bool:
    """Whether a sheet's first two rows are those of a table of clips: a column with their names, and another one."""
    header = [*map(_column, head[0])] if len(head) > 1 and any(map(str.strip, head[1])) else []
    return len([*filter(None, header)]) > 1 and any(map(names_clips, header))


def read_row_file(path: Path) -> list[TableRow]:
    """The rows of a csv, tsv or xlsx file with a header, of a jsonl, json or parquet file; see `stream_row_file`."""
    return list(stream_row_file(path))


def stream_row_file(path: Path) -> Iterator[TableRow]:
    """The same rows, one at a time; empty lines are left out.

    Raises:
        DataError: The file is missing, unreadable, empty, of another format, or a row is broken; the message names
            file and row.
        ConfigurationError: A parquet file, and pyarrow is not installed.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a {', '.join(ROW_FILE_SUFFIXES)} file.")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise DataError(f"{path} ends in {suffix or 'nothing'}; expected one of {', '.join(ROW_FILE_SUFFIXES)}.")
    is_empty = True
    for row in _READERS[suffix](path):
        is_empty = False
        yield row
    if is_empty:
        raise DataError(f"{path} lists no clips. Give one row for each clip.")


class RowFile:
    """The rows of a file, which every loop over it reads anew, or once if its kind is read whole.

    Raises as `stream_row_file` does.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self.path = path
        self._whole: list[TableRow] | None = None
        self._columns: list[str] | None = None

    @property
    def columns(self) -> list[str]:
        """See `columns_of`; the file is looked through once for them."""
        if self._columns is None:
            self._columns = columns_of(self)
        return self._columns

    def __iter__(self) -> Iterator[TableRow]:
        """The rows."""
        if self.path.suffix.lower() not in _WHOLE_SUFFIXES:
            return stream_row_file(self.path)
        if self._whole is None:
            self._whole = read_row_file(self.path)
        return iter(self._whole)


def columns_of(rows: Iterable[TableRow]) -> list[str]:
    """Every column of any row of one file, in order of appearance; only the rows of a JSON file may differ."""
    columns: dict[str, None] = {}
    for row in rows:
        columns.update(dict.fromkeys(row))
        if row.path.suffix.lower() not in _LOOSE_SUFFIXES:
            break
    return list(columns)


def _parquet_rows(path: Path) -> Iterator[TableRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            f"Reading {path} needs pyarrow, which is not installed: pip install 'affect-lightning[parquet]', or save "
            f"the table as csv or jsonl."
        ) from error
    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for cells in batch.to_pylist():
                    number += 1
                    yield ItemRow(_plain_columns(cells, str(path)), path, number)
    except (pyarrow.ArrowException, OSError) as error:
        what = foreign_kind(path)
        reason = f"It is {what}." if what and "parquet" not in what else f"{error}. Write it again."
        raise DataError(f"{path} is not a valid parquet file: {reason}") from error


_READERS: dict[str, Callable[[Path], Iterator[TableRow]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _json_line_rows,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
    ".xlsx": _sheet_rows,
}


def _column(name: str) -> str:
    """The name of a column without blanks around it, and without characters that nobody sees."""
    return plain_characters(name).strip()


def _plain_columns(cells: dict[str, Any], where: str) -> dict[str, Any]:
    """The cells of a row with plain names of columns."""
    if all(map(str.isascii, cells)):
        return cells
    plain = {plain_characters(name): cell for name, cell in cells.items()}
    if len(plain) < len(cells):
        raise DataError(
            f"{where} has two columns whose names look alike: {', '.join(map(repr, cells))}. Rename one of them."
        )
    return plain


def _check_columns(path: Path, header: list[str], columns: Sequence[str], any_of: Sequence[str]) -> None:
    missing = [name for name in columns if name not in header]
    if any_of and not any(name in header for name in any_of):
        missing.append(" or ".join(any_of))
    if missing:
        raise DataError(
            f"{path} lacks the column {', '.join(missing)}; its columns are "
            f"{', '.join(header) if any(header) else 'none (the file is empty)'}. Restore the official file."
        )
    twice = [name for name, number in Counter(header).items() if name and number > 1]
    if twice:
        raise DataError(f"{path}, line 1 has the column {', '.join(twice)} more than once. Keep one of each name.")


def _check_width(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> None:
    if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
        remedy = "Fix or remove the row" if len(cells) < len(header) else "Put quotes around texts with a comma"
        raise DataError(
            f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)} ({', '.join(header)}). "
            f"{remedy}."
        )


def index_rows(path: Path, rows: Iterable[TableRow]) -> dict[str, TableRow]:
    """Rows by clip name.

    Raises:
        DataError: A row has no name, or two rows have the same one.
    """
    indexed: dict[str, TableRow] = {}
    for row in rows:
        name = row["name"]
        if not name:
            raise DataError(
                f"{path} has a row without a name: line {row.line}, column name. Give it a name, or remove it."
            )
        if name in indexed:
            raise DataError(
                f"{path} has more than one row for the clip {name!r}: lines {indexed[name].line} and {row.line}, "
                f"column name. Keep one of them."
            )
        indexed[name] = row
    return indexed


def shown(names: Sequence[str], count: int | None = None) -> str:
    """A few of the names for a message.

    Args:
        names: All of them, or the first ones.
        count: How many there are, if only the first ones are given.

    >>> shown(["a", "b"])
    'a, b'
    """
    count = len(names) if count is None else count
    listed = ", ".join(visible(name) for name in names[:_SHOWN_NAMES])
    return listed if count <= _SHOWN_NAMES else f"{listed} and {count - _SHOWN_NAMES} more"
