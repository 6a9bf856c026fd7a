"""Read a set of MER-UniBench from its official folder: the test split, or the training split that lies beside it.

Paper: Appendix C and Table 11. `benchmark_sets.py` is the table of the sets and `clip_counts.py` counts; csv files are
read by `tables.py`, and the pickled dictionaries inside the official `.npz` files by `affect_lightning.safe_npz`, which
runs no code from them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.sets import BenchmarkSet, find_benchmark_set
from affect_lightning.corpora.corpus_file import ExpectedCount, FoundNames, check_count, expected_number
from affect_lightning.corpora.media import MediaFolders
from affect_lightning.corpora.tables import (
    MissingSubtitle,
    find_file,
    index_rows,
    parse_labels,
    read_rows,
    read_subtitles,
    shown,
    subtitles_of,
)
from affect_lightning.errors import DataError

SUBTITLE_FILE = "transcription-engchi-polish.csv"

Split = Literal["test", "train"]


class Truth(NamedTuple):
    """What a label file says of a clip: words, or a sentiment value."""

    labels: tuple[str, ...]
    sentiment: float | None = None


@dataclass(frozen=True)
class _LabelFile:
    """A label file, read: the truths of the wanted split, and the names in its other parts."""

    path: Path
    truths: dict[str, Truth]
    other_names: frozenset[str] = frozenset()


def read_benchmark_set(
    root: Path | str,
    key: str,
    *,
    split: Split = "test",
    expected_count: ExpectedCount = "official",
    missing_subtitle: MissingSubtitle = "error",
    counts: Counter[str] | None = None,
) -> list[ClipRecord]:
    """The clips of one set, sorted by name: its test split, which MER-UniBench scores, or its training split.

    Args:
        root: Folder that contains the set's official folder, or that folder itself.
        key: Of the set, such as `meld`.
        split: `test`, or `train` for the sets whose label file has a training part.
        expected_count: Clips that the test split must have: `official` (Table 11, or what a generated corpus declares
            in its corpus.json), `any`, or a number. The training splits have no number in the paper.
        missing_subtitle: What to do with a clip that has no row in the table of subtitles: `error` (our choice, because
            the paper's models read the subtitle), or `empty`, which is logged and counted.
        counts: If given, `counts["without subtitle"]` grows by the number of such clips.

    Returns:
        One record a clip. `labels` is the one emotion of a basic set or the words of a fine-grained set; `sentiment` is
        set for sentiment sets only. A clip whose video is missing is listed with the path where it should be.

    Raises:
        DataError: Unknown key or split; folder, file or column missing; unreadable label; empty set; a clip in both
            splits; another number of clips than expected; missing subtitle.
    """
    item = find_benchmark_set(key)
    folder = _set_folder(Path(root), item)
    labels = _read_labels(folder, item, split)
    subtitle_path = find_file(folder, (SUBTITLE_FILE,), f"the subtitles of {item.title}")
    media = MediaFolders(folder, item.video_folders, item.audio_folders)
    names = sorted(labels.truths)
    wanted = expected_number(folder, item, expected_count) if split == "test" else None
    if wanted is not None and wanted[0] != len(names):
        found = FoundNames(names, labels.other_names, read_subtitles(subtitle_path), media.names)
        check_count(item, labels.path, wanted, found)
    subtitles = subtitles_of(names, subtitle_path, missing_subtitle, counts)
    return [
        ClipRecord(
            name=name,
            corpus=item.key,
            video=media.video(name),
            audio=media.audio(name),
            face=media.face(name),
            subtitle_english=subtitles[name].english,
            subtitle_chinese=subtitles[name].chinese,
            labels=labels.truths[name].labels,
            sentiment=labels.truths[name].sentiment,
        )
        for name in names
    ]


def read_truths(path: Path, item: BenchmarkSet) -> dict[str, Truth]:
    """Truths of the test split by clip name, from the official label file of a set.

    Args:
        path: The `.csv` or `.npz` file.
        item: The set.

    Raises:
        DataError: The file is missing, unreadable, lacks a column or an entry, has an unreadable label, or is empty.
    """
    return _read_label_file(path, item, "test").truths


def benchmark_names(root: Path | str, key: str, *, split: Split = "test") -> frozenset[str]:
    """Names of the clips of a split, from the label file alone: to keep test clips out of a training set.

    Raises:
        DataError: See `read_benchmark_set`.
    """
    item = find_benchmark_set(key)
    return frozenset(_read_labels(_set_folder(Path(root), item), item, split).truths)


def labelled_names(folder: Path, key: str) -> frozenset[str]:
    """Names of all clips in a set's label file, whatever their split.

    Args:
        folder: The set's folder.
        key: Of the set.

    Raises:
        DataError: See `read_benchmark_set`.
    """
    labels = _read_labels(folder, find_benchmark_set(key), "test")
    return labels.other_names | labels.truths.keys()


def _set_folder(root: Path, item: BenchmarkSet) -> Path:
    if not root.is_dir():
        raise DataError(f"The folder {root} is missing. It should contain {item.folder} ({item.title}).")
    folder = root if root.name == item.folder else root / item.folder
    if not folder.is_dir():
        found = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise DataError(
            f"{item.title} is missing: {root} has no folder {item.folder}; it has {shown(found) if found else 'none'}. "
            f"Give the folder that contains {item.folder}, or leave {item.key} out of the sets to test."
        )
    return folder


def _read_labels(folder: Path, item: BenchmarkSet, split: Split) -> _LabelFile:
    """The label file of a split that has clips."""
    if split not in ("test", "train"):
        raise DataError(f"The splits of a set are test and train; got {split!r}.")
    if split == "train" and item.train_corpus_key is None:
        raise DataError(
            f"{item.title} has no training split: MER-UniBench only tests on it. Leave {item.key} out of the sets to "
            f"train on."
        )
    return _read_label_file(find_file(folder, item.label_files, f"the labels of {item.title}"), item, split)


def _read_label_file(path: Path, item: BenchmarkSet, split: Split) -> _LabelFile:
    labels = _read_csv_labels(path, item) if path.suffix == ".csv" else _read_npz_labels(path, item, split)
    if not labels.truths:
        prefix = f" whose names start with {item.name_prefix!r}" if item.name_prefix and split == "test" else ""
        what = "clips" if split == "test" else "training clips"
        raise DataError(f"{path} lists no {what} of {item.title}{prefix}. Restore the official file.")
    return labels


def _read_csv_labels(path: Path, item: BenchmarkSet) -> _LabelFile:
    rows = index_rows(path, read_rows(path, ("name",), any_of=item.label_columns))
    truths: dict[str, Truth] = {}
    for name, row in rows.items():
        column = next(column for column in item.label_columns if column in row)
        where = row.where(column)
        fine_grained = item.task == "fine-grained"
        words = parse_labels(row[column], where) if fine_grained else (_emotion(row[column], item, where),)
        truths[name] = Truth(words)
    return _LabelFile(path, truths)


def _read_npz_labels(path: Path, item: BenchmarkSet, split: Split) -> _LabelFile:
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
            f"({entries['train']}). Nobody trains on test clips: restore the official file."
        )
    truths = {
        name: truth_of(label, item, f"{path}, entry {entries[split]}, clip {name}")
        for name, label in members[split].items()
    }
    everybody = {str(name) for corpus in content.values() if isinstance(corpus, Mapping) for name in corpus}
    return _LabelFile(path, truths, frozenset(everybody - truths.keys()))


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


def truth_of(label: Any, item: BenchmarkSet, where: str) -> Truth:
    """The truth that a label of a basic or sentiment set means.

    Args:
        label: A mapping with `emo` (a candidate emotion or its index) or `val` (a sentiment value).
        item: The set.
        where: File and clip, for the message.

    Raises:
        DataError: The field is missing, or its value is no emotion or sentiment value of the set.
    """
    field = "val" if item.task == "sentiment" else "emo"
    if not isinstance(label, Mapping) or field not in label:
        found = ", ".join(map(str, label)) if isinstance(label, Mapping) else repr(label)
        raise DataError(f"{where}: the label lacks {field!r}; found {found}. Restore the official label file.")
    where = f"{where}, field {field}"
    if item.task == "sentiment":
        return Truth((), _sentiment(label[field], item, where))
    return Truth((_emotion(label[field], item, where),))


def _emotion(value: Any, item: BenchmarkSet, where: str) -> str:
    """The candidate emotion that a label means: a word, or an index into the candidates."""
    text = str(value).strip().lower()
    if text in item.labels:
        return text
    if text.isdecimal() and int(text) < len(item.labels):
        return item.labels[int(text)]
    candidates = ", ".join(f"{index} {word}" for index, word in enumerate(item.labels))
    raise DataError(f"{where}: the label {value!r} is none of the emotions of {item.title} ({candidates}).")


def _sentiment(value: Any, item: BenchmarkSet, where: str) -> float:
    low, high = item.sentiment_range or (-math.inf, math.inf)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise DataError(
            f"{where}: the sentiment {value!r} is no number in [{low:g}, {high:g}], the range of {item.title}."
        )
    return number
