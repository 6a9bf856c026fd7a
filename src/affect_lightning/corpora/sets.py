"""The nine sets of MER-UniBench: folders, files, labels and primary metrics.

Paper: Table 11 (clips and labels) and Section 4 (metrics). A table and nothing else: `benchmark.py` reads by it,
`affect_lightning.unibench.scoring` scores by it, and the sandbox writes the same layouts.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from affect_lightning.errors import DataError

Task = Literal["basic", "sentiment", "fine-grained"]
Metric = Literal["hit_rate", "waf", "f_s"]

METRIC_TITLES: dict[str, str] = {"hit_rate": "hit rate", "waf": "WAF", "f_s": "F_S"}

_SIX_EMOTIONS = ("worried", "happy", "neutral", "angry", "surprise", "sad")
_VIDEO_FOLDERS = ("video", "subvideo", "subvideo-tgt")
_AUDIO_FOLDERS = ("audio", "subaudio")
_OPENSET_FILES = ("label.csv", "openset.csv", "ovlabel.csv", "track2_train_ovmerdplus.csv", "check-openset.csv")


@dataclass(frozen=True)
class BenchmarkSet:
    """One test set of MER-UniBench, as it lies on the disk.

    Attributes:
        key: Name in options, predictions and reports; also `ClipRecord.corpus`.
        title: Name in tables.
        folder: Official folder name.
        label_files: Accepted names of the label file, tried in order.
        corpus_key: Entry of the `.npz` file that is the test part; None for a csv, which is read whole.
        train_corpus_key: Entry of the `.npz` file that is the training part; None for a set without one. Where it is
            the same entry, the clips whose names lack `name_prefix` are the training part.
        task: Kind of truth: one basic emotion, a sentiment value, or any number of words.
        metric: Primary metric of the task.
        clips: Number of clips of the official set (Table 11); the training parts have no number there.
        labels: Candidate emotions of a basic set; an integer label is an index into them.
        label_columns: Accepted label columns of a csv.
        name_prefix: Only clips whose name starts so belong to the set (IEMOCAP: Session 5).
        sentiment_range: Lowest and highest sentiment value; None for other tasks.
        video_folders: Accepted folders of the videos, tried in order.
        audio_folders: Accepted folders of the sound files, tried in order.
    """

    key: str
    title: str
    folder: str
    label_files: tuple[str, ...]
    corpus_key: str | None
    task: Task
    metric: Metric
    clips: int
    train_corpus_key: str | None = None
    labels: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    name_prefix: str = ""
    sentiment_range: tuple[float, float] | None = None
    video_folders: tuple[str, ...] = _VIDEO_FOLDERS
    audio_folders: tuple[str, ...] = _AUDIO_FOLDERS


def _sentiment_set(key: str, title: str, clips: int, limit: float) -> BenchmarkSet:
    return BenchmarkSet(
        key=key,
        title=title,
        folder=f"{key}-process",
        label_files=("label.npz",),
        corpus_key="test_corpus",
        train_corpus_key="train_corpus",
        task="sentiment",
        metric="waf",
        clips=clips,
        sentiment_range=(-limit, limit),
    )


BENCHMARK_SETS: dict[str, BenchmarkSet] = {
    item.key: item
    for item in (
        BenchmarkSet(
            key="mer2023",
            title="MER2023",
            folder="mer2023-dataset-process",
            label_files=("label-6way.npz",),
            corpus_key="test1_corpus",
            train_corpus_key="train_corpus",
            task="basic",
            metric="hit_rate",
            clips=411,
            labels=_SIX_EMOTIONS,
        ),
        BenchmarkSet(
            key="mer2024",
            title="MER2024",
            folder="mer2024-dataset-process",
            label_files=("label.csv", "reference-semi.csv", "label-semi.csv"),
            corpus_key=None,
            task="basic",
            metric="hit_rate",
            clips=1169,
            labels=_SIX_EMOTIONS,
            label_columns=("discrete", "emo", "label", "emotion"),
        ),
        BenchmarkSet(
            key="meld",
            title="MELD",
            folder="meld-process",
            label_files=("label.npz",),
            corpus_key="test_corpus",
            train_corpus_key="train_corpus",
            task="basic",
            metric="hit_rate",
            clips=2610,
            labels=("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise"),
        ),
        BenchmarkSet(
            key="iemocap",
            title="IEMOCAP",
            folder="iemocap-process",
            label_files=("label_4way.npz",),
            corpus_key="whole_corpus",
            train_corpus_key="whole_corpus",
            task="basic",
            metric="hit_rate",
            clips=1241,
            labels=("happy", "sad", "neutral", "angry"),
            name_prefix="Ses05",
        ),
        _sentiment_set("cmumosi", "CMU-MOSI", 686, 3.0),
        _sentiment_set("cmumosei", "CMU-MOSEI", 4659, 3.0),
        _sentiment_set("sims", "CH-SIMS", 457, 1.0),
        _sentiment_set("simsv2", "CH-SIMS v2", 1034, 1.0),
        BenchmarkSet(
            key="ovmerdplus",
            title="OV-MERD+",
            folder="ovmerdplus-process",
            label_files=_OPENSET_FILES,
            corpus_key=None,
            task="fine-grained",
            metric="f_s",
            clips=532,
            label_columns=("openset",),
        ),
    )
}


def find_benchmark_set(key: str) -> BenchmarkSet:
    """The set of that key.

    Raises:
        DataError: There is none; the message lists the keys and the nearest one.
    """
    if key in BENCHMARK_SETS:
        return BENCHMARK_SETS[key]
    near = difflib.get_close_matches(key, BENCHMARK_SETS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DataError(f"There is no benchmark set {key!r}.{hint} The sets are {', '.join(BENCHMARK_SETS)}.")
