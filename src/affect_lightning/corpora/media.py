"""Where the video, the sound and the released face crops of a clip lie in an official folder.

Paper: Appendix C. A file that is missing is still named, at the place where it should be: the loader then quarantines
that clip by its counted policy, so that nothing disappears silently. `benchmark.py` and `training.py` call this.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".flv")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".m4a")
FACE_FOLDER = "openface_face"


class MediaFolders:
    """Finds the media of a clip by name; each folder is listed once."""

    def __init__(self, folder: Path, video_folders: Sequence[str], audio_folders: Sequence[str]) -> None:
        """List the folders.

        Args:
            folder: The set's folder.
            video_folders: Accepted folders of videos, in order of preference.
            audio_folders: Accepted folders of sound files, in order of preference.
        """
        self._expected_video = _first_folder(folder, video_folders) or folder / video_folders[0]
        self._expected_audio = _first_folder(folder, audio_folders)
        self._videos = _files_by_name([folder / name for name in video_folders], VIDEO_SUFFIXES)
        self._audios = _files_by_name([folder / name for name in audio_folders], AUDIO_SUFFIXES)
        faces = folder / FACE_FOLDER
        self._faces = faces if faces.is_dir() else None

    @property
    def names(self) -> set[str]:
        """Names of all clips of which there is a video or a sound file."""
        return {*self._videos, *self._audios}

    def video(self, name: str) -> Path:
        """The clip's video; where none exists, the path at which it should be."""
        return self._videos.get(name, self._expected_video / f"{name}{VIDEO_SUFFIXES[0]}")

    def audio(self, name: str) -> Path | None:
        """The clip's sound file, or the path at which it should be; None if the set has no folder of sound files."""
        if self._expected_audio is None:
            return None
        return self._audios.get(name, self._expected_audio / f"{name}{AUDIO_SUFFIXES[0]}")

    def face(self, name: str) -> Path | None:
        """The clip's released face crops, uint8 [T, H, W, 3]; None where there are none."""
        if self._faces is None:
            return None
        path = self._faces / name / f"{name}.npy"
        return path if path.is_file() else None


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
