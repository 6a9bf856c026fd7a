"""The files of the clips that are exported: found by a column or by name, then copied or linked into the data set.

Paper: none. The layout is that of MER-Caption+ (`video/NAME.mp4`, `audio/NAME.wav`). Neighbours: `clips.py` and `writing.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from affect_lightning.annotation.exporting.clips import Clips, ExportedClip
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES, MediaBeside
from affect_lightning.errors import ConfigurationError, DataError

Link: TypeAlias = Literal["copy", "hard", "none"]
LINKS: tuple[str, ...] = get_args(Link)
MEASURED = 2000  # clips whose length is read from their headers, at most: seconds on a local disk; our choice
_COLUMNS = ("media", "video", "audio")


@dataclass(frozen=True)
class MediaOptions:
    """Where the files of the clips are, and what the data set gets of them.

    Attributes:
        folder: Is searched by the clips' names; None for the columns `media`, `video` and `audio` of the table.
        link: `copy`, our choice, because the data set then stands alone; `hard` for links on the same disk, which take
            no room; `none` to name the files where they are.
        drops_missing: Whether a clip without a file is left out. Otherwise it is an error.
    """

    folder: Path | None = None
    link: Link = "copy"
    drops_missing: bool = False

    def __post_init__(self) -> None:
        if self.link not in LINKS:
            raise ConfigurationError(f"Choose --link from {', '.join(LINKS)}; got {self.link!r}.")
        if self.folder is not None and not self.folder.is_dir():
            raise DataError(f"There is no folder {self.folder} with the clips. Give another one with --media.")


class MediaFinder:
    """Finds the files of clips, by the columns of their table or by name in a folder.

    Attributes:
        names_files: Whether a folder or a column names files; if not, the clips stay as they are.
        where: Where it looks, for a message.
    """

    def __init__(self, columns: Sequence[str], beside: Path, options: MediaOptions) -> None:
        """Look at the folder.

        Args:
            columns: Of the table.
            beside: The folder of the table, to which its paths may be relative.
            options: Where else files are.
        """
        self._named = [column for column in _COLUMNS if column in columns]
        self._beside = beside
        self._folder = None if options.folder is None else MediaBeside(options.folder)
        self.names_files = self._folder is not None or bool(self._named)
        self.where = f"in {options.folder}" if options.folder is not None else ""
        if not self.where and self._named:
            self.where = f"where the column {self._named[0]!r} says"

    def completed(self, clips: Sequence[ExportedClip], table: ClipTable) -> list[ExportedClip]:
        """The clips with their files, which need not be there.

        Args:
            clips: Some clips of the table.
            table: Some thousand clips, whose columns may name files.

        Raises:
            DataError: A clip's file can mean several.
        """
        if self._folder is not None:
            records = [self._folder.completed(ClipRecord(clip.name, "export")) for clip in clips]
            return [replace(clip, video=one.video, audio=one.audio) for clip, one in zip(clips, records, strict=True)]
        return _by_column(clips, table, self._beside, self._named) if self._named else list(clips)


def files_are_there(clip: ExportedClip) -> bool:
    """Whether the clip names a file, and all that it names are there."""
    files = [path for path in (clip.video, clip.audio) if path is not None]
    return bool(files) and all(path.is_file() for path in files)


def _by_column(
    clips: Sequence[ExportedClip], table: ClipTable, beside: Path, columns: Sequence[str]
) -> list[ExportedClip]:
    cells = {column: dict(zip(table.names, table.texts(column), strict=True)) for column in columns}

    def path(column: str, name: str) -> Path | None:
        text = cells.get(column, {}).get(name, "").strip()
        return beside / Path(text).expanduser() if text else None

    found = []
    for clip in clips:
        media = path("media", clip.name)
        is_sound = media is not None and media.suffix.lower() in AUDIO_SUFFIXES
        video = path("video", clip.name) or (None if is_sound else media)
        found.append(replace(clip, video=video, audio=path("audio", clip.name) or (media if is_sound else None)))
    return found


def place_media(
    place: Path,
    clips: Clips,
    link: Link,
    tell: Callable[[str, int, int], None] | None = None,
) -> Iterator[ExportedClip]:
    """Put the files into `video/` and `audio/` of a folder, clip by clip.

    Args:
        place: The folder.
        clips: With their files.
        link: See `MediaOptions`.
        tell: Told of each clip whose files are there.

    Yields:
        Each clip whose files are there, as `placed_clip` has it.

    Raises:
        DataError: A file cannot be read, linked or written.
    """
    for clip in clips:
        placed = placed_clip(clip, link)
        if link != "none":
            for source, target in ((clip.video, placed.video), (clip.audio, placed.audio)):
                if source is not None and target is not None:
                    _put(source, place / target, link)
            if tell is not None:
                tell("files", 1, len(clips))
        yield placed


def placed_clip(clip: ExportedClip, link: Link) -> ExportedClip:
    """The clip with its files as the data set names them: relative to its folder, or absolute where nothing is placed."""
    if link == "none":
        return replace(clip, video=_absolute(clip.video), audio=_absolute(clip.audio))
    return replace(clip, video=_target(clip, "video"), audio=_target(clip, "audio"))


def files_of(clips: Clips) -> Iterator[Path]:
    """The files of clips, each as often as it is placed."""
    return (path for clip in clips for path in (clip.video, clip.audio) if path is not None)


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _target(clip: ExportedClip, kind: str) -> Path | None:
    source: Path | None = getattr(clip, kind)
    return None if source is None else Path(kind, f"{clip.name}{source.suffix.lower()}")


def _put(source: Path, target: Path, link: Link) -> None:
    try:
        target.parent.mkdir(exist_ok=True)
        if link == "hard":
            os.link(source.resolve(), target)
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        remedy = (
            "Use --link copy: hard links need files on the same disk"
            if link == "hard"
            else "Free space, or check the file"
        )
        raise DataError(f"{remedy}. {source} could not be put into the data set: {error.strerror or error}.") from error


def seconds_of(clips: Clips, length_of: Callable[[Path], float | None]) -> list[float]:
    """Lengths of clips in seconds; of MEASURED of them, evenly over the list, where there are more.

    Args:
        clips: With their files.
        length_of: What a file's header says; None if it does not say.
    """
    step = max(1, -(-len(clips) // MEASURED))  # every clip has a file, or none has
    files = (path for clip in clips if (path := clip.video or clip.audio) is not None)
    lengths = [length_of(path) for path in islice(files, 0, None, step)]
    return [length for length in lengths if length is not None]


def announced_length(path: Path) -> float | None:
    """Seconds of a clip's pictures, or of its sound if it has none; None if the file does not say or cannot be read."""
    from affect_lightning.data.header_checks import announced_seconds
    from affect_lightning.data.quarantine import UnreadableClipError

    for track in ("video", "audio"):
        try:
            return announced_seconds(path, track)
        except UnreadableClipError:
            continue
    return None
