"""The formats of a data set: which files each has, and what stands in them.

Paper: Section 2 and Appendix C (MER-Caption+). The other formats are those that the tools of others document: Hugging Face
`datasets`, JSON lines, the ShareGPT conversations that LLaMA-Factory and ms-swift train on, and MERR, which Emotion-LLaMA
trains on. `preference_pairs.py` has the pairs. A text of a clip can never pass for the mark of a file or break a row.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from affect_lightning.annotation.chunked_tables import ROWS
from affect_lightning.annotation.exporting.clips import Clips, ExportedClip
from affect_lightning.corpora import TRAINING_SETS
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.errors import DataError
from affect_lightning.label_strings import label_key
from affect_lightning.prompting import SUBTITLE_STREAM, assemble_user_text, question_text, response_text
from affect_lightning.storage import write_whole

QUESTIONS = ("describe", "name")  # the two of the paper, Section 3.1
_MARK = re.compile(r"<\s*(/?)\s*(video|audio|image)\s*>", re.IGNORECASE)
_SENTIMENTS = ("positive", "negative", "neutral")
# The nine emotions of Emotion-LLaMA, and other forms of the same words.
MERR_EMOTIONS = ("neutral", "angry", "happy", "sad", "worried", "surprise", "fear", "contempt", "doubt")
_MERR_FORMS = {
    **{word: word for word in MERR_EMOTIONS},
    **{"anger": "angry", "happiness": "happy", "joy": "happy", "sadness": "sad", "worry": "worried"},
    **{"surprised": "surprise", "fearful": "fear", "afraid": "fear", "contemptuous": "contempt", "doubtful": "doubt"},
}


@dataclass(frozen=True)
class Written:
    """What a format made of the clips.

    Attributes:
        counts: What there is of each kind, by name.
        notes: What a user should know of it, for the datasheet.
    """

    counts: Mapping[str, int]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Layout:
    """A format.

    Attributes:
        summary: One line for the help.
        write: Writes its files into a folder. The clips' files are in place already.
    """

    summary: str
    write: Callable[[Path, Clips, str], Written]


def write_mer_caption(folder: Path, clips: Clips, title: str) -> Written:
    """The tables of MER-Caption+, which `data.train_root` reads."""
    item = TRAINING_SETS["mer-caption-plus"]
    subtitles = ((clip.name, clip.chinese, clip.subtitle) for clip in clips)
    _write_csv(folder / item.subtitle_files[0], ("name", "chinese", "english"), subtitles)
    words = ((clip.name, str(list(clip.labels))) for clip in clips if clip.labels)
    labelled = _write_csv(folder / item.label_file, ("name", "openset"), words)
    reasons = ((clip.name, clip.description) for clip in clips if clip.description)
    assert item.description_file is not None
    described = _write_csv(folder / item.description_file, ("name", "reason"), reasons)
    return Written({"clips with labels": labelled, "clips with a description": described})


def write_json_lines(folder: Path, clips: Clips, title: str) -> Written:
    """One object a line, as `data.train_sets` reads a table of one's own."""
    return Written({"lines": write_lines(folder / "clips.jsonl", (_own_row(clip) for clip in clips))})


def _own_row(clip: ExportedClip) -> dict[str, Any]:
    row: dict[str, Any] = {"name": clip.name, "text": clip.subtitle, "labels": list(clip.labels)}
    row["sentiment"] = clip.sentiment if _is_sentiment(clip.sentiment) else None
    row["description"] = clip.description
    row |= {"video": _posix(clip.video), "audio": _posix(clip.audio)}
    return row


def _is_sentiment(text: str) -> bool:
    return text.lower() in _SENTIMENTS or re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None


def write_datasets(folder: Path, clips: Clips, title: str) -> Written:
    """Parquet that `datasets.load_dataset` reads, with a card that names it."""
    import pyarrow
    from pyarrow import parquet

    text, words = pyarrow.string(), pyarrow.list_(pyarrow.string())
    names = ("name", "description", "labels", "sentiment", "subtitle", "chinese", "video", "audio")
    schema = pyarrow.schema([(name, words if name == "labels" else text) for name in names])

    def write(file: BinaryIO) -> None:
        with parquet.ParquetWriter(file, schema) as writer:
            rows = (_cells(clip) for clip in clips)
            while some := list(islice(rows, ROWS)):
                columns = [list(column) for column in zip(*some, strict=True)]
                writer.write_table(pyarrow.table(columns, schema=schema))

    write_whole(folder / "data" / "train-00000-of-00001.parquet", write)
    note = (
        "Load it with datasets.load_dataset(FOLDER). The columns video and audio have paths in the folder, or absolute "
        "ones where no file was placed."
    )
    return Written({"rows": len(clips)}, [note])


def _cells(clip: ExportedClip) -> tuple[Any, ...]:
    return (
        *(clip.name, clip.description, list(clip.labels), clip.sentiment or None, clip.subtitle, clip.chinese),
        *(_posix(clip.video) or None, _posix(clip.audio) or None),
    )


def write_share_gpt(folder: Path, clips: Clips, title: str) -> Written:
    """Conversations of two turns, and the entry of `dataset_info.json` that LLaMA-Factory asks for."""
    count = write_lines(folder / "conversations.jsonl", (row for clip in clips for row in _conversations(clip)))
    entry = {
        "file_name": "conversations.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "videos": "videos", "audios": "audios"},
    }
    write_json(folder / "dataset_info.json", {title: entry})
    return Written({"conversations": count}, SHARE_GPT_NOTES)


SHARE_GPT_NOTES = (
    "LLaMA-Factory: give the folder as dataset_dir and media_dir, and the title as dataset.",
    "ms-swift: give the file as --dataset. Start it in the folder, because it looks for relative paths from where it runs.",
)


def _conversations(clip: ExportedClip) -> Iterator[dict[str, Any]]:
    """One for each question of the paper that the clip can answer."""
    for kind in QUESTIONS:
        answer = response_text(kind, labels=clip.labels, description=clip.description)
        if answer:
            turns = [turn("human", asked(clip, kind)), turn("gpt", answer)]
            yield {"conversations": turns, **attached(clip)}


def asked(clip: ExportedClip, kind: str) -> str:
    """The user's turn: a mark for each file, the subtitle, the question."""
    marks = "<video>" * (clip.video is not None) + "<audio>" * (clip.audio is not None)
    return marks + without_marks(assemble_user_text([SUBTITLE_STREAM], clip.subtitle, question_text(kind)))


def attached(clip: ExportedClip) -> dict[str, list[str]]:
    """The files that the marks stand for, in their order."""
    return {"videos": [_posix(clip.video)] if clip.video else [], "audios": [_posix(clip.audio)] if clip.audio else []}


def turn(speaker: str, text: str) -> dict[str, str]:
    """One turn of a conversation; only the user's may begin with marks."""
    return {"from": speaker, "value": text if speaker == "human" else without_marks(text)}


def without_marks(text: str) -> str:
    """A text in which nothing passes for the mark of a file.

    >>> without_marks("She looks at the <video> and says <AUDIO>.")
    'She looks at the [video] and says [AUDIO].'
    """
    return _MARK.sub(r"[\1\2]", text)


def write_merr(folder: Path, clips: Clips, title: str) -> Written:
    """The files of MERR: descriptions by name, the list of clips with one of nine emotions, and the transcript."""
    blank = [clip.name for clip in clips if len(clip.name.split()) != 1]
    if blank:
        raise DataError(
            f"MERR parts its lists at blanks, and {len(blank)} clips have one in their name: {shown(blank)}. Rename them, or "
            f"choose another format."
        )
    for grain in ("fine", "coarse"):
        entries = ((clip.name, _merr_entry(clip, fine=grain == "fine")) for clip in clips if clip.description)
        described = _write_mapping(folder / f"MERR_{grain}_grained.json", entries)
        listed = ((clip.name, _merr_emotion(clip)) for clip in clips if clip.description)
        lines = (f"{name} {emotion}\n".encode() for name, emotion in listed if emotion)
        count = _write_each(folder / f"MERR_{grain}_grained.txt", lines)
    _write_csv(folder / "transcription_en_all.csv", ("name", "sentence"), ((c.name, c.subtitle) for c in clips))
    return Written({"descriptions": described, "clips in the lists": count}, [MERR_NOTE])


MERR_NOTE = (
    "The lists have the clips with one of the nine emotions of Emotion-LLaMA. AU_list, peak_AU_list and peak_index stay empty: "
    "no stage measures action units. The features that Emotion-LLaMA reads beside them must be made with its own tools."
)


def _merr_entry(clip: ExportedClip, *, fine: bool) -> dict[str, Any]:
    cues = [clip.visual_cues] if clip.visual_cues else []
    entry: dict[str, Any] = {"AU_list": [], "visual_prior_list": cues, "audio_prior_list": clip.audio_cues}
    entry |= {"peak_index": "", "peak_AU_list": [], "pseu_emotion": _merr_emotion(clip), "text": clip.subtitle}
    if fine:
        return entry | {"smp_reason_caption": clip.description}
    return entry | {"caption": _coarse(clip)}


def _coarse(clip: ExportedClip) -> str:
    """The cues one after another, as MERR's coarse captions are; the description where there are no cues."""
    said = f'The person says: "{clip.subtitle}"' if clip.subtitle else ""
    return " ".join(filter(None, [clip.visual_cues, clip.audio_cues, said])) if _has_cues(clip) else clip.description


def _has_cues(clip: ExportedClip) -> bool:
    return bool(clip.visual_cues or clip.audio_cues)


def _merr_emotion(clip: ExportedClip) -> str:
    words = (clip.emotion, *clip.labels)
    return next((_MERR_FORMS[key] for word in words if (key := label_key(word)) in _MERR_FORMS), "")


LAYOUTS: dict[str, Layout] = {
    "mercaptionplus": Layout("the folder of MER-Caption+, for `--data.train_root`", write_mer_caption),
    "datasets": Layout("Parquet for Hugging Face `datasets`", write_datasets),
    "jsonl": Layout("one object a line, for `--data.train_sets`", write_json_lines),
    "sharegpt": Layout("conversations for LLaMA-Factory and ms-swift", write_share_gpt),
    "merr": Layout("descriptions and lists for Emotion-LLaMA", write_merr),
}


def _posix(path: Path | None) -> str:
    return "" if path is None else path.as_posix()


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a table row by row, so that a large one needs no room, and give the number of rows."""
    count = 0

    def fill(file: BinaryIO) -> None:
        nonlocal count
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow(row)
            count += 1
        text.detach()

    write_whole(path, fill, durable=False)
    return count


def _write_each(path: Path, pieces: Iterable[bytes]) -> int:
    """Write pieces one after the other, and give their number."""
    count = 0

    def fill(file: BinaryIO) -> None:
        nonlocal count
        for piece in pieces:
            file.write(piece)
            count += 1

    write_whole(path, fill, durable=False)
    return count


def _write_mapping(path: Path, items: Iterable[tuple[str, Any]]) -> int:
    """Write one JSON object as `write_json` would, item by item, and give their number."""
    count = 0

    def fill(file: BinaryIO) -> None:
        nonlocal count
        file.write(b"{")
        for name, value in items:
            text = json.dumps(value, ensure_ascii=False, indent=1).replace("\n", "\n ")
            line = f"{',' if count else ''}\n {json.dumps(name, ensure_ascii=False)}: {text}"
            file.write(line.encode("utf-8"))
            count += 1
        file.write(b"\n}\n" if count else b"}\n")

    write_whole(path, fill, durable=False)
    return count


def write_json(path: Path, content: Any) -> None:
    """Write an indented JSON file."""
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n", durable=False)


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line, line by line, and give their number."""
    return _write_each(path, (json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n" for row in rows))
