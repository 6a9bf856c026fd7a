"""The truth of a set's clips: official label files, and tables with clip names and emotion words or sentiment values.

Paper: Appendix C and Table 11. `sets.py` says where the label files lie; `official_folders.py` makes records of what is
read here, and the scorer of saved outputs joins it with predictions. The pickled dictionaries inside the official
`.npz` files are read by `affect_lightning.safe_npz`, which runs no code from them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from affect_lightning.corpora.annotation_tables import (
    ROW_FILE_SUFFIXES,
    RowFile,
    TableRow,
    index_rows,
    read_rows,
    refuse,
    shown,
)
from affect_lightning.corpora.clip_names import check_numbering
from affect_lightning.corpora.known_sets import unknown_hint
from affect_lightning.corpora.sets import BenchmarkSet, Split
from affect_lightning.corpora.table_cells import number_of, words_of
from affect_lightning.corpora.trade_tables import OurRows
from affect_lightning.errors import DataError
from affect_lightning.label_strings import label_key, parse_labels
from affect_lightning.sentiment_strings import one_sided, sentiment_value

NAME_COLUMNS = ("name", "filename", "clip", "id", "clip_id", "clip_name", "file_name", "video_id", "sample_id")
LABEL_COLUMNS = (
    "openset", "labels", "label", "emotions", "emotion", "emo", "discrete", "truth", "ground_truth", "gt",
)  # fmt: skip
SENTIMENT_COLUMNS = ("val", "valence", "sentiment")
# Label files of sets outside MER-UniBench, such as OV-MERD's 332 clips: tried in order inside the set's folder.
_log = logging.getLogger(__name__)
_CODES_READ = (
    "%s: the class codes in the column %s are read in the order of the classes of %s: %s. If your codes have another order, "
    "write the words instead."
)
_OWN_STEMS = ("label", "labels", "openset", "check-openset")


class Truth(NamedTuple):
    """What a label file says of a clip: words, or a sentiment value.

    Attributes:
        labels: Emotion words.
        sentiment: Positive above 0.
        code: The class's index, where a table of your own has it instead of the word.
    """

    labels: tuple[str, ...]
    sentiment: float | None = None
    code: int | None = None


def class_codes(truths: Iterable[Truth]) -> dict[int, str]:
    """Which word each class code of a table was read as, in the order of the codes.

    >>> class_codes([Truth(("happy",), code=1), Truth(("sad",))])
    {1: 'happy'}
    """
    return dict(sorted({truth.code: truth.labels[0] for truth in truths if truth.code is not None}.items()))


def codes_text(codes: Mapping[int, str]) -> str:
    """The mapping as a message shows it.

    >>> codes_text({0: "worried", 1: "happy"})
    '0=worried, 1=happy'
    """
    return ", ".join(f"{code}={word}" for code, word in codes.items())


@dataclass(frozen=True)
class SplitTruths:
    """A label file, read.

    Attributes:
        path: Of the file.
        truths: Of the wanted split, by clip name.
        other_names: Names of clips in its other parts.
    """

    path: Path
    truths: dict[str, Truth]
    other_names: frozenset[str] = frozenset()


def find_label_file(roots: Sequence[Path], dataset: str, sets: Mapping[str, BenchmarkSet]) -> Path:
    """The label file of a set.

    Args:
        roots: Each is the folder of all sets, the set's folder, or the label file itself; the first that has it wins.
        dataset: Key of the set: a known one, or a name of your own.
        sets: The known sets.

    Raises:
        DataError: None has it, or a root is the folder of another set.
    """
    item = sets.get(dataset)
    tried: list[str] = []
    for root in roots:
        if root.is_file():
            return root
        if not root.is_dir():
            raise DataError(
                f"There is no folder or file {root} with the labels of {dataset}.{unknown_hint(dataset, sets)}"
            )
        others = [other for other in sets.values() if other.folder == root.name and other.key != dataset]
        if others:
            raise DataError(f"{root} is the folder of {others[0].title} ({others[0].key}), not of {dataset}.")
        for candidate in _candidates(root, dataset, item):
            tried.append(str(candidate))
            if candidate.is_file():
                return candidate
    raise DataError(
        f"The labels of {dataset} were not found; tried {shown(tried)}. Give the folder of all sets, the set's folder or "
        f"the label file.{unknown_hint(dataset, sets)}{'' if item else ' Give the label file of a set of your own.'}"
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


def read_truths(
    path: Path, dataset: str, item: BenchmarkSet | None, columns: Mapping[str, str] | None = None
) -> dict[str, Truth]:
    """Truths of the test split by clip name.

    Args:
        path: An official label file, or a table (ROW_FILE_SUFFIXES) with a column of NAME_COLUMNS and one of
            LABEL_COLUMNS (emotion words; for a hit-rate set one of its classes or its index) or SENTIMENT_COLUMNS, or one
            that `trade_tables.py` knows.
        dataset: Key of the set.
        item: The set; None for one of your own.
        columns: Names of the table's columns by kind, `truth-name` and `truth`, where they are others.

    Raises:
        DataError: The file is missing, broken, refused, lacks a column or an entry, has an unreadable label or a clip
            twice, or is empty; the message names file, row and column.
        ConfigurationError: Parquet without pyarrow.
    """
    is_npz = path.suffix.lower() == ".npz"
    if item is not None and (is_npz or (item.label_columns and path.name in item.label_files)):
        return read_official_labels(path, item).truths
    if is_npz:
        raise DataError(
            f"{path}: labels of {dataset}, a set of your own, must be one of {', '.join(ROW_FILE_SUFFIXES)}."
        )
    chosen = dict(columns or {})
    rows = OurRows(RowFile(path), "test", keep=[chosen[kind] for kind in ("truth-name", "truth") if kind in chosen])
    present = rows.columns
    label_columns = () if item is not None and item.metric == "waf" else LABEL_COLUMNS
    value_columns = () if item is not None and item.metric != "waf" else SENTIMENT_COLUMNS
    name = _column(path, present, NAME_COLUMNS, "truth-name", chosen)
    if "truth" in chosen:
        labels, sentiment = _chosen_truth(path, present, chosen["truth"], item)
    else:
        labels, sentiment = (_column(path, present, known, "truth", {}) for known in (label_columns, value_columns))
    if name is None or (labels is None and sentiment is None):
        what, wanted, kind = ("names", NAME_COLUMNS, "truth-name") if name is None else (
            "truth", label_columns + value_columns, "truth"
        )  # fmt: skip
        raise DataError(
            f"{path} has no column with the {what} of the clips of {dataset}; its columns are "
            f"{', '.join(present)}. Expected one of {', '.join(wanted)}, or name yours with `--column {kind}=NAME`."
        )
    if "truth-name" not in chosen:
        check_numbering(path, name, "truth-name", rows)
    truths: dict[str, Truth] = {}
    kept: dict[
        tuple[Any, Any], Truth
    ] = {}  # equal cells share their truth, which a million rows could not hold otherwise
    for row in rows:
        clip = "" if row.get(name) is None else str(row[name]).strip()
        if not clip or clip in truths:
            refuse(
                row,
                name,
                f"the clip {clip!r} is listed twice. Keep one of them."
                if clip
                else "the clip has no name. Give it one.",
            )
        cells = (str(row.get(labels or "")), str(row.get(sentiment or "")))
        if cells not in kept:
            kept[cells] = _own_truth(row, labels, sentiment, item)
        truths[clip] = kept[cells]
    values = [truth.sentiment for truth in kept.values() if truth.sentiment is not None]
    warning = one_sided(values)
    if warning:
        _log.warning(warning, path, f"in the column {sentiment or labels}", min(values), max(values))
    codes = class_codes(kept.values())
    if codes:
        _log.warning(_CODES_READ, path, labels, dataset, codes_text(codes))
    return truths


def _own_truth(row: TableRow, labels: str | None, sentiment: str | None, item: BenchmarkSet | None) -> Truth:
    if item is not None:
        truth = _truth_in(row, labels or sentiment or "", item)
        return truth._replace(code=_code(row.get(labels), item)) if labels and item.metric == "hit_rate" else truth
    return Truth(
        words_of(row, labels) if labels is not None else (),
        number_of(row, sentiment) if sentiment is not None else None,
    )


def _chosen_truth(
    path: Path, present: Sequence[str], column: str, item: BenchmarkSet | None
) -> tuple[str | None, str | None]:
    """The column that the user named, as one of words or of values."""
    if column not in present:
        raise DataError(f"{path} has no column {column!r}; its columns are {', '.join(present)}.")
    by_value = item.metric == "waf" if item is not None else column.strip().lower() in SENTIMENT_COLUMNS
    return (None, column) if by_value else (column, None)


def _column(
    path: Path, present: Sequence[str], known: Sequence[str], kind: str, chosen: Mapping[str, str]
) -> str | None:
    if kind in chosen:
        if chosen[kind] not in present:
            raise DataError(f"{path} has no column {chosen[kind]!r}; its columns are {', '.join(present)}.")
        return chosen[kind]
    found = [column for column in present if column.strip().lower() in known]
    if len(found) > 1:
        raise DataError(
            f"{path} has more than one column with the same meaning: {', '.join(found)}. Keep one of them, or choose one "
            f"with `--column {kind}=NAME`."
        )
    return found[0] if found else None


def _truth_in(row: TableRow, column: str, item: BenchmarkSet) -> Truth:
    if item.metric == "f_s":
        return Truth(words_of(row, column))
    return _truth_of(row.get(column), item, row.where(column))


def _code(value: Any, item: BenchmarkSet) -> int | None:
    """The index that a label of a hit-rate set is; None for a word."""
    given = parse_labels(str(value))
    text = label_key(given[0] if len(given) == 1 else str(value)).removesuffix(".0")  # as pandas writes an index
    is_code = text.isdecimal() and len(text) < 4 and int(text) < len(item.labels)
    return int(text) if is_code and text not in map(str.lower, item.labels) else None


def read_official_labels(path: Path, item: BenchmarkSet, split: Split = "test") -> SplitTruths:
    """The official label file of a set, csv or npz.

    Raises:
        DataError: See `read_truths`; also a clip that is in both splits.
    """
    labels = _read_csv(path, item) if path.suffix.lower() == ".csv" else _read_npz(path, item, split)
    if split == "test" and item.clip_list and (path.parent / item.clip_list).is_file():
        labels = _listed(labels, path.parent / item.clip_list)
    if not labels.truths:
        prefix = f" whose names start with {item.name_prefix!r}" if item.name_prefix and split == "test" else ""
        what = "clips" if split == "test" else "training clips"
        raise DataError(f"{path} lists no {what} of {item.title}{prefix}. Restore the official file.")
    return labels


def _listed(labels: SplitTruths, clip_list: Path) -> SplitTruths:
    """The labels of the clips that a list names.

    Raises:
        DataError: A listed clip has no label.
    """
    names = list(index_rows(clip_list, read_rows(clip_list, ("name",))))
    missing = [name for name in names if name not in labels.truths]
    if missing:
        raise DataError(
            f"{labels.path} has no label for {shown(missing)} ({len(missing)} of the {len(names)} clips that "
            f"{clip_list.name} lists). Restore the official files, or take these clips out of the list."
        )
    truths = {name: labels.truths[name] for name in names}
    return SplitTruths(labels.path, truths, labels.other_names | (labels.truths.keys() - truths.keys()))


def _read_csv(path: Path, item: BenchmarkSet) -> SplitTruths:
    rows = index_rows(path, read_rows(path, ("name",), any_of=item.label_columns))
    columns = {name: next(column for column in item.label_columns if column in row) for name, row in rows.items()}
    return SplitTruths(path, {name: _truth_in(row, columns[name], item) for name, row in rows.items()})


def _read_npz(path: Path, item: BenchmarkSet, split: Split) -> SplitTruths:
    from affect_lightning.safe_npz import read_npz

    content = read_npz(path)
    entries = {"test": item.corpus_key, "train": item.train_corpus_key}
    members = {
        name: _members(content[entry], item, name, f"{path}: {entry}")
        for name, entry in entries.items()
        if entry is not None and entry in content
    }
    if split not in members:
        raise DataError(
            f"{path} has no entry {entries[split]!r}; it has {', '.join(content) if content else 'none'}. "
            f"Restore the official label file of {item.title}."
        )
    in_both = sorted(members["test"].keys() & members["train"].keys()) if len(members) == 2 else []
    if in_both:
        raise DataError(
            f"{path} lists {shown(in_both)} ({len(in_both)}) as test clips ({entries['test']}) and as training clips "
            f"({entries['train']}). Every clip must be in one split only: restore the official file."
        )
    truths = {
        name: _truth_in_npz(label, item, f"{path}, entry {entries[split]}, clip {name}")
        for name, label in members[split].items()
    }
    everybody = {str(name) for corpus in content.values() if isinstance(corpus, Mapping) for name in corpus}
    return SplitTruths(path, truths, frozenset(everybody - truths.keys()))


def _members(corpus: Any, item: BenchmarkSet, split: str, where: str) -> dict[str, Any]:
    """The clips of a split; a set with a name prefix keeps both splits in one entry."""
    if not isinstance(corpus, Mapping):
        raise DataError(f"{where} must be a dictionary of clips, found {type(corpus).__name__}.")
    in_test = item.name_prefix if item.corpus_key == item.train_corpus_key else ""
    return {
        str(name): label
        for name, label in corpus.items()
        if not in_test or str(name).startswith(in_test) == (split == "test")
    }


def _truth_in_npz(label: Any, item: BenchmarkSet, where: str) -> Truth:
    """The truth of a clip's dictionary: `emo` (a class or its index) or `val` (a sentiment value)."""
    field = "val" if item.metric == "waf" else "emo"
    if not isinstance(label, Mapping) or field not in label:
        found = ", ".join(map(str, label)) if isinstance(label, Mapping) else repr(label)
        raise DataError(f"{where}: the label has no field {field!r}; found {found}. Restore the official label file.")
    return _truth_of(label[field], item, f"{where}, field {field}")


def _truth_of(value: Any, item: BenchmarkSet, where: str) -> Truth:
    """The truth that a value means in a hit-rate or WAF set."""
    if item.metric == "waf":
        return Truth((), _sentiment(value, item, where))
    return Truth((_emotion(value, item, where),))


def _emotion(value: Any, item: BenchmarkSet, where: str) -> str:
    """The class that a label means: a word, or an index into the classes."""
    given = parse_labels(str(value))
    text = label_key(given[0] if len(given) == 1 else str(value))
    words = {word.lower(): word for word in item.labels}
    if text in words:
        return words[text]
    code = _code(value, item)
    if code is not None:
        return item.labels[code]
    candidates = ", ".join(f"{index} {word}" for index, word in enumerate(item.labels))
    raise DataError(f"{where}: the label {value!r} is not one of the emotions of {item.title} ({candidates}).")


def _value(value: Any) -> float:
    """The number of a sentiment in whatever form; NaN if it has none."""
    try:
        number = sentiment_value(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    return math.nan if number is None else number


def _sentiment(value: Any, item: BenchmarkSet, where: str) -> float:
    low, high = item.sentiment_range or (-math.inf, math.inf)
    number = _value(value)
    if not math.isfinite(number) or not low <= number <= high:
        raise DataError(
            f"{where}: the sentiment {value!r} is not a number in [{low:g}, {high:g}], the range of {item.title}."
        )
    return number
