"""The files and words of the clips of a table, for stages that look at pictures or hear sound.

Paper: Section 2; raw clips have no annotation. A column `media` names a clip's file, `video` and `audio` two files, and
`subtitle` or `text` what is said. Paths are absolute, or relative to the folder that the caller names.
"""

from __future__ import annotations

from pathlib import Path

from affect_lightning.annotation.tables import ClipTable
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES
from affect_lightning.corpora.own_clips import OWN_CORPUS
from affect_lightning.errors import DataError

MEDIA, VIDEO, AUDIO = "media", "video", "audio"
FILE_COLUMNS = (MEDIA, VIDEO, AUDIO)
SUBTITLE_COLUMNS = ("subtitle", "text")


def subtitles_of(table: ClipTable) -> list[str]:
    """What is said in each clip; empty where the table does not tell."""
    column = next((name for name in SUBTITLE_COLUMNS if name in table.columns), None)
    return [" ".join(text.split()) for text in table.texts(column)] if column else [""] * len(table)


def records_of(table: ClipTable, root: Path | None = None, *, needs_files: bool = True) -> list[ClipRecord]:
    """The clips as the readers of `data` take them.

    Args:
        table: With a column `media`, or with `video` and `audio`.
        root: Folder of relative paths; None for the working folder.
        needs_files: Whether each clip must have one.

    Raises:
        DataError: A clip has no file, or the file is not there.
    """
    columns = {name: table.texts(name) if name in table.columns else [""] * len(table) for name in FILE_COLUMNS}
    records = []
    for place, (name, subtitle) in enumerate(zip(table.names, subtitles_of(table), strict=True)):
        media, video, audio = (_path(columns[column][place], root) for column in FILE_COLUMNS)
        if media is not None and media.suffix.lower() in AUDIO_SUFFIXES:
            audio = audio or media
        else:
            video = video or media
        if needs_files and video is None and audio is None:
            raise DataError(
                f"Name the file of the clip {name} in a column `media`, or its files in `video` and `audio`; the table has "
                f"{', '.join(table.columns)}."
            )
        records.append(ClipRecord(name, OWN_CORPUS, video, audio, subtitle_english=subtitle, subtitle_chinese=subtitle))
    return records


def _path(text: str, root: Path | None) -> Path | None:
    return None if not text else (root or Path()) / Path(text).expanduser()
