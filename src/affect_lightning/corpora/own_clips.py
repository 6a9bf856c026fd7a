"""The user's own clips: a table with a row a clip.

Not in the paper: for clips outside MER-Caption+ and MER-UniBench, to train on, to test on, or both. A third party's set
has its labels in such a table, too. docs/data.md has the columns with examples. `annotation_tables.py` reads the rows;
`official_folders.py` reads the folders of sets, and `predicted_clips.py` has the clips that only `predict` names.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import TableRow, index_rows, number_of, read_row_file, refuse, words_of
from affect_lightning.corpora.known_sets import keys_of, known_sets
from affect_lightning.corpora.sets import TRAINING_SETS
from affect_lightning.errors import DataError

OWN_CORPUS = "own"  # `ClipRecord.corpus` of clips that options name
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


def table_path(entry: str, root: Path | None) -> Path:
    """The path of an own table: in the root (`train_root`, `benchmark_root`) if it is there, else where it says."""
    path = Path(entry).expanduser()
    inside = root / path if root is not None else path
    return inside if inside.is_file() else path


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
        DataError: The file is missing, broken or empty, is named like a known set, lacks a column, or has a row
            without a name, with another's name, without truth, or with a cell that cannot be read.
    """
    path = Path(path)
    corpus = path.stem
    official = keys_of(corpus, {**TRAINING_SETS, **known_sets(path.parent)})
    if official:
        raise DataError(
            f"{path} has the name of the official set {official[0]}, so its scores would be mistaken for that set's. "
            f"Rename the file, or give the key {official[0]} to read the set's folder."
        )
    return read_table_clips(path, corpus)


def read_table_clips(path: Path, corpus: str, *, needs_truth: bool = True) -> list[ClipRecord]:
    """The clips of a table as records of a set; see `read_own_table`.

    Args:
        path: Of the table.
        corpus: Of the records.
        needs_truth: Whether each clip must have a text and a truth; to be answered, it needs neither.
    """
    if not path.is_file():
        raise DataError(
            f"The table {path} is missing. Give the path of a .csv or .jsonl file with one row for each clip."
        )
    rows = read_row_file(path)
    for row in rows:
        _check_columns(row, needs_truth)
        row["name"] = _text(row, "name")
    indexed = index_rows(path, rows)
    return [_record(indexed[name], corpus, needs_truth) for name in sorted(indexed)]


def _record(row: TableRow, corpus: str, needs_truth: bool) -> ClipRecord:
    labels = () if row.get("labels") is None else words_of(row, "labels")
    sentiment = None if row.get("sentiment") in (None, "") else number_of(row, "sentiment")
    description = _text(row, "description")
    if needs_truth and not labels and sentiment is None and not description:
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


def _check_columns(row: TableRow, needs_truth: bool) -> None:
    needed = ("name", "text") if needs_truth else ("name",)
    problems = [f"the column {name} is missing" for name in needed if name not in row]
    if needs_truth and not any(name in row for name in TRUTH_COLUMNS):
        problems.append(f"one of the columns {', '.join(TRUTH_COLUMNS)} is needed")
    unknown = [name for name in row if name not in COLUMNS]
    for name in unknown:
        near = difflib.get_close_matches(name.strip().lower(), COLUMNS, n=1, cutoff=_ALIKE)
        if near and near[0] not in row:
            problems.append(f"the column {name} is unknown (did you mean {near[0]}?)")
    if problems:
        raise DataError(
            f"{row.path}, line {row.line}: {'; '.join(problems)}. It has {', '.join(row) or 'no column'}; expected "
            f"{', '.join(COLUMNS)}. Rename or add columns."
        )


def _text(row: TableRow, column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        refuse(row, column, f"expected a text, found {value!r}.")
    return value.strip()


def _path(row: TableRow, column: str) -> Path | None:
    text = _text(row, column)
    return row.path.parent / Path(text).expanduser() if text else None
