"""What `predict` leaves and prints: the responses, what exactly was asked, and the scores of a closed set of classes (ours).

    predictions/own.jsonl     a line for each clip and question; BenchmarkCallback writes it
    questions.json            each question, the prompt around it, and the prompt's hash
    classes.json              scores by question, with `--classes` and a table that has the true class
    confusion.svg             and their confusion; confusion-2.svg of a second question

`trainer_commands.py` calls this after a prediction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.command_line.timeline_results import write_timeline
from affect_lightning.contracts import ClipRecord
from affect_lightning.corpora.own_clips import OWN_CORPUS
from affect_lightning.errors import DataError
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.unibench.report.class_figure import draw_confusion
from affect_lightning.unibench.scoring.predictions import FOLDER, write_files
from affect_lightning.unibench.statistics.class_scores import FIGURES, ClassScores, class_scores

QUESTIONS_FILE, CLASSES_FILE = "questions.json", "classes.json"
_TITLES = dict(zip(FIGURES, ("accuracy", "macro F1", "weighted F1"), strict=True))


def finish_prediction(
    folder: Path,
    configuration: ModelConfiguration,
    extractor: Mapping[str, Any],
    file: Path | None,
    clips: Sequence[ClipRecord] = (),
) -> list[ClassScores]:
    """Write what belongs to the responses.

    Args:
        folder: Of the prediction.
        configuration: Of the network, for the prompt.
        extractor: The label extractor's choice; `choices` has the classes.
        file: Gets the responses too; None for no such file.
        clips: That were asked about; those that are parts of a file make a timeline.

    Returns:
        Scores of each question, where there is something to score by.

    Raises:
        DataError: A true class is none of the classes, or a file cannot be written.
    """
    rows = _rows(folder)
    questions = list(dict.fromkeys(row["question"] for row in rows))
    contents: dict[Path, Any] = {folder / QUESTIONS_FILE: _json([_asked(text, configuration) for text in questions])}
    scores = _scores(rows, questions, list(extractor.get("classes") or ()))
    if scores:
        contents[folder / CLASSES_FILE] = _json([score.to_json() for score in scores])
    if file is not None:
        contents[file] = _responses(folder).read_text(encoding="utf-8")
    write_files(contents)
    write_timeline(folder, rows, clips)
    for number, score in enumerate(scores, start=1):
        draw_confusion(folder / f"confusion{'' if number == 1 else f'-{number}'}.svg", score)
    return scores


def prediction_lines(
    folder: Path, left_out: Sequence[Mapping[str, str]], scores: Sequence[ClassScores], file: Path | None
) -> tuple[dict[str, Any], list[str]]:
    """The result of `--json`, and the lines to print; see `finish_prediction`."""
    rows = _rows(folder)
    several = len({row["question"] for row in rows}) > 1
    keys = ("name", *(("question",) if several else ()), "response", "labels", "sentiment")
    path = file or _responses(folder)
    result: dict[str, Any] = {"responses": [{key: row[key] for key in keys} for row in rows]}
    result |= {"left_out": list(left_out), "file": str(path)}
    if scores:
        result["classes"] = [score.to_json() for score in scores]
    asked = [f" ({row['question']})" if several else "" for row in rows]
    lines = [f"{row['name']}{question}: {row['response']}" for row, question in zip(rows, asked, strict=True)]
    lines += [f"{clip['name']}: left out ({clip['stage']}: {clip['reason']})" for clip in left_out]
    for score in scores:
        lines += ["", score.question, *_score_lines(score)]
    if scores:
        lines.append(f"Scores: {folder / CLASSES_FILE}")
    if (timeline := folder / "timeline.png").exists():
        lines.append(f"Timeline: {timeline}")
        result["timeline"] = str(timeline)
    return result, [*lines, f"Responses: {path}"]


def _score_lines(score: ClassScores) -> list[str]:
    lines = []
    for name, title in _TITLES.items():
        ends = score.intervals[name]
        shown = "" if ends is None else f" ({ends[0]:.1f} to {ends[1]:.1f})"
        lines.append(f"{title}: {score.scores[name]:.1f}{shown}")
    lines.append(f"clips: {score.clips}, {score.unmapped} of them without a class in the response")
    return lines


def _responses(folder: Path) -> Path:
    return folder / FOLDER / f"{OWN_CORPUS}.jsonl"


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _responses(folder).read_text(encoding="utf-8").splitlines()]


def _asked(question: str, configuration: ModelConfiguration) -> dict[str, str]:
    """A question with the prompt of a clip without subtitle, one placeholder a stream, before any chat template."""
    prompt = configuration.prompt_style.prompt(str, configuration.inputs, "", question)
    return {"question": question, "prompt": prompt, "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest()}


def _scores(rows: Sequence[Mapping[str, Any]], questions: Sequence[str], classes: Sequence[str]) -> list[ClassScores]:
    known = {name.casefold(): name for name in classes}
    scored = []
    for question in questions:
        own = [row for row in rows if row["question"] == question and row["truth_labels"]]
        if not classes or not own:
            continue
        for row in own:
            if len(row["truth_labels"]) != 1 or row["truth_labels"][0].casefold() not in known:
                raise DataError(
                    f"Add the class to --classes, or correct the table: the clip {row['name']!r} has "
                    f"{', '.join(row['truth_labels'])!r}, and the classes are {', '.join(classes)}."
                )
        truths = [known[row["truth_labels"][0].casefold()] for row in own]
        answers = [row["labels"][0] if row["labels"] else None for row in own]
        scored.append(class_scores(question, truths, answers, classes))
    return scored


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
