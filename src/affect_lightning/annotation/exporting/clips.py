"""The clips that leave a table: what each format needs of them, read from the columns that the stages make.

Paper: Section 2; MER-Caption+ has a description, open-vocabulary labels and a subtitle for each clip. Neighbours: the
stages, which make the columns, and `layouts.py`, which writes what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from affect_lightning.annotation.tables import ClipTable
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.errors import DataError
from affect_lightning.label_strings import given_words

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


def clips_of(table: ClipTable, columns: ExportColumns, *, every_clip: bool = False) -> list[ExportedClip]:
    """The clips that stay, in the order of the table.

    Args:
        table: With the columns of the stages.
        columns: Which columns are read.
        every_clip: Whether clips that a filter dropped are wanted, too.

    Raises:
        DataError: A column that is named is missing or holds something else, no clip stays, or a clip's name is none that
            a file can have.
    """
    kept = [True] * len(table) if every_clip else table.kept()
    names = [name for name, stays in zip(table.names, kept, strict=True) if stays]
    if not names:
        raise DataError(
            f"No clip stays: the filters dropped all {len(table)} clips of the table. Loosen a filter, or add --all."
        )
    unfit = [name for name in names if _UNFIT.search(name) or name.strip(". ") != name]
    if unfit:
        raise DataError(
            f"{len(unfit)} clips have names that cannot be names of files: {shown(unfit)}. Rename them: no slash, no control "
            f"character, and no dot or blank at either end."
        )
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


def with_content(clips: Sequence[ExportedClip]) -> list[ExportedClip]:
    """The clips that have a description or labels; without either there is nothing to learn.

    Raises:
        DataError: None has.
    """
    found = [clip for clip in clips if clip.description or clip.labels]
    if not found:
        raise DataError(
            "No clip has a description or labels. Run the stages that make them, or name their columns with --column and "
            "--labels."
        )
    return found


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
