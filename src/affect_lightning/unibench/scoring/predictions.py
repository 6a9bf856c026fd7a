"""Predictions: what a model said about each clip, next to the truth; one `.jsonl` file a set.

Paper: Section 4 (free-form responses are scored after the fact, so they are kept). `callback.py` writes them during
test and predict, `set_scoring.py` scores them. `write_files` writes all files of a run's results (`report` too) or none,
and says in a sentence what the system refuses; `storage` keeps the files whole.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.errors import DataError
from affect_lightning.storage import Content, write_whole_files

if TYPE_CHECKING:
    from affect_lightning.contracts import ResponseRow

FOLDER = "predictions"
_OPTIONAL: dict[str, Any] = {
    "given_labels": None,
    "given_sentiment": None,
    "missing": False,
    "has_response": True,
    "generated": False,
}


class WritingError(DataError):
    """Files could not be written: a full disk, a missing right or a folder that is a file."""


def write_files(contents: Mapping[Path, Content]) -> list[Path]:
    """Write a group of files (text as UTF-8), none of which takes its name before all of them are written.

    Args:
        contents: Text, or a function that writes to the open file, by final path. Missing folders are made.

    Returns:
        The paths written.

    Raises:
        WritingError: The system refuses; no file is half written.
    """
    try:
        return write_whole_files(contents)
    except OSError as error:
        raise refused_writing(error) from error


def refused_writing(error: OSError, path: Path | None = None) -> WritingError:
    """The error that says what the system refuses to write; the path where the error does not know it."""
    return WritingError(
        f"{error.filename or path} could not be written: {error.strerror or error}. Free space or choose another folder, "
        f"then run the command again. No unfinished file is left under that name."
    )


@dataclass(frozen=True, slots=True)
class Prediction:
    """One response of a model.

    Attributes:
        name: Of the clip, unique within its corpus.
        corpus: Key of the set, such as `meld`.
        question: What was asked.
        response: What the model answered, unchanged.
        truth_labels: True emotion words; empty where there are none.
        truth_sentiment: True sentiment value in the unit of the set; None where there is none.
        given_labels: Emotion words that came with the prediction, so that none are extracted; None where none came.
        given_sentiment: Sentiment that came with the prediction, likewise.
        missing: Whether the model has no prediction for this clip; it then counts as wrong.
        has_response: Whether there is a response, which may be empty.
        generated: Whether the clip is of a generated corpus, so that its score is no result.
    """

    name: str
    corpus: str
    question: str
    response: str
    truth_labels: tuple[str, ...] = ()
    truth_sentiment: float | None = None
    given_labels: tuple[str, ...] | None = None
    given_sentiment: str | None = None
    missing: bool = False
    has_response: bool = True
    generated: bool = False

    @classmethod
    def of_response(cls, row: ResponseRow) -> Prediction:
        """The prediction of a response that a test or predict step gave."""
        return cls(row.name, row.corpus, row.question, row.response, row.truth_labels, row.truth_sentiment)

    def to_row(self) -> dict[str, Any]:
        """The row that `from_row` reads: what was given, missing or without a response stands there only if it is so."""
        values = asdict(self)
        return {key: value for key, value in values.items() if key not in _OPTIONAL or value != _OPTIONAL[key]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Prediction:
        """Make a prediction of a row as `to_row` gives it; further keys are ignored.

        Raises:
            DataError: A key is missing or a value has another type.
        """
        missing = [key for key in _FIELDS if key not in row]
        if missing:
            raise DataError(f"the row lacks {', '.join(missing)}; it has {', '.join(map(str, row)) or 'nothing'}")
        for key in ("name", "corpus", "question", "response"):
            if not isinstance(row[key], str):
                raise DataError(f"{key} must be a text, found {row[key]!r}")
        labels, sentiment = row["truth_labels"], row["truth_sentiment"]
        if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
            raise DataError(f"truth_labels must be a list of texts, found {labels!r}")
        if sentiment is not None and (isinstance(sentiment, bool) or not isinstance(sentiment, (int, float))):
            raise DataError(f"truth_sentiment must be a number or null, found {sentiment!r}")
        texts = {key: row[key] for key in ("name", "corpus", "question", "response")}
        return cls(
            **texts,
            truth_labels=tuple(labels),
            truth_sentiment=None if sentiment is None else float(sentiment),
            **_given_of_row(row),
        )


def _given_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The optional attributes, checked."""
    given = {key: row[key] for key in _OPTIONAL if key in row}
    labels, sentiment = given.get("given_labels"), given.get("given_sentiment")
    if labels is not None:
        if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
            raise DataError(f"given_labels must be a list of texts or null, found {labels!r}")
        given["given_labels"] = tuple(labels)
    if sentiment is not None and not isinstance(sentiment, str):
        raise DataError(f"given_sentiment must be a text or null, found {sentiment!r}")
    for key in ("missing", "has_response", "generated"):
        if not isinstance(given.get(key, False), bool):
            raise DataError(f"{key} must be true or false, found {given[key]!r}")
    return given


_FIELDS = tuple(name for name in Prediction.__dataclass_fields__ if name not in _OPTIONAL)


def group_by_corpus(
    predictions: Iterable[Prediction], *, several_questions: bool = False
) -> dict[str, list[Prediction]]:
    """Predictions by set, sorted by name within a set.

    Args:
        predictions: Of any number of sets.
        several_questions: Whether a clip may have a prediction for each of several questions, which stay in their
            order; scores need one a clip.

    Raises:
        DataError: A set has two predictions for one clip, or for one question on it.
    """
    groups: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        groups.setdefault(prediction.corpus, []).append(prediction)
    for corpus, group in groups.items():
        group.sort(key=lambda prediction: prediction.name)
        keys = sorted((row.name, row.question if several_questions else "") for row in group)
        for first, second in itertools.pairwise(keys):
            if first == second:
                raise DataError(
                    f"The set {corpus} has more than one prediction for the clip {first[0]!r}. Remove the repeated rows, "
                    f"or test with one question for each clip."
                )
    return groups


def write_predictions(
    folder: Path | str,
    predictions: Iterable[Prediction],
    answers: Mapping[tuple[str, str, str], Mapping[str, Any]] | None = None,
) -> list[Path]:
    """Write `folder/<set>.jsonl` for each set, whole or not at all, one response a line, sorted by the clip's name.

    Args:
        folder: Usually `runs/<experiment>/<version>/predictions`.
        predictions: Of any number of sets.
        answers: What else a line has, by corpus, clip and question.

    Returns:
        The files written.

    Raises:
        DataError: Two predictions for one question on a clip, or a set whose name cannot be a file's name.
        WritingError: The system refuses to write.
    """
    contents: dict[Path, str] = {}
    for corpus, group in group_by_corpus(predictions, several_questions=True).items():
        if not corpus or Path(corpus).name != corpus:
            raise DataError(f"The set's name {corpus!r} cannot be a file name. Use letters, digits and dashes.")
        rows = [{**row.to_row(), **(answers or {}).get((corpus, row.name, row.question), {})} for row in group]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        contents[Path(folder) / f"{corpus}.jsonl"] = "\n".join(lines) + "\n"
    return write_files(contents)


def read_predictions(path: Path | str) -> list[Prediction]:
    """Read one `.jsonl` file, or every one of a folder (a run's folder or its `predictions/`).

    Raises:
        DataError: There is no such file, the folder holds none, a file is empty, or a row is broken; the message names
            the file and the row.
    """
    path = Path(path)
    if path.is_dir():
        folder = path / FOLDER if (path / FOLDER).is_dir() else path
        files = sorted(folder.glob("*.jsonl"))
        if not files:
            raise DataError(f"{folder} holds no predictions (*.jsonl). `affect-lightning test` writes them.")
        return [prediction for file in files for prediction in _read_file(file)]
    return _read_file(path)


def _read_file(path: Path) -> list[Prediction]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The predictions {path} cannot be read: {error}. Run the test again.") from error
    predictions = [_read_line(line, path, row) for row, line in enumerate(lines, start=1) if line.strip()]
    if not predictions:
        raise DataError(f"{path} holds no predictions. Run the test again.")
    return predictions


def _read_line(line: str, path: Path, row: int) -> Prediction:
    try:
        content = json.loads(line)
        if not isinstance(content, dict):
            raise DataError(f"the row must be a JSON object, found {type(content).__name__}")
        return Prediction.from_row(content)
    except (ValueError, DataError) as error:
        raise DataError(f"{path}, row {row} is broken: {error}. Fix or remove the row.") from error
