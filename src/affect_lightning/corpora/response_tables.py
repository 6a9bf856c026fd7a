"""The training sets of others as names, media and responses: MiniGPT-4, LLaVA, EmoVIT, VideoChat, WavCaps and MERR.

Paper: Table 3, which trains the same network on other sets. `own_clips.py` passes the rows of a table through here; a table
of none of these layouts, such as MAFW's, is read by the names of its columns (`--data.columns`). docs/data.md has an example
of each. A conversation becomes one sample for each answer, with the question that it answers (our choice).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.corpora.annotation_tables import TableRow, columns_of, refuse
from affect_lightning.corpora.media_folders import AUDIO_SUFFIXES

_MEDIUM_MARK = re.compile(r"</?(?:image|video|audio|imagehere|audiohere|videohere)>", re.IGNORECASE)
_OURS = {"labels", "class", "sentiment", "description"}  # whoever has one of these wrote the table for us
_ASKING, _ANSWERING = ("human", "user"), ("gpt", "assistant")
_VIDEOS, _AUDIOS = ("video", "videos", "image", "images"), ("audio", "audios")

Cells = dict[str, Any]


def rows_of_responses(rows: Sequence[TableRow]) -> list[TableRow] | None:
    """The rows with our column names, one for each answer, where the columns tell whose table it is; else None.

    Names come from the table's own column of names or from the medium. Where one comes again, a number is put behind it:
    `talk#2`.

    Args:
        rows: Of one file.

    Raises:
        DataError: A conversation has another form; the message names file and row.
    """
    columns = {column.strip().lower() for column in columns_of(rows)}
    convert = next((convert for needed, convert in _LAYOUTS if needed <= columns), None)
    if convert is None or columns & _OURS:
        return None
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        lowered = type(row)({column.strip().lower(): cell for column, cell in row.items()}, row.path, row.line)
        for cells in convert(lowered):
            name = str(cells["name"])
            seen[name] += 1
            cells["name"] = name if seen[name] == 1 else f"{name}#{seen[name]}"
            found.append(type(row)(cells, row.path, row.line))
    return found


def _of_conversations(row: TableRow) -> Iterator[Cells]:
    """LLaVA, EmoVIT and those who write as they do: `conversations` of turns with `from` and `value`."""
    turns = _turns(row, "conversations", ("from", "value"))
    question = ""
    for speaker, text in turns:
        if speaker.lower() in _ASKING:
            question = text
        elif speaker.lower() in _ANSWERING and question and text:
            yield {**_medium_of(row), "question": question, "description": text}


def _of_questions(row: TableRow) -> Iterator[Cells]:
    """VideoChat: `QA` of questions `q` and answers `a`."""
    for question, answer in _turns(row, "qa", ("q", "a")):
        if question and answer:
            yield {**_medium_of(row), "question": question, "description": answer}


def _of_pictures(row: TableRow) -> Iterator[Cells]:
    """MiniGPT-4: the picture `image_id` and its `caption`."""
    name = str(row["image_id"])
    yield {"name": name, "text": "", "video": f"{name}.jpg", "description": row["caption"]}


def _of_sounds(row: TableRow) -> Iterator[Cells]:
    """WavCaps: the sound `id` and its `caption`; `audio` where somebody has added the path."""
    name = str(row["id"])
    path = row.get("audio") or (name if Path(name).suffix.lower() in AUDIO_SUFFIXES else f"{name}.flac")
    yield {"name": Path(name).stem if path == name else name, "text": "", "audio": path, "description": row["caption"]}


def _of_merr(column: str) -> Callable[[TableRow], Iterator[Cells]]:
    """MERR: clips by name, with the subtitle in `text`; the column of the description tells which of its two files."""

    def convert(row: TableRow) -> Iterator[Cells]:
        name, subtitle = str(row["name"]), row.get("text") or row.get("subtitle") or ""
        yield {"name": name, "text": subtitle, "video": f"{name}.mp4", "description": row[column]}

    return convert


_LAYOUTS: tuple[tuple[set[str], Callable[[TableRow], Iterator[Cells]]], ...] = (
    ({"conversations"}, _of_conversations),
    ({"qa"}, _of_questions),
    ({"image_id", "caption"}, _of_pictures),
    ({"id", "caption", "duration"}, _of_sounds),
    ({"name", "smp_reason_caption"}, _of_merr("smp_reason_caption")),
    ({"name", "caption"}, _of_merr("caption")),
)


def _turns(row: TableRow, column: str, keys: tuple[str, str]) -> list[tuple[str, str]]:
    """The turns of a conversation as pairs of texts, without the marks that stand for a medium."""
    turns = row.get(column)
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) and {*keys} <= {*turn} for turn in turns):
        refuse(
            row,
            column,
            f"expected a list of turns with {keys[0]!r} and {keys[1]!r}, found {turns!r:.80}. Fix or remove it.",
        )
    return [(_without_marks(turn[keys[0]]), _without_marks(turn[keys[1]])) for turn in turns]


def _without_marks(text: Any) -> str:
    return _MEDIUM_MARK.sub("", str(text)).strip()


def _medium_of(row: TableRow) -> Cells:
    """Name and medium of a row: a video or picture, a sound, or nothing but a name."""
    video, audio = (next((_path(row[name]) for name in names if row.get(name)), "") for names in (_VIDEOS, _AUDIOS))
    stem = Path(video or audio).stem
    return {"name": stem or row.get("id") or row.get("name") or "", "text": "", "video": video, "audio": audio}


def _path(value: Any) -> str:
    """The first path of a cell: plain, or in a list."""
    return str(value[0] if isinstance(value, list) and value else value)
