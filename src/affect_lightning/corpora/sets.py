"""The table of the sets: names, folders, files, labels and metrics, and the suite whose mean the paper reports.

Paper: Table 11 (clips and labels), Section 4 (metrics), Section 2 and Appendix C (training sets). A table and nothing
else: `official_folders.py` and `truths.py` read by it, `affect_lightning.unibench` scores by it, and the sandbox writes
by it. `known_sets.py` adds the sets of third parties. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from affect_lightning.errors import DataError

Metric = Literal["hit_rate", "waf", "f_s"]
Split = Literal["test", "train"]

METRIC_TITLES: dict[str, str] = {"hit_rate": "hit rate", "waf": "WAF", "f_s": "F_S"}

# Columns (English, Chinese) of the transcripts that have one language: it serves for both, as in the authors' code.
_ONE_LANGUAGE = {"transcription_merge.csv": ("chinese", "chinese"), "subtitle_eng.csv": ("sentence", "sentence")}

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_GENERATED = "sandbox-data"  # what the experiments and the README call the generated corpus
_VIDEO_FOLDERS = ("video", "subvideo", "subvideo-tgt")
_AUDIO_FOLDERS = ("audio", "subaudio")


def subtitle_columns(file: str) -> tuple[str, str]:
    """The columns of a transcript with the English and with the Chinese text.

    >>> subtitle_columns("subtitle_eng.csv"), subtitle_columns("transcription-engchi-polish.csv")
    (('sentence', 'sentence'), ('english', 'chinese'))
    """
    return _ONE_LANGUAGE.get(file, ("english", "chinese"))


@dataclass(frozen=True)
class BenchmarkSet:
    """One test set as it lies on the disk: of MER-UniBench, or of a third party.

    The defaults are the layout of a third party: one table with a row a clip (docs/data.md), media next to it.

    Attributes:
        key: Name in options, predictions and reports; also `ClipRecord.corpus`.
        title: Name in tables.
        metric: Primary metric: `hit_rate` for one basic emotion a clip, `waf` for a sentiment value, `f_s` for any
            number of words.
        folder: Folder name.
        label_files: Accepted names of the label file; the first is the official one, the first that is there is read.
        clips: Number of clips (Table 11); None for any number. The training parts have no number there.
        corpus_key: Entry of the `.npz` file that is the test part; None for a table, which is read whole.
        train_corpus_key: Entry of the `.npz` file that is the training part; None for a set without one. Where it is
            the same entry, the clips whose names lack `name_prefix` are the training part.
        labels: Closed classes of a hit-rate set; an integer label is an index into them.
        labels_as_index: Whether the official file has the index instead of the word; either is read.
        label_columns: Accepted label columns of an official csv; empty for a table in the layout of docs/data.md.
        name_prefix: Only clips whose name starts so belong to the set (IEMOCAP: Session 5).
        sentiment_range: Lowest and highest sentiment value of a WAF set; None for any number.
        subtitle_files: Accepted names of the transcript; empty where the table itself has the column `text`. See
            `subtitle_columns` for what stands in them.
        clip_list: A table with the column `name` that lists the clips of the set, where it is there: labels of other
            clips are left alone. Empty for a set whose label file lists its clips.
        video_folders: Accepted folders of the videos; the first is the official one.
        audio_folders: Accepted folders of the sound files; the first is the official one.
        unlabelled_media: Whether media without labels belong in the folder.
        aliases: Other names that people give the set, besides key, title and folder; see `known_sets.py`.

    Raises:
        DataError: A value is none that a set can have.
    """

    key: str
    title: str
    metric: Metric
    folder: str
    label_files: tuple[str, ...] = ("labels.csv", "labels.jsonl")
    clips: int | None = None
    corpus_key: str | None = None
    train_corpus_key: str | None = None
    labels: tuple[str, ...] = ()
    labels_as_index: bool = False
    label_columns: tuple[str, ...] = ()
    name_prefix: str = ""
    sentiment_range: tuple[float, float] | None = None
    subtitle_files: tuple[str, ...] = ()
    clip_list: str = ""
    video_folders: tuple[str, ...] = _VIDEO_FOLDERS
    audio_folders: tuple[str, ...] = _AUDIO_FOLDERS
    unlabelled_media: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"The benchmark set {self.key!r}"
        for item in fields(self):
            value = getattr(self, item.name)
            wanted, fits = _fit(value, str(item.type))
            if not fits:
                raise DataError(f"{where} has {item.name}: {value!r}. Expected {wanted}.")
        if not _KEY.fullmatch(self.key) or self.key == "mean":
            raise DataError(f"{where} needs another key: letters, digits, dots, dashes and underscores, and not mean.")
        if self.metric not in METRIC_TITLES:
            raise DataError(f"{where} has the metric {self.metric!r}. Expected one of {', '.join(METRIC_TITLES)}.")
        if (self.metric == "hit_rate") != bool(self.labels):
            raise DataError(
                f"{where} has the metric {self.metric} and the labels {self.labels}. Name the classes in `labels` for "
                f"hit_rate, and for no other metric."
            )
        if len({word.lower() for word in self.labels}) < len(self.labels):
            raise DataError(f"{where} names a label twice. Keep one of them.")
        if not self.label_files or not self.video_folders:
            raise DataError(f"{where} needs at least one name in `label_files` and in `video_folders`.")
        npz = {name.lower().endswith(".npz") for name in self.label_files}
        entry = self.corpus_key is not None
        untold = False in npz and entry and not self.label_columns  # a table next to the .npz file, of columns unknown
        if (
            (True in npz) != entry
            or untold
            or (self.train_corpus_key is not None and not entry)
            or (entry and not self.subtitle_files)
        ):
            raise DataError(
                f"{where} has the label files {self.label_files}, the entries {self.corpus_key} and "
                f"{self.train_corpus_key} and the transcripts {self.subtitle_files}. Give `corpus_key` and "
                f"`subtitle_files` for .npz files, `label_columns` too where a table will do as well, and neither entry "
                f"for tables alone."
            )


def _fit(value: Any, annotation: str) -> tuple[str, bool]:
    """What a field of that type holds, in words, and whether the value is that."""
    if value is None:
        return "a value", "None" in annotation
    if annotation.startswith("tuple[float"):
        return "two numbers", isinstance(value, tuple) and len(value) == 2 and all(
            type(n) in (int, float) for n in value
        )
    if annotation.startswith("tuple[str"):
        return "a list of texts", isinstance(value, tuple) and all(
            isinstance(one, str) and one.strip() for one in value
        )
    if annotation.startswith("int"):
        return "a whole number above 0", type(value) is int and value > 0
    if annotation == "bool":
        return "true or false", isinstance(value, bool)
    return "a text", isinstance(value, str)


@dataclass(frozen=True)
class Suite:
    """A benchmark: its name, its sets and its mean. Any other set is reported next to it, never in its mean.

    Attributes:
        title: Name in reports.
        sets: By key, in the order of its table.
    """

    title: str
    sets: Mapping[str, BenchmarkSet]

    def scores_of(self, scores: Mapping[str, float | None]) -> list[float]:
        """The scores that enter the mean: those of its own sets, where there is one."""
        return [score for key in self.sets if (score := scores.get(key)) is not None]

    def mean(self, scores: Mapping[str, float | None]) -> float | None:
        """Mean of the primary scores of its sets (Table 2); of those that have one, and None if none has.

        >>> MER_UNIBENCH.mean({"meld": 60.0, "sims": 80.0, "a-tenth-set": 0.0})
        70.0
        """
        known = self.scores_of(scores)
        return math.fsum(known) / len(known) if known else None

    def in_order(self, keys: Iterable[str]) -> list[str]:
        """Keys in the order of the table: its own sets first, then the others by name."""
        order = list(self.sets)
        return sorted(set(keys), key=lambda key: (order.index(key) if key in self.sets else len(order), key))


@dataclass(frozen=True)
class TrainingSet:
    """One annotated training set, as it lies on the disk.

    Attributes:
        key: Also `ClipRecord.corpus` and the folder's name.
        title: Name in messages and tables.
        label_file: Table with the columns name and openset.
        description_file: Table with the columns name and reason; None where the set has no descriptions.
        clips: Number of annotated clips (Section 2); None where the paper has none.
        subtitle_files: Accepted names of the transcript.
        video_folders: Accepted folders of the videos.
        audio_folders: Accepted folders of the sound files.
        shared_folders: Other names of its folder: those in which the authors keep it next to other training sets.
        aliases: Other names that people give the set, besides key and title.
    """

    key: str
    title: str
    label_file: str
    description_file: str | None
    clips: int | None = None
    subtitle_files: tuple[str, ...] = ("subtitle_chieng.csv",)
    video_folders: tuple[str, ...] = ("video",)
    audio_folders: tuple[str, ...] = ("audio",)
    shared_folders: tuple[str, ...] = ("mer2025-dataset",)
    aliases: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder's name."""
        return self.key


TRAINING_SETS: dict[str, TrainingSet] = {
    item.key: item
    for item in (
        TrainingSet(
            "mer-caption-plus",
            "MER-Caption+",
            "track2_train_mercaptionplus.csv",
            "track3_train_mercaptionplus.csv",
            31_327,
        ),
        TrainingSet("ovmerd", "OV-MERD", "track2_train_ovmerd.csv", "track3_train_ovmerd.csv"),
        TrainingSet("mer2026-human", "the human-labelled part of MER2026", "track2_train_human.csv", None),
    )
}

_BILINGUAL = "transcription-engchi-polish.csv"
_official = partial(BenchmarkSet, subtitle_files=(_BILINGUAL,))
_PARTS = ("test_corpus", "train_corpus")
_SIX_EMOTIONS = ("worried", "happy", "neutral", "angry", "surprise", "sad")
_SEVEN_EMOTIONS = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
_FOUR_EMOTIONS = ("happy", "sad", "neutral", "angry")
_SUBFOLDERS: dict[str, Any] = {
    "video_folders": ("subvideo", "video", "subvideo-tgt"),
    "audio_folders": ("subaudio", "audio"),
}
_SESSION_5: dict[str, Any] = {
    **_SUBFOLDERS,
    "name_prefix": "Ses05",
    "video_folders": ("subvideo-tgt", "video", "subvideo"),
}
_CMUMOSEI: dict[str, Any] = {**_SUBFOLDERS, "video_folders": ("subvideo_new", *_SUBFOLDERS["video_folders"])}
_OPENSET = ("ovlabel.csv", "label.csv", "openset.csv", "track2_train_ovmerdplus.csv", "check-openset.csv")

# Key, title, metric, folder, label files, clips, test and training entry of the npz file.
_NINE_SETS = (
    _official("mer2023", "MER2023", "hit_rate", "mer2023-dataset-process", ("label-6way.npz",), 411,
              "test1_corpus", "train_corpus", labels=_SIX_EMOTIONS, aliases=("MER-MULTI", "MER2023-MULTI")),
    _official("mer2024", "MER2024", "hit_rate", "mer2024-dataset-process",
              ("label-6way.npz", "reference-semi.csv", "label.csv", "label-semi.csv"), 1169, "test1_corpus",
              labels=_SIX_EMOTIONS, label_columns=("discrete", "emo", "label", "emotion"),
              subtitle_files=("transcription_merge.csv", _BILINGUAL), unlabelled_media=True,
              aliases=("MER-SEMI", "MER2024-SEMI")),
    _official("meld", "MELD", "hit_rate", "meld-process", ("label.npz",), 2610, *_PARTS,
              labels=_SEVEN_EMOTIONS, labels_as_index=True, **_SUBFOLDERS),
    _official("iemocap", "IEMOCAP", "hit_rate", "iemocap-process", ("label_4way.npz",), 1241,
              "whole_corpus", "whole_corpus", labels=_FOUR_EMOTIONS, labels_as_index=True,
              aliases=("IEMOCAPFour",), **_SESSION_5),
    _official("cmumosi", "CMU-MOSI", "waf", "cmumosi-process", ("label.npz",), 686, *_PARTS,
              sentiment_range=(-3.0, 3.0), aliases=("MOSI",), **_SUBFOLDERS),
    _official("cmumosei", "CMU-MOSEI", "waf", "cmumosei-process", ("label.npz",), 4659, *_PARTS,
              sentiment_range=(-3.0, 3.0), aliases=("MOSEI",), **_CMUMOSEI),
    _official("sims", "CH-SIMS", "waf", "sims-process", ("label.npz",), 457, *_PARTS, sentiment_range=(-1.0, 1.0)),
    _official("simsv2", "CH-SIMS v2", "waf", "simsv2-process", ("label.npz",), 1034, *_PARTS,
              sentiment_range=(-1.0, 1.0), video_folders=("video_new", *_VIDEO_FOLDERS)),
    _official("ovmerdplus", "OV-MERD+", "f_s", "ovmerdplus-process", _OPENSET, 532, label_columns=("openset",),
              subtitle_files=("subtitle_eng.csv", _BILINGUAL), clip_list="subtitle_eng.csv"),
)  # fmt: skip

MER_UNIBENCH = Suite("MER-UniBench", MappingProxyType({item.key: item for item in _NINE_SETS}))

_EVERY_SET: tuple[BenchmarkSet | TrainingSet, ...] = (*TRAINING_SETS.values(), *_NINE_SETS)
OFFICIAL_VIDEO_FOLDERS = frozenset(name for item in _EVERY_SET for name in item.video_folders)
"""Names of folders that hold the videos of official sets."""


def made_by(root: Path) -> str:
    """The command that makes the generated corpus, for a missing folder that is named like it; else nothing.

    >>> made_by(Path("sandbox-data/test"))
    ' `affect-lightning sandbox --out sandbox-data` makes it.'
    """
    parts = root.parts
    if _GENERATED not in parts:
        return ""
    corpus = Path(*parts[: parts.index(_GENERATED) + 1])
    return f" `affect-lightning sandbox --out {corpus}` makes it."
