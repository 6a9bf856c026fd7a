"""Read a set of the user's own: one CSV or JSON-lines table with a row a clip.

Not in the paper: for clips outside MER-Caption+ and MER-UniBench, to train on, to test on, or both. docs/data.md has
the columns with examples. `tables.py` reads the rows; official folders are read by `benchmark.py` and `training.py`.
"""

from __future__ import annotations

import difflib
import json
import math
from pathlib import Path
from typing import Any

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.sets import BENCHMARK_SETS
from affect_lightning.corpora.tables import TableRow, index_rows, parse_labels, read_rows, read_text
from affect_lightning.corpora.training import TRAINING_SETS
from affect_lightning.errors import DataError

OWN_SUFFIXES = (".csv", ".jsonl")
TRUTH_COLUMNS = ("labels", "sentiment", "description")
MEDIA_COLUMNS = ("video", "audio", "face")
COLUMNS = ("name", "text", *TRUTH_COLUMNS, *MEDIA_COLUMNS)
_ALIKE = 0.8  # from this similarity on, a column that is not known is taken for a slip; our choice


def is_own_table(entry: str) -> bool:
    """Whether an entry of `train_sets` or `test_sets` is the path of a table, not the key of a set.

    >>> is_own_table("clips/mine.csv"), is_own_table("meld")
    (True, False)
    """
    return Path(entry).suffix.lower() in OWN_SUFFIXES


def read_own_table(path: Path | str) -> list[ClipRecord]:
    """The clips of a table, sorted by name.

    Args:
        path: A `.csv` file with a header, or a `.jsonl` file with one object a line. `name` and `text` are needed, and
            at least one of `labels`, `sentiment` and `description`; `video`, `audio` and `face` are paths, relative to
            the table's folder. Other columns are left alone.

    Returns:
        One record a row; `corpus` is the file's name without its ending. `text` serves as the subtitle in either
        language.

    Raises:
        DataError: The file is missing, broken or empty, is named like an official set, lacks a column, or has a row
            without a name, with another's name, without truth, or with a cell that cannot be read.
    """
    path = Path(path)
    corpus = path.stem
    if corpus in BENCHMARK_SETS or corpus in TRAINING_SETS:
        raise DataError(
            f"{path} is named like the official set {corpus}, and its scores would be taken for that set's. Rename the "
            f"file, or give the key {corpus} to read the official folder."
        )
    if not path.is_file():
        raise DataError(f"The table {path} is missing. Give the path of a .csv or .jsonl file with a row a clip.")
    rows = read_json_lines(path) if path.suffix.lower() == ".jsonl" else read_rows(path, ())
    if not rows:
        raise DataError(f"{path} lists no clips. Give it one row a clip.")
    for row in rows:
        _check_columns(row)
        row["name"] = _text(row, "name")
    indexed = index_rows(path, rows)
    return [_record(indexed[name], corpus) for name in sorted(indexed)]


def read_json_lines(path: Path) -> list[TableRow]:
    """The rows of a `.jsonl` file, one JSON object a line; empty lines are left out.

    Raises:
        DataError: The file is unreadable, or a line is no JSON object; the message names file and line.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number} is no JSON: {error}. Mend or remove the line.") from error
        if not isinstance(content, dict):
            raise DataError(
                f'{path}, line {number} must be an object such as {{"name": "clip1", "text": "Hello."}}; found '
                f"{type(content).__name__}."
            )
        rows.append(TableRow(content, path, number))
    return rows


def _record(row: TableRow, corpus: str) -> ClipRecord:
    labels, sentiment, description = _labels(row), _sentiment(row), _text(row, "description")
    if not labels and sentiment is None and not description:
        raise DataError(
            f"{row.path}, line {row.line}, columns {', '.join(TRUTH_COLUMNS)}: all are empty for the clip "
            f"{row['name']!r}. Fill in one of them, or remove the row."
        )
    text = _text(row, "text")
    return ClipRecord(
        name=row["name"],
        corpus=corpus,
        video=_path(row, "video"),
        audio=_path(row, "audio"),
        face=_path(row, "face"),
        subtitle_english=text,
        subtitle_chinese=text,
        labels=labels,
        description=description,
        sentiment=sentiment,
    )


def _check_columns(row: TableRow) -> None:
    problems = [f"the column {name} is missing" for name in ("name", "text") if name not in row]
    if not any(name in row for name in TRUTH_COLUMNS):
        problems.append(f"one of the columns {', '.join(TRUTH_COLUMNS)} is needed")
    unknown = [name for name in row if name not in COLUMNS]
    for name in unknown:
        near = difflib.get_close_matches(name.strip().lower(), COLUMNS, n=1, cutoff=_ALIKE)
        if near and near[0] not in row:
            problems.append(f"the column {name} is unknown (did you mean {near[0]}?)")
    if problems:
        raise DataError(
            f"{row.path}, line {row.line}: {'; '.join(problems)}. It has {', '.join(row) or 'no column'}; known are "
            f"{', '.join(COLUMNS)}. Rename or add columns."
        )


def _text(row: TableRow, column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{row.where(column)}: expected a text, found {value!r}.")
    return value.strip()


def _labels(row: TableRow) -> tuple[str, ...]:
    value: Any = row.get("labels")
    if isinstance(value, list) and all(isinstance(word, str) and word.strip() for word in value):
        return tuple(dict.fromkeys(word.strip() for word in value))
    if value is None or isinstance(value, str):
        return parse_labels(value or "", row.where("labels"))
    raise DataError(f"{row.where('labels')}: expected a list of words, found {value!r}.")


def _sentiment(row: TableRow) -> float | None:
    value = row.get("sentiment")
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{row.where('sentiment')}: {value!r} is no number; expected one such as -0.4, positive above 0, or nothing."
        )
    return number


def _path(row: TableRow, column: str) -> Path | None:
    text = _text(row, column)
    return row.path.parent / Path(text).expanduser() if text else None
