"""The media of a set's clips by name: videos, sound files and released face crops, in every folder where they may be.

Paper: Appendix C. `sets.py` names the folders. The authors' face crops are in `openface_face`, as NAME.npy in the sets
of MER-UniBench and as NAME/NAME.npy in the training sets; both places are tried in every set. `official_folders.py`
makes records from what is found here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.clip_names import plain_name
from affect_lightning.corpora.sets import BenchmarkSet, TrainingSet
from affect_lightning.errors import DataError

# Containers that FFmpeg reads and `data/decoding.py` allows; where a clip has several files, an earlier one wins.
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".flv", ".webm", ".m4v", ".mpg", ".wmv"),
    *(".mpeg", ".3gp", ".ogv", ".asf", ".ts", ".mts", ".m2ts"),
)
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".aac")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")  # a picture is a clip of one frame
_DEPTH = 3  # folders below a table in which media are looked for; our choice: Raw/video_0001/0001.mp4 is two deep
FACE_FOLDER = "openface_face"
_FACE_SUFFIX = ".npy"


class MediaFolders:
    """Finds the media of a clip by name; each folder is listed once."""

    def __init__(self, folder: Path, item: BenchmarkSet | TrainingSet) -> None:
        """List the folders.

        Args:
            folder: The set's folder.
            item: Names the accepted folders, in order of preference.
        """
        self._video_folder = _first_folder(folder, item.video_folders)
        self._audio_folder = _first_folder(folder, item.audio_folders)
        self._absent_video = folder / item.video_folders[0]
        self._videos = _files_by_name([folder / name for name in item.video_folders], VIDEO_SUFFIXES)
        self._audios = _files_by_name([folder / name for name in item.audio_folders], AUDIO_SUFFIXES)
        self._faces = ReleasedFaces(folder, flat_first=isinstance(item, BenchmarkSet))

    @property
    def names(self) -> set[str]:
        """Names of all clips of which there is a video or a sound file."""
        return {*self._videos, *self._audios}

    def record(self, name: str, corpus: str, english: str, chinese: str) -> ClipRecord:
        """A clip without truth; a video or sound file that is missing is named where it should be."""
        absent = None if self._video_folder else self._absent_video / f"{name}{VIDEO_SUFFIXES[0]}"
        return self.completed(ClipRecord(name, corpus, absent, subtitle_english=english, subtitle_chinese=chinese))

    def completed(self, clip: ClipRecord) -> ClipRecord:
        """A clip with the media that it does not name yet, where the set has folders of them."""
        return replace(
            clip,
            video=clip.video or _file_of(clip.name, self._videos, self._video_folder, VIDEO_SUFFIXES[0]),
            audio=clip.audio or _file_of(clip.name, self._audios, self._audio_folder, AUDIO_SUFFIXES[0]),
            face=clip.face or self._faces.find(clip.name),
        )


class ReleasedFaces:
    """The face crops that came with a set, in either of the two layouts.

    Whatever has the name of a clip's crops counts as released, be it a link to nowhere: such a clip goes to
    quarantine, and its faces are not detected without a word.
    """

    def __init__(self, folder: Path, *, flat_first: bool) -> None:
        """List the folder of the crops.

        Args:
            folder: The set's folder.
            flat_first: Whether NAME.npy wins over NAME/NAME.npy.
        """
        self._folder = folder / FACE_FOLDER
        self._entries = frozenset(os.listdir(self._folder)) if self._folder.is_dir() else frozenset()
        self._flat_first = flat_first

    def find(self, name: str) -> Path | None:
        """The crops of that clip, if there are any."""
        file = f"{name}{_FACE_SUFFIX}"
        flat = self._folder / file if file in self._entries else None
        inside = self._folder / name / file
        nested = inside if name in self._entries and os.path.lexists(inside) else None
        return (flat or nested) if self._flat_first else (nested or flat)


class MediaBeside:
    """The media next to a table, for tables that name none: by the clip's name, in the table's folder or below it.

    A file means a clip by its own name, or by its folder's and its own as MMSA keeps them (`video_0001/0002.mp4`).
    """

    def __init__(self, folder: Path, *, pictures: bool = False) -> None:
        """List the folder and those below it.

        Args:
            folder: That of the table.
            pictures: Whether a picture counts as a video. Beside videos, pictures are thumbnails.
        """
        self._videos = (*VIDEO_SUFFIXES, *(PICTURE_SUFFIXES if pictures else ()))
        self._files: dict[tuple[str, str], list[Path]] = {}
        for path in _files_below(folder, _DEPTH, (*self._videos, *AUDIO_SUFFIXES)):
            kind = "video" if path.suffix.lower() in self._videos else "audio"
            for name in dict.fromkeys((plain_name(path.stem), plain_name(f"{path.parent.name}$_${path.stem}"))):
                self._files.setdefault((kind, name), []).append(path)

    def completed(self, clip: ClipRecord) -> ClipRecord:
        """The clip with its media.

        Raises:
            DataError: Several files could be meant.
        """
        return replace(clip, video=self._find(clip.name, "video"), audio=self._find(clip.name, "audio"))

    def located(self, clip: ClipRecord) -> ClipRecord:
        """The clip with files in the place of those that it names and that are not there: of the same name, below.

        Raises:
            DataError: Several files could be meant.
        """
        return replace(clip, video=self._located(clip.video, "video"), audio=self._located(clip.audio, "audio"))

    def _located(self, path: Path | None, kind: str) -> Path | None:
        return path if path is None or path.is_file() else self._find(path.stem, kind) or path

    def _find(self, name: str, kind: str) -> Path | None:
        found = self._files.get((kind, plain_name(name)), [])
        exact = [path for path in found if name in (path.stem, path.name)]
        found = exact or found
        least = min((len(path.parts) for path in found), default=0)
        nearest = [path for path in found if len(path.parts) == least]
        if len({(path.parent, path.stem) for path in nearest}) > 1:
            places = " and ".join(str(path) for path in nearest[:2])
            raise DataError(f"The clip {name!r} can mean {places}. Name its file in a column `{kind}` of the table.")
        order = self._videos if kind == "video" else AUDIO_SUFFIXES
        return min(nearest, key=lambda path: order.index(path.suffix.lower()), default=None)


def _files_below(folder: Path, depth: int, suffixes: Sequence[str]) -> list[Path]:
    """Media files of a folder and of those below it, in a fixed order; folders that begin with a dot are left out."""
    found: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if entry.suffix.lower() in suffixes and entry.is_file():
            found.append(entry)
        elif depth and entry.is_dir() and not entry.name.startswith(".") and not entry.is_symlink():
            found += _files_below(entry, depth - 1, suffixes)
    return found


def _file_of(name: str, files: Mapping[str, Path], folder: Path | None, suffix: str) -> Path | None:
    """A clip's file, or where it should be; None if the set has no folder of them."""
    return None if folder is None else files.get(name, folder / f"{name}{suffix}")


def _first_folder(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _files_by_name(folders: Sequence[Path], suffixes: Sequence[str]) -> dict[str, Path]:
    """Files by stem; an earlier folder wins over a later one, an earlier suffix over a later one."""
    found: dict[str, tuple[int, int, Path]] = {}
    for position, folder in enumerate(folders):
        for path in folder.iterdir() if folder.is_dir() else ():
            suffix = path.suffix.lower()
            if suffix in suffixes:
                ranked = (position, suffixes.index(suffix), path)
                found[path.stem] = min(found.get(path.stem, ranked), ranked)
    return {name: path for name, (_, _, path) in found.items()}
