"""The truth that predictions are scored against: official label files, and tables of the user's own.

Paper: Appendix C and Table 11. Official files are read by `data/readers/benchmark.py`; any csv, jsonl or parquet table
with clip names and emotion words or sentiment values by this module. `pairing.py` joins truths and predictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from affect_lightning.corpora.benchmark import Truth, read_truths, truth_of
from affect_lightning.corpora.sets import BENCHMARK_SETS, BenchmarkSet
from affect_lightning.corpora.tables import TableRow, parse_labels, shown
from affect_lightning.errors import DataError
from affect_lightning.plugin_loading.listing import nearest_hint
from affect_lightning.unibench.row_files import ROW_FILE_SUFFIXES, columns_of, read_row_file, refuse

NAME_COLUMNS = ("name", "filename", "clip", "id")
LABEL_COLUMNS = ("openset", "labels", "label", "emotions", "emotion", "emo", "discrete")
SENTIMENT_COLUMNS = ("val", "valence", "sentiment")
# Label files of sets outside MER-UniBench, such as OV-MERD's 332 clips: tried in order inside the set's folder.
_OWN_STEMS = ("label", "labels", "openset", "check-openset")


def find_label_file(roots: Sequence[Path], dataset: str) -> Path:
    """The label file of a set.

    Args:
        roots: Each is the folder of all sets, the set's folder, or the label file itself; the first that has it wins.
        dataset: Key of the set: one of MER-UniBench, or a name of the user's own.

    Raises:
        DataError: None has it, or a root is the official folder of another set.
    """
    item = BENCHMARK_SETS.get(dataset)
    tried: list[str] = []
    for root in roots:
        if root.is_file():
            return root
        if not root.is_dir():
            raise DataError(f"There is no folder or file {root} with the labels of {dataset}.")
        others = [other for other in BENCHMARK_SETS.values() if other.folder == root.name and other.key != dataset]
        if others:
            raise DataError(f"{root} is the folder of {others[0].title} ({others[0].key}), not of {dataset}.")
        for candidate in _candidates(root, dataset, item):
            tried.append(str(candidate))
            if candidate.is_file():
                return candidate
    hint = "" if item is not None else nearest_hint(dataset, BENCHMARK_SETS)
    raise DataError(
        f"The labels of {dataset} were not found; tried {shown(tried)}.{hint} Give the folder of all sets, the set's "
        f"folder or the label file. The sets of MER-UniBench are {', '.join(BENCHMARK_SETS)}; others need a label file "
        f"of their own."
    )


def _candidates(root: Path, dataset: str, item: BenchmarkSet | None) -> list[Path]:
    own = [f"{stem}{suffix}" for stem in _OWN_STEMS for suffix in ROW_FILE_SUFFIXES]
    if item is not None:
        folders = [root / item.folder, root / dataset, root]
        names = [*item.label_files, *(name for name in own if name not in item.label_files)]
    else:
        folders, names = [root / dataset, root / f"{dataset}-process", root], own
    beside = [root / f"{dataset}{suffix}" for suffix in (".npz", *ROW_FILE_SUFFIXES)]
    return [folder / name for folder in folders[:-1] for name in names] + beside + [root / name for name in names]


def read_set_truths(path: Path, dataset: str) -> dict[str, Truth]:
    """Truths by clip name.

    Args:
        path: An official label file, or a csv, jsonl or parquet table with a column of NAME_COLUMNS and one of
            LABEL_COLUMNS (emotion words; for a basic set one of its emotions or its index) or SENTIMENT_COLUMNS.
        dataset: Key of the set.

    Raises:
        DataError: The file is missing, broken, refused, lacks a column, has an unreadable label or a clip twice; the
            message names file, row and column.
        ConfigurationError: Parquet without pyarrow.
    """
    item = BENCHMARK_SETS.get(dataset)
    if path.suffix.lower() == ".npz":
        if item is None:
            raise DataError(f"{path}: labels of {dataset}, a set of your own, are read from csv, jsonl or parquet.")
        return read_truths(path, item)
    if item is not None and item.label_columns and path.name in item.label_files:
        return read_truths(path, item)
    rows = read_row_file(path)
    words, values = item is None or item.task != "sentiment", item is None or item.task == "sentiment"
    name = _column(path, rows, NAME_COLUMNS)
    labels = _column(path, rows, LABEL_COLUMNS) if words else None
    sentiment = _column(path, rows, SENTIMENT_COLUMNS) if values else None
    if name is None or (labels is None and sentiment is None):
        wanted = (
            NAME_COLUMNS if name is None else (LABEL_COLUMNS if words else ()) + (SENTIMENT_COLUMNS if values else ())
        )
        raise DataError(
            f"{path} has no column with the {'names' if name is None else 'truth'} of the clips of {dataset}; its "
            f"columns are {', '.join(columns_of(rows))}. Expected one of {', '.join(wanted)}."
        )
    truths: dict[str, Truth] = {}
    for row in rows:
        clip = str(row.get(name) or "").strip()
        if not clip or clip in truths:
            refuse(row, name, f"the clip {clip!r} stands there twice." if clip else "the clip has no name.")
        truths[clip] = Truth(
            _words(row, labels, item) if labels is not None else (),
            _value(row, sentiment, item) if sentiment is not None else None,
        )
    return truths


def _column(path: Path, rows: list[TableRow], known: Sequence[str]) -> str | None:
    found = [column for column in columns_of(rows) if column.strip().lower() in known]
    if len(found) > 1:
        raise DataError(f"{path} has more than one column for the same thing: {', '.join(found)}. Keep one of them.")
    return found[0] if found else None


def _words(row: TableRow, column: str, item: BenchmarkSet | None) -> tuple[str, ...]:
    value = row.get(column)
    if item is not None and item.task == "basic":
        return truth_of({"emo": value}, item, row.where(column)).labels
    if isinstance(value, str):
        return parse_labels(value, row.where(column))
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        refuse(row, column, f"expected a list of emotion words, found {value!r}. Mend the cell.")
    return tuple(word.strip() for word in value if word.strip())


def _value(row: TableRow, column: str, item: BenchmarkSet | None) -> float:
    value = row.get(column)
    if item is not None:
        return truth_of({"val": value}, item, row.where(column)).sentiment or 0.0
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        refuse(row, column, f"expected a sentiment value such as -0.5, found {value!r}.")
    return number
