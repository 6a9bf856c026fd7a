"""The files of the clips that are exported: found by a column or by name, then copied or linked into the data set.

Paper: none. The layout is that of MER-Caption+ (`video/NAME.mp4`, `audio/NAME.wav`). Neighbours: `clips.py` and `writing.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from affect_lightning.annotation.exporting.clips import ExportedClip
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.annotation_tables import shown
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


def with_media(
    clips: Sequence[ExportedClip], table: ClipTable, beside: Path, options: MediaOptions
) -> list[ExportedClip]:
    """The clips with their files; all of them as they are if neither a folder nor a column names any.

    Args:
        clips: Some clips of the table.
        table: Whose columns may name files, absolute or relative to `beside`.
        beside: The folder of the table.
        options: Where else files are.

    Raises:
        DataError: A clip has no file, or its file can mean several.
    """
    named = [column for column in _COLUMNS if column in table.columns]
    if options.folder is None and not named:
        return list(clips)
    found = _by_name(clips, options.folder) if options.folder is not None else _by_column(clips, table, beside, named)
    missing = [clip.name for clip in found if not _files_are_there(clip)]
    if missing and not options.drops_missing:
        where = f"in {options.folder}" if options.folder is not None else f"where the column {named[0]!r} says"
        raise DataError(
            f"{len(missing)} of {len(found)} clips have no file {where}: {shown(missing)}. Name the folder with --media, or "
            f"leave these clips out with --drop-missing."
        )
    there = [clip for clip in found if _files_are_there(clip)]
    if not there:
        raise DataError(f"None of the {len(found)} clips has a file. Name the folder of the clips with --media.")
    return there


def _files_are_there(clip: ExportedClip) -> bool:
    files = [path for path in (clip.video, clip.audio) if path is not None]
    return bool(files) and all(path.is_file() for path in files)


def _by_name(clips: Sequence[ExportedClip], folder: Path) -> list[ExportedClip]:
    media = MediaBeside(folder)
    records = [media.completed(ClipRecord(clip.name, "export")) for clip in clips]
    return [replace(clip, video=record.video, audio=record.audio) for clip, record in zip(clips, records, strict=True)]


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
    clips: Sequence[ExportedClip],
    link: Link,
    tell: Callable[[str, int, int], None] | None = None,
) -> list[ExportedClip]:
    """Put the files into `video/` and `audio/` of a folder.

    Args:
        place: The folder.
        clips: With their files.
        link: See `MediaOptions`.
        tell: Told of each clip whose files are there.

    Returns:
        The clips with their files as the data set names them: relative to the folder, or absolute where nothing is placed.

    Raises:
        DataError: A file cannot be read, linked or written.
    """
    if link == "none":
        return [replace(clip, video=_absolute(clip.video), audio=_absolute(clip.audio)) for clip in clips]
    for folder in ("video", "audio"):
        if any(getattr(clip, folder) is not None for clip in clips):
            (place / folder).mkdir(parents=True)
    placed = []
    for clip in clips:
        files = {kind: _placed(place, clip, kind, link) for kind in ("video", "audio")}
        placed.append(replace(clip, video=files["video"], audio=files["audio"]))
        if tell is not None:
            tell("files", 1, len(clips))
    return placed


def files_of(clips: Sequence[ExportedClip]) -> list[Path]:
    """The files of clips, each as often as it is placed."""
    return [path for clip in clips for path in (clip.video, clip.audio) if path is not None]


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()


def _placed(place: Path, clip: ExportedClip, kind: str, link: Link) -> Path | None:
    source: Path | None = getattr(clip, kind)
    if source is None:
        return None
    target = Path(kind, f"{clip.name}{source.suffix.lower()}")
    try:
        if link == "hard":
            os.link(source.resolve(), place / target)
        else:
            shutil.copyfile(source, place / target)
    except OSError as error:
        remedy = (
            "Use --link copy: hard links need files on the same disk"
            if link == "hard"
            else "Free space, or check the file"
        )
        raise DataError(f"{remedy}. {source} could not be put into the data set: {error.strerror or error}.") from error
    return target


def seconds_of(clips: Sequence[ExportedClip], length_of: Callable[[Path], float | None]) -> list[float]:
    """Lengths of clips in seconds; of MEASURED of them, evenly over the list, where there are more.

    Args:
        clips: With their files.
        length_of: What a file's header says; None if it does not say.
    """
    files = [path for clip in clips if (path := clip.video or clip.audio) is not None]
    step = max(1, -(-len(files) // MEASURED))
    lengths = [length_of(path) for path in files[::step]]
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
