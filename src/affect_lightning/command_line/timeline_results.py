"""`predict --segments`: the clips are cut before anything is loaded, and the answers become a timeline (ours).

    timeline.jsonl    a line for each part and question: clip, start and end in seconds, response, labels, sentiment
    timeline.csv      the same for a spreadsheet
    timeline.png      a row for each clip, with its labels over time

The parts go to the data module as a table in the user's cache, with `segment_start` and `segment_end`. `clip_answers.segments`
cuts, `prediction_results.py` writes the responses. docs/data.md, "Long videos", tells the user of it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.clip_answers.segments import cut_into_segments
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.predicted_clips import check_predicted, predicted_clips
from affect_lightning.errors import ConfigurationError
from affect_lightning.figure_files import new_axes, save_figure
from affect_lightning.storage import user_cache_folder, write_whole
from affect_lightning.unibench.scoring.predictions import write_files

COLUMNS = ("clip", "start", "end", "question", "response", "labels", "sentiment")
_MEDIA = ("--data.predict_video", "--data.predict_audio")
_COLOURS = {"positive": "#6d9a4a", "negative": "#d9503f", "neutral": "#8a8f98"}
_CLASS_COLOURS = ("#2f6db5", "#ee8a3c", "#8e63b8", "#6d9a4a", "#d9503f")
_ROW, _WIDTH, _HEAD = 0.7, 10.0, 1.2  # inches of the picture; our choice
_WRITTEN = 0.04  # share of the width from which a part's label is written; our choice


def with_segments(words: Sequence[str]) -> list[str]:
    """The command line with a table of parts in the place of `--segments` and its clips; any other as it is.

    Args:
        words: The command line with long options, the command first.

    Raises:
        ConfigurationError: There are no clips, or the parts cannot be found.
        DataError: A clip cannot be read.
    """
    taken, kept = _taken(words)
    if "--segments" not in taken:
        return list(words)
    if not taken.keys() & set(_MEDIA):
        raise ConfigurationError("Give the long videos with --clips: --segments cuts them.")
    video, audio = (_listed(taken[name]) if name in taken else None for name in _MEDIA)
    clips = predicted_clips(video, audio, None)
    check_predicted(clips, shows_text=False)
    rows = [
        {
            "name": f"{clip.name}@{start:.2f}-{end:.2f}",
            **{kind: str(path.resolve()) for kind in ("video", "audio") if (path := getattr(clip, kind)) is not None},
            "segment_start": start,
            "segment_end": end,
        }
        for clip in clips
        for start, end in cut_into_segments(clip, taken["--segments"])
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = user_cache_folder("segments") / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    return [*kept, f"--data.predict_table={path}"]


def _taken(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The options that are about clips, and the other words; only `predict` has them."""
    taken: dict[str, str] = {}
    kept: list[str] = []
    wanted = ("--segments", *_MEDIA) if words and words[0] == "predict" else ()
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        if name in wanted and not equals:
            position += 1
            value = words[position] if position < len(words) else ""
        if name in wanted:
            taken[name] = value
        else:
            kept.append(words[position])
        position += 1
    return taken, kept


def _listed(value: str) -> str | list[str]:
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return [str(entry) for entry in found] if isinstance(found, list) else value


def write_timeline(folder: Path, rows: Sequence[Mapping[str, Any]], clips: Sequence[ClipRecord]) -> Path | None:
    """Write the timeline of answers about parts.

    Args:
        folder: Of the prediction.
        rows: Of `predictions/own.jsonl`.
        clips: That were asked about; those without a part are left out.

    Returns:
        The picture; None where no clip is a part.

    Raises:
        DataError: A file cannot be written.
    """
    parts = {clip.name: clip for clip in clips if clip.span is not None}
    found = [_line(row, parts[row["name"]]) for row in rows if row["name"] in parts]
    if not found:
        return None
    found.sort(key=lambda line: (line["clip"], line["start"], line["question"]))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[*list(line.values())[:5], "; ".join(line["labels"]), line["sentiment"]] for line in found])
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found)
    write_files({folder / "timeline.jsonl": lines, folder / "timeline.csv": table.getvalue()})
    _draw(folder / "timeline.png", found)
    return folder / "timeline.png"


def _line(row: Mapping[str, Any], part: ClipRecord) -> dict[str, Any]:
    start, end = part.span or (0.0, 0.0)
    values = (
        part.name.rpartition("@")[0],
        start,
        end,
        row["question"],
        row["response"],
        row["labels"],
        row["sentiment"],
    )
    return dict(zip(COLUMNS, values, strict=True))


def _draw(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """A row for each clip and question; parts have the colour of their sentiment, or of their class."""
    rows = list(dict.fromkeys((line["clip"], line["question"]) for line in lines))
    several = len({question for _, question in rows}) > 1
    end = max(line["end"] for line in lines)
    figure, axes = new_axes("seconds", "", (_WIDTH, _HEAD + _ROW * len(rows)))
    names = list(dict.fromkeys(label for line in lines for label in line["labels"][:1]))
    by_class = all(len(line["labels"]) <= 1 and line["sentiment"] in ("", "neutral") for line in lines)
    for line in lines:
        place = rows.index((line["clip"], line["question"]))
        label = line["labels"][0] if line["labels"] else ""
        colour = _COLOURS.get(line["sentiment"], _COLOURS["neutral"])
        if by_class and label:
            colour = _CLASS_COLOURS[names.index(label) % len(_CLASS_COLOURS)]
        length = line["end"] - line["start"]
        axes.barh(place, length, left=line["start"], height=0.7, color=colour, edgecolor="white", linewidth=0.8)
        if length >= _WRITTEN * end:
            middle = (line["start"] + line["end"]) / 2
            axes.text(
                middle,
                place,
                label,
                ha="center",
                va="center",
                fontsize=8,
                color="white",
                clip_on=True,
                parse_math=False,
            )
    titles = [f"{clip}\n{question}" if several else clip for clip, question in rows]
    axes.set_yticks(range(len(rows)), titles, fontsize=8)
    axes.set_xlim(0, end)
    axes.invert_yaxis()
    save_figure(figure, path)
