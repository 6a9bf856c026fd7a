"""Which sets are in a folder, and whether their tables and folders are complete, before any clip is opened.

Paper: Appendix C (annotation files) and Table 11 (numbers of clips). `corpora` does the reading: what it refuses,
training or testing would refuse. `clip_checks.py` checks the clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora import TRAINING_SETS, BenchmarkSet, TrainingSet, find_benchmark_set, known_sets
from affect_lightning.corpora.annotation_tables import find_file
from affect_lightning.corpora.corpus_file import (
    ExpectedCount,
    declared_training_number,
    declared_words,
    expected_number,
)
from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from affect_lightning.corpora.official_folders import (
    benchmark_names,
    read_benchmark_set,
    read_subtitles,
    read_training_set,
    training_folder,
)
from affect_lightning.corpora.own_clips import is_own_table, read_own_table, table_path
from affect_lightning.corpora.sets import made_by
from affect_lightning.data.own_descriptions import faults_of_descriptions
from affect_lightning.errors import DataError
from affect_lightning.inspection.findings import Finding

NEUTRAL = "neutral"


@dataclass(frozen=True)
class FoundSet:
    """A set to check.

    Attributes:
        key: Of the set; the path of the file for a table of your own.
        role: Whether it is trained or tested on.
        root: What the readers take: the folder above the set's folder, or that folder; the table's own path.
        folder: The set's folder.
        item: Its row in the table of the sets; None for a table of your own.
        columns: Column names of a table of your own; see `read_own_table`.
    """

    key: str
    role: Literal["training", "test"]
    root: Path
    folder: Path
    item: BenchmarkSet | TrainingSet | None = None
    columns: Mapping[str, str] | None = None


def find_sets(root: Path) -> list[FoundSet]:
    """Every known set in a folder, or the one that the folder itself is.

    Raises:
        DataError: The folder is missing, or holds none.
    """
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}. Give the folder that holds the sets, or the folder of one set.{made_by(root)}"
        )
    root = root.resolve()
    found: list[FoundSet] = []
    for key, item in TRAINING_SETS.items():
        place = training_folder(root, item)
        if place is not None:
            found.append(FoundSet(key, "training", root, place, item))
    sets = known_sets(root)
    for key, benchmark in sets.items():
        folder = root if root.name == benchmark.folder else root / benchmark.folder
        if folder.is_dir():
            found.append(FoundSet(key, "test", root, folder, benchmark))
    if not found:
        expected = [*TRAINING_SETS, *(item.folder for item in sets.values())]
        raise DataError(
            f"{root} holds no official set. Expected one or more of the folders {', '.join(expected)}, or one of them "
            f"itself; `affect-lightning sandbox --out DIR` writes such folders."
        )
    return found


def named_sets(
    keys: tuple[str, ...],
    role: Literal["training", "test"],
    root: Path | None,
    columns: Mapping[str, str] | None = None,
) -> list[FoundSet]:
    """The sets that a configuration names, found or not.

    Args:
        keys: Of known sets, or paths of tables.
        role: Of all of them.
        root: `train_root` or `benchmark_root`.
        columns: Column names of tables of your own.

    Raises:
        DataError: A set is named, but `root` is not set.
    """
    sets = []
    for key in keys:
        if is_own_table(key):
            path = table_path(key, root)
            sets.append(FoundSet(key, role, path, path.parent, columns=columns))
            continue
        if root is None:
            option = "train_root" if role == "training" else "benchmark_root"
            raise DataError(
                f"The configuration names the set {key}, but data.{option} is not set. Set it, or give --data."
            )
        item = TRAINING_SETS.get(key) or find_benchmark_set(key, root)
        folder = root if root.name == item.folder or not (root / item.folder).is_dir() else root / item.folder
        if isinstance(item, TrainingSet):
            folder = training_folder(root, item) or folder
        sets.append(FoundSet(key, role, root, folder, item))
    return sets


@dataclass(frozen=True)
class CheckedAnnotations:
    """What the tables of a set say.

    Attributes:
        clips: The annotated clips; empty if the tables cannot be read.
        findings: What is wrong with them.
    """

    clips: list[ClipRecord]
    findings: list[Finding]


def check_annotations(
    found: FoundSet, *, expected_count: ExpectedCount = "official", needs_media: bool = True
) -> CheckedAnnotations:
    """Read the tables of a set and compare them with each other and with the files.

    Args:
        found: The set.
        expected_count: See `corpora.corpus_file.expected_number`.
        needs_media: Whether files that are missing or surplus matter.
    """
    try:
        clips = _read(found, "any")
    except DataError as error:
        return CheckedAnnotations([], [Finding(_corpus(found), "annotation-file", "problem", text=str(error))])
    findings = [*_count(found, clips, expected_count)]
    findings += [*_subtitles(found, clips), *_targets(found, clips), *_descriptions(found, clips)]
    if needs_media:
        findings += _missing_files(found, clips)
    return CheckedAnnotations(clips, findings)


def _corpus(found: FoundSet) -> str:
    return Path(found.key).stem if is_own_table(found.key) else found.key


def _read(found: FoundSet, expected_count: ExpectedCount) -> list[ClipRecord]:
    if is_own_table(found.key):
        return read_own_table(found.root, found.columns, "train" if found.role == "training" else "test")
    if isinstance(found.item, TrainingSet):
        return read_training_set(found.root, found.key, missing_subtitle="empty")
    return read_benchmark_set(
        found.root,
        found.key,
        split="train" if found.role == "training" else "test",
        expected_count=expected_count,
        missing_subtitle="empty",
    )


def _count(found: FoundSet, clips: Sequence[ClipRecord], expected: ExpectedCount) -> list[Finding]:
    if found.item is None or expected == "any":
        return []
    try:
        if found.role == "test" and isinstance(found.item, BenchmarkSet):
            wanted = expected_number(found.folder, found.item, expected)
            if wanted is not None and wanted[0] != len(clips):
                _read(found, expected)  # its error names the clips that are missing or surplus
            return []
        official = found.item.clips if isinstance(found.item, TrainingSet) else None
        number = declared_training_number(found.folder, found.key) or official
    except DataError as error:
        return [Finding(found.key, "clip-count", "problem", text=str(error))]
    if number is None or number == len(clips):
        return []
    text = f"{len(clips)} clips are annotated, expected {number}. Restore the official files, or use --expected-counts any."
    return [Finding(found.key, "clip-count", "problem", text=text)]


def _subtitles(found: FoundSet, clips: Sequence[ClipRecord]) -> list[Finding]:
    if found.item is None or not found.item.subtitle_files:
        return []
    file = find_file(found.folder, found.item.subtitle_files, f"the subtitles of {found.item.title}")
    rows = read_subtitles(file)
    missing = tuple(clip.name for clip in clips if clip.name not in rows)
    if not missing:
        return []
    return [
        Finding(
            found.key,
            "missing-subtitle",
            "problem",
            missing,
            f"no row in {file.name}; add the rows, or set missing_subtitle: empty",
        )
    ]


def _targets(found: FoundSet, clips: Sequence[ClipRecord]) -> list[Finding]:
    """Clips of a training set that lack one of the two things to learn."""
    item = found.item
    if not isinstance(item, TrainingSet):
        return []
    findings = []
    without_words = tuple(clip.name for clip in clips if not clip.labels)
    if without_words:
        findings.append(Finding(found.key, "missing-words", "problem", without_words, f"no words in {item.label_file}"))
    without = tuple(clip.name for clip in clips if not clip.description) if item.description_file else ()
    if without:
        text = f"no description in {item.description_file}; these clips are asked for words only"
        findings.append(Finding(found.key, "missing-description", "problem", without, text))
    return findings


def _descriptions(found: FoundSet, clips: Sequence[ClipRecord]) -> list[Finding]:
    """Descriptions of a table of your own that a model wrote, and that are none."""
    if found.item is not None:
        return []
    faults = faults_of_descriptions(clips)
    return [
        Finding(_corpus(found), "bad-description", "note" if names is faults.thoughts else "problem", names, text)
        for names, text in faults.texts
    ]


def _missing_files(found: FoundSet, clips: Sequence[ClipRecord]) -> list[Finding]:
    missing = {
        clip.name: [str(path) for path in (clip.video, clip.audio) if path is not None and not _is_there(path)]
        for clip in clips
    }
    details = {name: {"paths": paths} for name, paths in missing.items() if paths}
    if not details:
        return []
    return [Finding(_corpus(found), "missing-file", "problem", tuple(details), "video or sound file", details)]


def _is_there(path: Path) -> bool:
    """Whether there is anything of that name; what it is, decoding tells."""
    return path.exists() or path.is_symlink()


def surplus_files(sets: Sequence[tuple[FoundSet, Sequence[ClipRecord]]]) -> list[Finding]:
    """Media files that no annotation names, by folder: sets may share one.

    In a training folder that is usual (MER-Caption+ comes with 132,171 videos for 31,327 annotated clips), and in a set
    with `unlabelled_media`; so there it is a note.
    """
    findings: list[Finding] = []
    for folder in dict.fromkeys(found.folder for found, _ in sets if found.item is not None):
        here = [(found, clips) for found, clips in sets if found.folder == folder and clips]
        if not here:
            continue
        names = {clip.name for _, clips in here for clip in clips}
        names |= {path.stem for _, clips in here for clip in clips for path in (clip.video, clip.audio) if path}
        for found, _ in here:
            if isinstance(found.item, BenchmarkSet):
                names |= benchmark_names(found.root, found.key, every_split=True)
        folders = [item for found, _ in here for item in _media_folders(found)]
        surplus = sorted(
            f"{name}/{path.name}"
            for name in dict.fromkeys(folders)
            for path in ((folder / name).iterdir() if (folder / name).is_dir() else ())
            if path.stem not in names or path.suffix.lower() not in (*VIDEO_SUFFIXES, *AUDIO_SUFFIXES)
        )
        if surplus:
            usual = any(found.role == "training" or _may_lack_labels(found) for found, _ in here)
            text = "no annotation names them, so they are never read"
            findings.append(
                Finding(here[0][0].key, "surplus-file", "note" if usual else "problem", tuple(surplus), text)
            )
    return findings


def _media_folders(found: FoundSet) -> tuple[str, ...]:
    return () if found.item is None else (*found.item.video_folders, *found.item.audio_folders)


def _may_lack_labels(found: FoundSet) -> bool:
    return isinstance(found.item, BenchmarkSet) and found.item.unlabelled_media


def unknown_words(found: FoundSet, clips: Sequence[ClipRecord], is_known: Callable[[str], bool]) -> list[Finding]:
    """Emotion words that a taxonomy does not know, with the clips that have them.

    `neutral`, which is on no wheel, and the words that a generated corpus declares are left out.

    Args:
        found: The set.
        clips: Its clips.
        is_known: Whether the taxonomy knows a word (paper, Section 4: unknown words are dropped).
    """
    try:
        meant = {NEUTRAL} | declared_words(found.folder)
    except DataError:  # the check of the counts reports a broken corpus.json
        meant = {NEUTRAL}
    clips_by_word: dict[str, list[str]] = {}
    for clip in clips:
        for word in clip.labels:
            if word not in meant and not is_known(word):
                clips_by_word.setdefault(word, []).append(clip.name)
    if not clips_by_word:
        return []
    often = Counter({word: len(names) for word, names in clips_by_word.items()}).most_common()
    words = tuple(word for word, _ in often)
    details = {word: {"clips": clips_by_word[word]} for word in words}
    affected = len({name for names in clips_by_word.values() for name in names})
    text = f"words that the taxonomy drops, in {affected} clips"
    return [Finding(_corpus(found), "unknown-word", "problem", words, text, details)]
