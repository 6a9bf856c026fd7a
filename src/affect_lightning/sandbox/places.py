"""Where each part of a generated set lies, in either of two layouts.

`plain` gives all nine test sets alike names; `released` is the tree of the authors' code, to the letter: MER2024 and
OV-MERD+ have label files and transcripts of their own, two sets have other video folders, and every set has face crops.
The names come from the table of the sets, where the authors' stand first. Neighbours: `layouts.py` writes the
annotations, `generation.py` the media, `face_crops.py` the crops.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from affect_lightning.corpora import TrainingSet
from affect_lightning.corpora.media_folders import FACE_FOLDER
from affect_lightning.sandbox.priors import TEST_CORPORA, TRAINING_SET

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
    """The places of a set below the root of the sandbox."""
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
