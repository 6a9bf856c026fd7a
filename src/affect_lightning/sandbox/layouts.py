"""Writes the annotation files of the sandbox in the official folder layouts, and says where each part of a set lies.

MER-Caption+ has csv files; the sets of MER-UniBench have an `.npz` of pickled dictionaries or a csv, and a transcript
(paper, Table 11). The readers of the licensed data read what is written here. `generation.py` puts the media next to it.
Every file appears under its name only when it is complete.
The layout `plain` gives all nine test sets similar names. `released` is exactly the tree of the authors' code: MER2024 and
OV-MERD+ have label files and transcripts of their own, two sets have other video folders, and every set has face crops.
The names come from the table of the sets (`corpora/sets.py`), which lists the authors' names first.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from affect_lightning.corpora import TrainingSet
from affect_lightning.corpora.media_folders import FACE_FOLDER
from affect_lightning.corpora.sets import subtitle_columns
from affect_lightning.sandbox.authoring import AuthoredClip
from affect_lightning.sandbox.emotions import EmotionName
from affect_lightning.sandbox.priors import RAW_CLIPS, TEST_CORPORA, TRAINING_SET, GeneratedSet, iemocap_name
from affect_lightning.storage import write_whole

Layout = Literal["plain", "released"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

_BILINGUAL = "transcription-engchi-polish.csv"
# What the plain layout takes instead of the authors' names.
_PLAIN: dict[str, dict[str, str]] = {
    "mer2024": {"labels": "reference-semi.csv", "subtitles": _BILINGUAL},
    "cmumosei": {"video": "subvideo"},
    "simsv2": {"video": "video"},
    "ovmerdplus": {"subtitles": _BILINGUAL},
}


@dataclass(frozen=True)
class Places:
    """The places of one set.

    Attributes:
        folder: The set's folder.
        labels: Label file.
        subtitles: Transcript.
        video: Folder of the MP4 files.
        audio: Folder of the WAV files.
        faces: Folder of the face crops; None for a layout without.
        crops_by_folder: Whether each clip's crops have a folder of their own, as in the training sets.
    """

    folder: Path
    labels: Path
    subtitles: Path
    video: Path
    audio: Path
    faces: Path | None
    crops_by_folder: bool

    def media_of(self, name: str) -> tuple[Path, Path]:
        """A clip's MP4 and WAV."""
        return self.video / f"{name}.mp4", self.audio / f"{name}.wav"

    def crops_of(self, name: str) -> Path | None:
        """A clip's face crops; None for a layout without."""
        if self.faces is None:
            return None
        return (self.faces / name if self.crops_by_folder else self.faces) / f"{name}.npy"


def places_of(root: Path, corpus: str, layout: Layout = "plain") -> Places:
    """The places of a set, or of the raw clips, below the root of the sandbox."""
    if corpus == RAW_CLIPS:
        folder = root / "raw-clips"
        table = folder / "clips.csv"
        return Places(folder, table, table, folder / "video", folder / "audio", faces=None, crops_by_folder=False)
    released = layout == "released"
    official = TEST_CORPORA[corpus].official if corpus in TEST_CORPORA else TRAINING_SET
    training = isinstance(official, TrainingSet)
    labels = official.label_file if isinstance(official, TrainingSet) else official.label_files[0]
    folder = root / (official.shared_folders[0] if isinstance(official, TrainingSet) and released else official.folder)
    names = {
        "labels": labels,
        "subtitles": official.subtitle_files[0],
        "video": official.video_folders[0],
        "audio": official.audio_folders[0],
    } | ({} if released else _PLAIN.get(corpus, {}))
    paths = {part: folder / name for part, name in names.items()}
    return Places(folder, **paths, faces=folder / FACE_FOLDER if released else None, crops_by_folder=training)


NO_SENTIMENT = -10
"""What the official files hold where a set has no sentiment value."""
OTHER_SESSIONS = ("Ses01", "Ses03")
"""Sessions of IEMOCAP that stand in the label file, without media here; a reader must skip them."""


def write_training_annotations(root: Path, clips: Sequence[AuthoredClip], layout: Layout = "plain") -> None:
    """Write the csv files of MER-Caption+: subtitles, open-vocabulary labels, descriptions."""
    places = places_of(root, TRAINING_SET.key, layout)
    words = ((clip.script.name, str(list(clip.labels))) for clip in clips)
    _write_subtitles(places.subtitles, _subtitles(clips))
    write_csv(places.labels, ("name", "openset"), words)
    if TRAINING_SET.description_file is not None:
        reasons = ((clip.script.name, clip.description) for clip in clips)
        write_csv(places.folder / TRAINING_SET.description_file, ("name", "reason"), reasons)


def write_test_annotations(root: Path, key: str, clips: Sequence[AuthoredClip], layout: Layout = "plain") -> None:
    """Write the label file and the transcript of one test set."""
    specification = TEST_CORPORA[key]
    official = specification.official
    places = places_of(root, key, layout)
    subtitles = _subtitles(clips)
    if places.labels.suffix == ".csv" or official.corpus_key is None:
        told = {
            clip.script.name: str(specification.label(clip.emotion) if official.labels else list(clip.labels))
            for clip in clips
        }
        write_csv(places.labels, ("name", official.label_columns[0]), told.items())
    else:
        labels = {clip.script.name: _label_entry(specification, clip) for clip in clips}
        if official.name_prefix:
            foreign = _other_sessions(specification)
            labels = {**foreign, **labels}
            subtitles = [*((name, "你好。", "Hello.") for name in foreign), *subtitles]
        _write_npz(places.labels, official.corpus_key, labels)
    _write_subtitles(places.subtitles, subtitles)


def write_json(path: Path, content: Any) -> None:
    """Write an indented JSON file with sorted keys."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_whole(path, text, durable=False)


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
    write_whole(path, "".join(lines), durable=False)


def sentiment_value(specification: GeneratedSet, sentiment: float) -> float:
    """A sentiment in [-1, 1] on the scale and grid of a set; 0 stays 0 and nothing else becomes 0.

    >>> sentiment_value(TEST_CORPORA["cmumosi"], -0.4), sentiment_value(TEST_CORPORA["sims"], 0.95)
    (-1.2, 1.0)
    """
    step = specification.sentiment_step
    return round(round(sentiment * specification.sentiment_limit / step) * step, 6)


def _label_entry(specification: GeneratedSet, clip: AuthoredClip) -> dict[str, Any]:
    """One value of a label dictionary, with the types of the official files."""
    emotion = specification.label(clip.emotion)
    if not specification.sentiment_limit:
        return {"emo": emotion, "val": NO_SENTIMENT}
    value: Any = sentiment_value(specification, clip.sentiment)
    if specification.official.key == "cmumosei":
        value = np.float32(value)
    elif specification.official.metric == "waf":
        value = np.float64(value)
    return {"emo": emotion, "val": value}


def _other_sessions(specification: GeneratedSet) -> dict[str, dict[str, Any]]:
    emotions: tuple[EmotionName, ...] = ("joy", "sadness", "neutral")
    return {
        iemocap_name(session, number): {"emo": specification.label(emotion), "val": NO_SENTIMENT}
        for session in OTHER_SESSIONS
        for number, emotion in enumerate(emotions)
    }


def _subtitles(clips: Iterable[AuthoredClip]) -> list[tuple[str, str, str]]:
    return [(clip.script.name, clip.script.sentence_chinese, clip.script.sentence_english) for clip in clips]


def _write_subtitles(path: Path, subtitles: Iterable[tuple[str, str, str]]) -> None:
    """Names, Chinese and English sentences, in the columns that a transcript of this name has."""
    english, chinese = subtitle_columns(path.name)
    columns = list(dict.fromkeys((chinese, english)))
    rows = []
    for name, in_chinese, in_english in subtitles:
        rows.append([name, *(in_chinese if column == "chinese" else in_english for column in columns)])
    write_csv(path, ["name", *columns], rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a csv file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, text.getvalue(), durable=False)


def _write_npz(path: Path, corpus_key: str, labels: dict[str, dict[str, Any]]) -> None:
    """A zero-dimensional object array around a pickled dictionary, as in the official files."""
    array = np.array(labels, dtype=object)
    entries: dict[str, Any] = {corpus_key: array}
    write_whole(path, lambda file: np.savez(file, **entries), durable=False)
