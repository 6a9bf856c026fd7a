"""The clips that leave a table: what each format needs of them, read from the columns that the stages make.

Paper: Section 2; MER-Caption+ has a description, open-vocabulary labels and a subtitle for each clip. Neighbours: the
stages, which make the columns, and `layouts.py`, which writes what is read here.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

from affect_lightning.annotation.tables import ClipTable
from affect_lightning.errors import DataError
from affect_lightning.label_strings import given_words

_TOGETHER = 500  # clips that are written and read at once; our choice, a megabyte of texts
_OTHERWISE = {"emotion": "emotion"}  # where the default column is missing
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_UNFIT = re.compile(r"[/\\\x00-\x1f\x7f]")  # in the name of a file


@dataclass(frozen=True)
class ExportColumns:
    """Where the table has what a data set needs. A default column may be missing; one that a user names must be there.

    Attributes:
        description: Of the descriptions.
        labels: Of the emotion words, as `agree` makes it.
        subtitle: Of what is said; it serves in both languages.
        chinese: Of what is said in Chinese, if a column of its own has it.
        sentiment: Of the sentiment, in words or numbers.
        emotion: Of the one emotion of the clip, as `crowd` makes it; MERR needs it.
        audio_cues: Of what is heard.
        visual_cues: Of what is seen.
    """

    description: str = "description"
    labels: str = "labels"
    subtitle: str = "subtitle"
    chinese: str = "chinese"
    sentiment: str = "sentiment"
    emotion: str = "crowd_emotion"
    audio_cues: str = "audio_cues"
    visual_cues: str = "visual_cues"


@dataclass(frozen=True)
class ExportedClip:
    """One clip of a data set.

    Attributes:
        name: Of the clip.
        description: With reasons; empty if there is none.
        labels: Emotion words.
        subtitle: What is said.
        chinese: What is said, in Chinese; the subtitle if the table has no other.
        sentiment: In words; empty if there is none.
        emotion: The one emotion; empty if there is none.
        audio_cues: What is heard.
        visual_cues: What is seen.
        video: File with the pictures; once placed, as the data set names it.
        audio: File with the sound; None means the video's own track.
    """

    name: str
    description: str = ""
    labels: tuple[str, ...] = ()
    subtitle: str = ""
    chinese: str = ""
    sentiment: str = ""
    emotion: str = ""
    audio_cues: str = ""
    visual_cues: str = ""
    video: Path | None = None
    audio: Path | None = None


class Clips(Protocol):
    """Clips that one can go through several times, such as a list or a `ClipStream`."""

    def __iter__(self) -> Iterator[ExportedClip]:
        """The clips in their order."""
        ...

    def __len__(self) -> int:
        """Number of clips."""
        ...


class ClipStream:
    """Clips that are read again each time somebody goes through them, so that only some thousand are in memory."""

    def __init__(self, read: Callable[[], Iterator[ExportedClip]], count: int) -> None:
        """Name what is read.

        Args:
            read: Gives the clips in their order.
            count: Number of clips.
        """
        self._read, self._count = read, count

    def __iter__(self) -> Iterator[ExportedClip]:
        """The clips in their order."""
        return self._read()

    def __len__(self) -> int:
        """Number of clips."""
        return self._count


class KeptClips:
    """Clips in an unnamed file on a disk, so that they can be gone through often and quickly; the file goes with the block.

    Args:
        folder: On whose disk the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115  # closed at the end of the block
        self._some: list[ExportedClip] = []
        self._count = 0

    def __enter__(self) -> KeptClips:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, clip: ExportedClip) -> None:
        """Put a clip behind the others."""
        self._some.append(clip)
        self._count += 1
        if len(self._some) == _TOGETHER:
            self._write()

    def _write(self) -> None:
        self._file.seek(0, os.SEEK_END)
        pickle.dump(self._some, self._file, pickle.HIGHEST_PROTOCOL)
        self._some = []

    def __iter__(self) -> Iterator[ExportedClip]:
        """The clips in the order in which they came."""
        if self._some:
            self._write()
        place, end = 0, self._file.seek(0, os.SEEK_END)
        while place < end:
            self._file.seek(place)
            some = pickle.load(self._file)  # nobody else can reach the file
            place = self._file.tell()
            yield from some

    def __len__(self) -> int:
        """Number of clips."""
        return self._count


def has_file_name(name: str) -> bool:
    """Whether a clip's name can be that of a file: no slash, no control character, no dot or blank at either end."""
    return not _UNFIT.search(name) and name.strip(". ") == name


def clips_of(table: ClipTable, columns: ExportColumns, *, every_clip: bool = False) -> list[ExportedClip]:
    """The clips that stay, in the order of the table.

    Args:
        table: With the columns of the stages; some thousand clips.
        columns: Which columns are read.
        every_clip: Whether clips that a filter dropped are wanted, too.

    Raises:
        DataError: A column that is named is missing or holds something else.
    """
    kept = [True] * len(table) if every_clip else table.kept()
    names = [name for name, stays in zip(table.names, kept, strict=True) if stays]
    readers: dict[str, Callable[[str, object], Any]] = {"labels": _words, "sentiment": _text, "emotion": _first_word}
    read: dict[str, list[Any]] = {}
    for field in fields(columns):
        column = getattr(columns, field.name)
        if column not in table.columns and column == field.default:
            column = _OTHERWISE.get(field.name, column)
            if column not in table.columns:
                continue
        reader = readers.get(field.name, _exact_text)
        read[field.name] = [
            reader(name, value)
            for name, value, stays in zip(table.names, table.column(column), kept, strict=True)
            if stays
        ]
    clips = [
        ExportedClip(name, **dict(zip(read, values, strict=True)))
        for name, *values in zip(names, *read.values(), strict=True)
    ]
    if "chinese" in read:
        return clips
    return [_in_both_languages(clip) for clip in clips]


def _in_both_languages(clip: ExportedClip) -> ExportedClip:
    return ExportedClip(**{**vars(clip), "chinese": clip.subtitle})


def _exact_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"Expected texts in the columns to export; the clip {name} has {value!r:.60}.")
    return " ".join(value.split())


def _text(name: str, value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _words(name: str, value: object) -> tuple[str, ...]:
    """Emotion words; the apostrophe inside a word becomes the typographic one, because readers of labels split at the other."""
    if value is None:
        return ()
    if isinstance(value, str):
        return given_words(value)
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return given_words([_APOSTROPHE.sub("’", word) for word in value])
    raise DataError(f"Expected emotion words in the column of labels; the clip {name} has {value!r:.60}.")


def _first_word(name: str, value: object) -> str:
    return next(iter(_words(name, value)), "")
