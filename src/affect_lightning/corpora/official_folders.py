"""Read a set from its folder: the sets of MER-UniBench and of third parties, MER-Caption+, OV-MERD and MER2026.

Paper: Section 2, Appendix C and Table 11. `sets.py` says what lies where, `truths.py` reads the label files, and
`corpus_file.py` counts. Nothing is decoded here. A media file that is missing is still named, at the place where it
should be: the loader then quarantines that clip by its counted policy, so that nothing disappears silently.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import TableRow, find_file, index_rows, read_rows, shown
from affect_lightning.corpora.corpus_file import ExpectedCount, check_count, expected_number
from affect_lightning.corpora.known_sets import canonical_key, find_benchmark_set, near_hint
from affect_lightning.corpora.media_folders import MediaFolders
from affect_lightning.corpora.own_clips import read_table_clips
from affect_lightning.corpora.sets import TRAINING_SETS, BenchmarkSet, Split, TrainingSet, made_by, subtitle_columns
from affect_lightning.corpora.table_cells import words_of
from affect_lightning.corpora.truths import SplitTruths, read_official_labels, read_truths
from affect_lightning.errors import DataError

MissingSubtitle = Literal["error", "empty"]

_log = logging.getLogger(__name__)


class Subtitle(NamedTuple):
    """What is said in a clip, in both languages; an empty text where a language is not given."""

    english: str
    chinese: str


def read_benchmark_set(
    root: Path | str,
    key: str,
    *,
    split: Split = "test",
    expected_count: ExpectedCount = "official",
    missing_subtitle: MissingSubtitle = "error",
    counts: Counter[str] | None = None,
) -> list[ClipRecord]:
    """The clips of one set, sorted by name: its test split, which is scored, or its training split.

    Args:
        root: Folder that contains the set's folder, or that folder itself.
        key: Of the set, such as `meld`, or a name such as `CMU-MOSI`; see `known_sets`.
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
    item = find_benchmark_set(key, Path(root))
    key = item.key
    folder = _benchmark_folder(Path(root), item)
    labels = _read_labels(folder, item, split)
    media = MediaFolders(folder, item)
    names = sorted(labels.truths)
    wanted = expected_number(folder, item, expected_count) if split == "test" else None
    if not item.subtitle_files:
        if wanted is not None:
            check_count(item, labels, wanted, {*names, *media.names})
        clips = {clip.name: clip for clip in read_table_clips(labels.path, key)}
        return [_with_truth(media.completed(clips[name]), labels) for name in names]
    subtitle_path = find_file(folder, item.subtitle_files, f"the subtitles of {item.title}")
    if wanted is not None and wanted[0] != len(names):
        check_count(item, labels, wanted, read_subtitles(subtitle_path).keys() | media.names)
    subtitles = subtitles_of(names, subtitle_path, missing_subtitle, counts)
    return [_with_truth(media.record(name, key, *subtitles[name]), labels) for name in names]


def _with_truth(clip: ClipRecord, labels: SplitTruths) -> ClipRecord:
    truth = labels.truths[clip.name]
    return replace(clip, labels=truth.labels, sentiment=truth.sentiment)


def benchmark_names(root: Path | str, key: str, *, every_split: bool = False) -> frozenset[str]:
    """Names of the test clips, from the label file alone: to keep them out of a training set.

    Args:
        root: Folder that contains the set's folder, or that folder itself.
        key: Of the set.
        every_split: Whether the names in the other parts of the label file are wanted, too.

    Raises:
        DataError: See `read_benchmark_set`.
    """
    item = find_benchmark_set(key, Path(root))
    labels = _read_labels(_benchmark_folder(Path(root), item), item, "test")
    return labels.other_names | labels.truths.keys() if every_split else frozenset(labels.truths)


def _benchmark_folder(root: Path, item: BenchmarkSet) -> Path:
    if not root.is_dir():
        raise DataError(
            f"The folder {root} is missing. Give the folder that contains {item.folder} ({item.title}).{made_by(root)}"
        )
    folder = root if root.name == item.folder else root / item.folder
    if not folder.is_dir():
        found = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise DataError(
            f"{item.title} is missing: {root} has no folder {item.folder}; it has {shown(found) if found else 'none'}. "
            f"Give the folder that contains {item.folder}, or leave {item.key} out of the sets to test."
        )
    return folder


def _read_labels(folder: Path, item: BenchmarkSet, split: Split) -> SplitTruths:
    """The label file of a split that has clips."""
    if split not in ("test", "train"):
        raise DataError(f"The splits of a set are test and train; got {split!r}.")
    if split == "train" and item.train_corpus_key is None:
        raise DataError(
            f"{item.title} has no training split: MER-UniBench uses it only for testing. Leave {item.key} out of the sets to "
            f"train on."
        )
    path = find_file(folder, item.label_files, f"the labels of {item.title}")
    if item.corpus_key is not None or item.label_columns:
        return read_official_labels(path, item, split)
    return SplitTruths(path, read_truths(path, item.key, item))


def read_training_set(
    root: Path | str,
    key: str = "mer-caption-plus",
    *,
    missing_subtitle: MissingSubtitle = "error",
    counts: Counter[str] | None = None,
) -> list[ClipRecord]:
    """The annotated clips of a training set, sorted by name; videos without annotation are no part of it.

    Args:
        root: Folder that contains the set's folder (`mer-caption-plus/`, `ovmerd/`), or that folder itself. The three
            sets may share one folder, as they do in MER2026.
        key: Of the set, or a name that means it; see TRAINING_SETS. MER-Caption+ is the paper's training set (Section 5).
        missing_subtitle: What to do with a clip that has no row in the table of subtitles: `error` (our choice, because
            the paper's models read the subtitle), or `empty`, which is logged and counted.
        counts: If given, `counts` grows by the clips found under "without subtitle", "without emotion words" and
            "without description".

    Returns:
        One record for each clip that has words, a description or both. `labels` or `description` is empty where the
        clip has none; such clips are logged and counted.

    Raises:
        DataError: Unknown key; folder, file or column missing; unreadable words; empty set; missing subtitle.
    """
    key = canonical_key(key, TRAINING_SETS)
    if key not in TRAINING_SETS:
        hint = near_hint(key, TRAINING_SETS)
        raise DataError(f"There is no training set {key!r}.{hint} The sets are {', '.join(TRAINING_SETS)}.")
    item = TRAINING_SETS[key]
    folder = _training_folder(Path(root), item)
    rows = _rows_of(folder, item.label_file, "openset", f"the emotion words of {item.title}")
    labels = {name: words_of(row, "openset") for name, row in rows.items()}
    rows = _rows_of(folder, item.description_file, "reason", f"the descriptions of {item.title}")
    descriptions = {name: row["reason"] for name, row in rows.items()}
    names = sorted({*labels, *descriptions})
    if not names:
        raise DataError(f"{folder / item.label_file} lists no clips of {item.title}. Restore the official file.")
    without_words = [name for name in names if not labels.get(name)]
    without_description = [name for name in names if not descriptions.get(name)]
    if without_words:
        _count(counts, "without emotion words", without_words, folder / item.label_file)
    if without_description and item.description_file is not None:
        _count(counts, "without description", without_description, folder / item.description_file)
    subtitle_path = find_file(folder, item.subtitle_files, f"the subtitles of {item.title}")
    subtitles = subtitles_of(names, subtitle_path, missing_subtitle, counts)
    media = MediaFolders(folder, item)
    return [
        replace(
            media.record(name, key, *subtitles[name]),
            labels=labels.get(name, ()),
            description=descriptions.get(name, ""),
        )
        for name in names
    ]


def training_folder(root: Path, item: TrainingSet) -> Path | None:
    """Where a training set lies: the root, or one of the set's folders in it, whichever has the labels; else None."""
    folders = [root, *(root / name for name in (item.key, *item.shared_folders))]
    labelled = [folder for folder in folders if (folder / item.label_file).is_file()]
    named = [folder for folder in (root / item.key, root) if folder.name == item.key and folder.is_dir()]
    return next(iter([*labelled, *named]), None)


def _training_folder(root: Path, item: TrainingSet) -> Path:
    if not root.is_dir():
        raise DataError(
            f"The folder {root} is missing. Give the folder that contains {item.key} ({item.title}).{made_by(root)}"
        )
    folder = training_folder(root, item)
    if folder is not None:
        return folder
    raise DataError(
        f"{item.title} is missing: {root} has neither a folder {item.key} nor the file {item.label_file}. Give the "
        f"folder that contains one of them; `affect-lightning sandbox` writes such a folder."
    )


def _rows_of(folder: Path, file: str | None, column: str, what: str) -> dict[str, TableRow]:
    """The rows of a training set's table by clip name; none for a set without that table."""
    if file is None:
        return {}
    path = find_file(folder, (file,), what)
    return index_rows(path, read_rows(path, ("name", column)))


def read_subtitles(path: Path) -> dict[str, Subtitle]:
    """Subtitles by clip name, from a table with the columns name, chinese and english, or those of `subtitle_columns`.

    Raises:
        DataError: See `read_rows` and `index_rows`.
    """
    english, chinese = subtitle_columns(path.name)
    rows = index_rows(path, read_rows(path, [*dict.fromkeys(("name", chinese, english))]))
    return {name: Subtitle(english=row[english], chinese=row[chinese]) for name, row in rows.items()}


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
        _count(counts, "without subtitle", missing, path)
    return {name: subtitles.get(name, Subtitle("", "")) for name in names}


def _count(counts: Counter[str] | None, what: str, names: Sequence[str], path: Path) -> None:
    """Log that some clips lack something and add their number to `counts`, if given."""
    _log.warning("%s: %d clips are %s: %s", path, len(names), what, shown(names))
    if counts is not None:
        counts[what] += len(names)
