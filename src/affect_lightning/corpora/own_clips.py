"""The user's own clips: a table with a row a clip.

Not in the paper: for clips outside MER-Caption+ and MER-UniBench, to train on, to test on, or both. A third party's set
has its labels in such a table, too. docs/data.md has the columns with examples. `annotation_tables.py` reads the rows;
`official_folders.py` reads the folders of sets, and `predicted_clips.py` has the clips that only `predict` names.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import (
    TableRow,
    columns_of,
    index_rows,
    read_row_file,
    refuse,
)
from affect_lightning.corpora.known_sets import keys_of, known_sets
from affect_lightning.corpora.media_folders import MediaBeside
from affect_lightning.corpora.response_tables import rows_of_responses
from affect_lightning.corpora.sets import TRAINING_SETS, Split
from affect_lightning.corpora.table_cells import number_of, words_of
from affect_lightning.corpora.trade_tables import OurRows
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.label_strings import is_no_word
from affect_lightning.plain_characters import plain_characters

OWN_CORPUS = "own"  # `ClipRecord.corpus` of clips that options name
OWN_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".xlsx")
TRUTH_COLUMNS = ("labels", "class", "sentiment", "description")
MEDIA_COLUMNS = ("video", "audio", "face")
COLUMNS = ("name", "text", *TRUTH_COLUMNS, *MEDIA_COLUMNS, "question")
_LIKE_LABELS = ("label", "emotion", "emotions", "openset", "emo")
_log = logging.getLogger(__name__)
_SHOWN_FAULTS = 5  # rows that one message names; our choice
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


def read_own_table(
    path: Path | str, columns: Mapping[str, str] | None = None, split: Split | None = None
) -> list[ClipRecord]:
    """The clips of a table, sorted by name.

    Args:
        path: A table with a header (.csv, .tsv, .xlsx), or a `.jsonl` file with one object a line, or a `.json` file with
            a list of them. `name` and `text` are needed, and at least one of `labels`, `class` (one of a closed set),
            `sentiment` and `description`; `video`, `audio` and `face` are paths, relative to the table's folder. Other
            columns are left alone. The tables of `trade_tables.py` need no change.
        columns: The table's own name of any of these columns, by ours; an empty one for `text` says that there is none.
        split: Which rows of a table with a column `mode` are meant; None takes all.

    Returns:
        One record a row, or one for each answer of a conversation (`response_tables.py`); `corpus` is the file's name
        without its ending. `text` serves as the subtitle in either language. Where no column names media, those next to
        the table serve, by name.

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
    return read_table_clips(path, corpus, columns, split)


def read_table_clips(
    path: Path,
    corpus: str,
    columns: Mapping[str, str] | None = None,
    split: Split | None = None,
    *,
    needs_truth: bool = True,
) -> list[ClipRecord]:
    """The clips of a table as records of a set; see `read_own_table`.

    Args:
        path: Of the table.
        corpus: Of the records.
        columns: The table's own names of columns, by ours.
        split: Which rows of a table with a column `mode` are meant; None takes all.
        needs_truth: Whether each clip must have a text and a truth; to be answered, it needs neither.
    """
    if not path.is_file():
        raise DataError(
            f"The table {path} is missing. Give the path of a .csv or .jsonl file with one row for each clip."
        )
    given = read_row_file(path)
    responses = None if columns else rows_of_responses(given)
    rows = list(OurRows(_in_our_case(_renamed(path, given if responses is None else responses, columns or {})), split))
    if "labels" not in (columns or {}):
        _say_which_labels(path, columns_of(rows))
    for row in rows:
        _check_columns(row, needs_truth)
        row["name"] = _name(row)
    indexed = index_rows(path, rows)
    beside = None if {*columns_of(rows)} & {*MEDIA_COLUMNS} else MediaBeside(path.parent)
    clips = _records(path, indexed, corpus, needs_truth)
    if responses is not None:
        places = MediaBeside(path.parent, pictures=True)
        return [places.located(clip) for clip in clips]
    return clips if beside is None else [beside.completed(clip) for clip in clips]


def _records(path: Path, indexed: Mapping[str, TableRow], corpus: str, needs_truth: bool) -> list[ClipRecord]:
    """The records, sorted by name; what is wrong with the rows is told at once."""
    records, faults = [], []
    for name in sorted(indexed):
        try:
            records.append(_record(indexed[name], corpus, needs_truth))
        except DataError as error:
            faults.append(error)
    if len(faults) > 1:
        raise DataError(f"{path}: {len(faults)} rows cannot be read. " + " ".join(map(str, faults[:_SHOWN_FAULTS])))
    if faults:
        raise faults[0]
    return records


def _in_our_case(rows: list[TableRow]) -> list[TableRow]:
    """The rows with our column names where only their capitals differ, as in `Name,Text,Labels`."""
    present = columns_of(rows)
    names = {name: name.strip().lower() for name in present if name.strip().lower() in COLUMNS}
    names = {theirs: ours for theirs, ours in names.items() if theirs != ours and ours not in present}
    if not names or len(set(names.values())) < len(names):
        return rows
    return [
        type(row)({names.get(name, name): value for name, value in row.items()}, row.path, row.line) for row in rows
    ]


def _say_which_labels(path: Path, present: Sequence[str]) -> None:
    """Name the column of emotion words that is read, where another one may be meant."""
    others = [name for name in present if name.strip().lower() in _LIKE_LABELS]
    if "labels" in present and others:
        _log.warning(
            "%s: the emotion words are read from the column labels; %s is left alone. Use `--data.columns` to choose another.",
            path, ", ".join(others),
        )  # fmt: skip


def _renamed(path: Path, rows: list[TableRow], columns: Mapping[str, str]) -> list[TableRow]:
    """The rows with our names for the columns that the user has named."""
    present = columns_of(rows)
    without_text = columns.get("text") == ""
    columns = {ours: plain_characters(theirs) for ours, theirs in columns.items() if ours != "text" or theirs}
    for ours, theirs in columns.items():
        if ours not in COLUMNS:
            raise ConfigurationError(f"There is no kind of column {ours!r}. Use one of {', '.join(COLUMNS)}.")
        if theirs not in present:
            raise DataError(f"{path} has no column {theirs!r}; its columns are {', '.join(present)}.")
    names = {theirs: ours for ours, theirs in columns.items()}
    return [
        type(row)(
            {
                **{names.get(name, name): value for name, value in row.items() if name in names or name not in columns},
                **({"text": ""} if without_text else {}),
            },
            row.path,
            row.line,
        )
        for row in rows
    ]


def _name(row: TableRow) -> str:
    value = row.get("name")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(row, "name")


def _record(row: TableRow, corpus: str, needs_truth: bool) -> ClipRecord:
    labels = () if row.get("labels") is None else words_of(row, "labels")
    if not labels and (chosen := _text(row, "class")):
        labels = (chosen,)  # one of a closed set, whole: it may have several words
    sentiment = None if row.get("sentiment") in (None, "") else number_of(row, "sentiment")
    description = _text(row, "description")
    if description and is_no_word(description) and not row.get("question"):  # "None" answers a question
        refuse(row, "description", f"expected a sentence, found {description!r}. Leave the cell empty.")
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
        span=None if needs_truth else _span(row),
        question=_text(row, "question") if description else "",
    )


def _span(row: TableRow) -> tuple[float, float] | None:
    """The part of its file that a clip is, for `predict` alone; features of files are kept by whole files."""
    if row.get("segment_start") in (None, "") and row.get("segment_end") in (None, ""):
        return None
    start, end = number_of(row, "segment_start"), number_of(row, "segment_end")
    if not 0 <= start < end:
        refuse(row, "segment_end", f"expected an end behind the start, both in seconds, found {start:g} and {end:g}.")
    return start, end


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
            f"{', '.join(COLUMNS)}. Rename or add columns, or name them with `--data.columns`."
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
    if not text:
        return None
    path = row.path.parent / Path(text).expanduser()
    return path if "\\" not in text or path.exists() else row.path.parent / text.replace("\\", "/")
