"""The annotation files themselves: csv tables, subtitles and lists of emotion words.

Paper: Appendix C (annotation of MER-Caption+ and of the nine sets). `benchmark.py`, `training.py` and `own_tables.py`
beside this file put the tables together. Csv files are read by the standard library as UTF-8, with or without a byte
order mark. A row knows its file and line, so that every message can name file, row and column.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from affect_lightning.errors import DataError

MissingSubtitle = Literal["error", "empty"]

_log = logging.getLogger(__name__)
_SHOWN_NAMES = 5  # names listed in a message before "and N more"; our choice
_SEPARATORS = re.compile(r"""["',，、]""")


class Subtitle(NamedTuple):
    """What is said in a clip, in both languages; an empty text where a language is not given."""

    english: str
    chinese: str


class TableRow(dict[str, Any]):
    """A row by column, which knows where it stands.

    Attributes:
        path: Of the file.
        line: Counted from 1, the header's line included; the last line of a row that spans several.
    """

    def __init__(self, cells: Mapping[str, Any], path: Path, line: int) -> None:
        super().__init__(cells)
        self.path, self.line = path, line

    def where(self, column: str) -> str:
        """File, row and column, for messages; the clip's name too, once the row has one."""
        clip = f", clip {self['name']}" if self.get("name") and column != "name" else ""
        return f"{self.path}, line {self.line}, column {column}{clip}"


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
        f"The file with {what} is missing in {folder}: expected {' or '.join(names)}, found "
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
    rows: list[TableRow] = []
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_columns(path, header, columns, any_of)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                _check_width(path, reader.line_num, header, cells)
                stripped = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
                rows.append(TableRow(stripped, path, reader.line_num))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} cannot be read as csv: {error}. Restore the file.") from error
    return rows


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
            f"{path}, line {line} holds a NUL byte: the file is damaged or no UTF-8 text. Restore the file."
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
        raise DataError(f"{path}, line 1 has the column {', '.join(twice)} more than once. Keep one of each.")


def _check_width(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> None:
    if len(cells) < len(header) or any(cell.strip() for cell in cells[len(header) :]):
        remedy = "Mend or remove the row" if len(cells) < len(header) else "Put quotes around texts with a comma"
        raise DataError(
            f"{path}, line {line}: {len(cells)} cells where the header has {len(header)} ({', '.join(header)}). "
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
            raise DataError(f"{path} has a row without a name: line {row.line}, column name. Give it one or remove it.")
        if name in indexed:
            raise DataError(
                f"{path} has more than one row for the clip {name!r}: lines {indexed[name].line} and {row.line}, "
                f"column name. Keep one of them."
            )
        indexed[name] = row
    return indexed


def read_subtitles(path: Path) -> dict[str, Subtitle]:
    """Subtitles by clip name, from a table with the columns name, chinese and english.

    Raises:
        DataError: See `read_rows` and `index_rows`.
    """
    rows = index_rows(path, read_rows(path, ("name", "chinese", "english")))
    return {name: Subtitle(english=row["english"], chinese=row["chinese"]) for name, row in rows.items()}


def subtitles_of(
    names: Sequence[str], path: Path, policy: MissingSubtitle, counts: Counter[str] | None
) -> dict[str, Subtitle]:
    """The subtitle of each of `names`; a clip without a row is an error, or is counted and gets empty texts.

    A row with empty texts is no missing row: nothing is said in that clip.

    Args:
        names: Clips wanted.
        path: Table of subtitles.
        policy: `error`, or `empty` for empty texts.
        counts: If given, `counts["without subtitle"]` grows by the number of clips without a row.

    Raises:
        DataError: A clip has no row and the policy is `error`; or the table is unreadable.
    """
    subtitles = read_subtitles(path)
    missing = [name for name in names if name not in subtitles]
    if missing and policy == "error":
        raise DataError(
            f"{path} has no row for {shown(missing)} ({len(missing)} of {len(names)} clips). Add the rows, or allow "
            f"empty subtitles with missing_subtitle=empty."
        )
    if missing:
        count(counts, "without subtitle", missing, path)
    return {name: subtitles.get(name, Subtitle("", "")) for name in names}


def count(counts: Counter[str] | None, what: str, names: Sequence[str], path: Path) -> None:
    """Log that some clips lack something and add their number to `counts`, if given."""
    _log.warning("%s: %d clips are %s: %s", path, len(names), what, shown(names))
    if counts is not None:
        counts[what] += len(names)


def shown(names: Sequence[str]) -> str:
    """A few of the names for a message.

    >>> shown(["a", "b"])
    'a, b'
    """
    listed = ", ".join(names[:_SHOWN_NAMES])
    return listed if len(names) <= _SHOWN_NAMES else f"{listed} and {len(names) - _SHOWN_NAMES} more"


def parse_labels(text: str, where: str) -> tuple[str, ...]:
    """Emotion words out of a cell such as `['angry', 'hurt']` or `[angry, hurt]`.

    The rule is that of the official metric: strip the outer brackets, split at quotes and commas.

    Args:
        text: The cell; empty or `[]` gives no words.
        where: File, row and column, for the message.

    Raises:
        DataError: A bracket is open at one side only, or there is something, but not a single letter.

    >>> parse_labels("['angry', 'hurt']", "label.csv, line 2, column openset")
    ('angry', 'hurt')
    """
    inner = text.strip()
    unbalanced = inner.startswith("[") != inner.endswith("]")
    if not unbalanced and inner.startswith("["):
        inner = inner[1:-1]
    words = tuple(dict.fromkeys(word for part in _SEPARATORS.split(inner) if (word := part.strip())))
    if unbalanced or any(not any(letter.isalpha() for letter in word) for word in words):
        raise DataError(
            f"{where}: the emotion words cannot be read from {text!r}; expected a list such as \"['angry', 'hurt']\". "
            f"Mend the cell."
        )
    return words
