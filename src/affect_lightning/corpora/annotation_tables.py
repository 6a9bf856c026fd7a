"""Tables and their cells: csv, jsonl and parquet rows that know where they are, emotion words, numbers.

Paper: Appendix C (annotation of MER-Caption+ and of the nine sets). Label files, subtitles, tables of your own and
saved outputs of models are read through this module. Text is UTF-8, with or without a byte order mark. Nothing in these
formats can hold code; the official `.npz` files go through `affect_lightning.safe_npz` instead.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import given_words, is_no_word
from affect_lightning.sentiment_strings import sentiment_value

ROW_FILE_SUFFIXES = (".csv", ".jsonl", ".parquet")
_SHOWN_NAMES = 5  # names listed in a message before "and N more"; our choice


class TableRow(dict[str, Any]):
    """A row by column, which knows where it is.

    Attributes:
        path: Of the file.
        line: Counted from 1, the header's line included; the last line of a row that spans several.
    """

    __slots__ = ("line", "path")
    kind = "line"

    def __init__(self, cells: Mapping[str, Any], path: Path, line: int) -> None:
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
    """The rows of a csv file with a header.

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
    reader = csv.reader(_text_lines(path), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_columns(path, header, columns, any_of)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                _check_width(path, reader.line_num, header, cells)
                stripped = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
                yield TableRow(stripped, path, reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} cannot be read as csv: {error}. Restore the file.") from error


def read_json_lines(path: Path) -> list[TableRow]:
    """The rows of a `.jsonl` file, one JSON object a line; empty lines are left out.

    Raises:
        DataError: The file is unreadable, or a line is no JSON object; the message names file and line.
    """
    return list(_json_rows(path))


def _json_rows(path: Path) -> Iterator[TableRow]:
    for number, line in enumerate(_text_lines(path, newline="\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is not JSON: {error}. Fix or remove the line.") from error
        if not isinstance(content, dict):
            raise DataError(
                f'{path}, line {number} must be an object such as {{"name": "clip1", "text": "Hello."}}; found '
                f"{type(content).__name__}."
            )
        yield TableRow(content, path, number)


def read_row_file(path: Path) -> list[TableRow]:
    """The rows of a csv (UTF-8, with a header), jsonl or parquet file; see `stream_row_file`."""
    return list(stream_row_file(path))


def stream_row_file(path: Path) -> Iterator[TableRow]:
    """The rows of a csv (UTF-8, with a header), jsonl or parquet file, one at a time; empty lines are left out.

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


def columns_in(path: Path) -> list[str]:
    """Every column of any row of a file, in order of appearance; raises as `stream_row_file` does.

    The rows of a jsonl file may differ, so all of them are looked at.
    """
    rows = stream_row_file(path)
    return columns_of(rows if path.suffix.lower() == ".jsonl" else itertools.islice(rows, 1))


def columns_of(rows: Iterable[TableRow]) -> list[str]:
    """Every column of any row, in order of appearance; the rows of a jsonl file may differ."""
    return list(dict.fromkeys(column for row in rows for column in row))


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
                    yield ItemRow(cells, path, number)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a valid parquet file: {error}. Write it again.") from error


_READERS: dict[str, Callable[[Path], Iterator[TableRow]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
    ".parquet": _parquet_rows,
}


def _text_lines(path: Path, newline: str = "") -> Iterator[str]:
    """The lines of a UTF-8 file, one at a time; `read_text` says what is wrong with a file that is none."""
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            for line in file:
                if "\0" in line:
                    read_text(path)
                yield line
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Restore the file.") from error
    except UnicodeDecodeError:
        read_text(path)
        raise


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        DataError: The file is missing, unreadable, damaged or in another encoding; the message names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Restore the file.") from error
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):  # those are UTF-16: refused below
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line} holds a NUL byte: the file is damaged, or it is not UTF-8 text. Restore the file."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line} cannot be read as UTF-8 ({error.reason} at byte {error.start}). Save the file as UTF-8."
        ) from error


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


def shown(names: Sequence[str]) -> str:
    """A few of the names for a message.

    >>> shown(["a", "b"])
    'a, b'
    """
    listed = ", ".join(names[:_SHOWN_NAMES])
    return listed if len(names) <= _SHOWN_NAMES else f"{listed} and {len(names) - _SHOWN_NAMES} more"


def true_labels(text: str, where: str) -> tuple[str, ...]:
    """Emotion words out of a cell such as `['angry', 'hurt']`, `[angry, hurt]` or `angry; hurt`, each once.

    Split as predictions are (`label_strings.py`); but a truth must be sound, where a prediction may be anything.

    Args:
        text: The cell; empty or `[]` gives no words.
        where: File, row and column, for the message.

    Raises:
        DataError: A bracket is open at one side only, a word has not a single letter, or the cell is `nan` or `None`.

    >>> true_labels("['angry', 'hurt']", "label.csv, line 2, column openset")
    ('angry', 'hurt')
    """
    inner = text.strip()
    unbalanced = inner.startswith("[") != inner.endswith("]")
    return _sound(inner, given_words(inner), where, damaged=unbalanced)


def words_of(row: TableRow, column: str) -> tuple[str, ...]:
    """The emotion words of a cell: a list of texts, or a text; see `true_labels`.

    Raises:
        DataError: It is neither; the message names file, row and column.
    """
    value = row.get(column)
    if isinstance(value, str):
        return true_labels(value, row.where(column))
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        refuse(row, column, f"expected a list of words, found {value!r}. Fix the cell.")
    empty = next((word for word in value if word.strip() and is_no_word(word)), None)
    return _sound(str(value), given_words(value), row.where(column), damaged=empty is not None)


def _sound(found: str, words: tuple[str, ...], where: str, *, damaged: bool) -> tuple[str, ...]:
    bare = found.strip(" []()'\"")
    says_none = found.startswith("[") and any(map(str.isalpha, bare))  # a list of `none` alone is an empty list
    nothing = (bare and not words and not says_none) or any(is_no_word(word) for word in words)
    if damaged or nothing:
        raise DataError(
            f"{where}: the emotion words cannot be read from {found!r}; expected a list such as \"['angry', 'hurt']\". "
            f"Fix the cell, or leave it empty."
        )
    return tuple(dict.fromkeys(words))


def number_of(row: TableRow, column: str) -> float:
    """The value of a cell: a finite number, or a sentiment in words as 1, -1 or 0.

    Raises:
        DataError: It is neither; the message names file, row and column.
    """
    value = row.get(column)
    number = None if value is None or isinstance(value, bool) else sentiment_value(str(value))
    if number is None or not math.isfinite(number):
        refuse(
            row,
            column,
            f"{value!r} is not a number, nor positive, negative or neutral; expected a value such as -0.4, positive above 0.",
        )
    return number
