"""Columns of saved outputs: which one is the clip's name, the response, the labels, the sentiment.

Every tool of the trade has its own names: the authors' csv, ms-swift (`response`, and the truth in `labels`), LLaMA-Factory
(`predict`, and the truth in `label`), lmms-eval (`filtered_resps`), the MER challenge (`name,discrete`). A column that may be
a truth is never scored as a prediction in silence; `other_answers.py` looks for the answers beside it.
`prediction_files.py` reads the cells.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.unibench.scoring.other_answers import other_answers

# Column names that are understood, by kind; `--column KIND=NAME` names another one.
COLUMNS: dict[str, tuple[str, ...]] = {
    "name": (
        "name", "names", "filename", "filenames", "file_name", "clip", "clip_name", "clip_id", "id", "video", "video_id",
        "sample_id", "doc_id", "custom_id",
    ),
    "response": (
        "response", "responses", "reason", "description", "answer", "output", "predict", "prediction", "predictions", "pred",
        "generated_text", "generated", "generation", "completion", "model_output", "filtered_resps", "resps",
    ),
    "labels": ("labels", "openset", "emotions", "given_labels", "discrete"),
    "sentiment": ("sentiment", "sentiments", "given_sentiment"),
}  # fmt: skip
TRUTH_KINDS = ("truth-name", "truth")  # of the label file; `corpora/truths.py` reads it
KINDS = tuple(kind for kind in COLUMNS if kind != "name")
# Where both are there, the second one is read; our own files say with `generated` that a corpus is generated.
_INSTEAD_OF = {
    "resps": "filtered_resps",
    "generated": "response",
    "id": "custom_id",
}  # `id` is the request's, in a batch
_OURS = {"corpus", "question", "truth_labels"}  # of files of `test` and `predict`, whose labels are never the truth
_TOOL_MARKS = {
    "messages",
    "logprobs",
    "finish_reason",
    "prompt",
    "query",
    "solution",
}  # of files that repeat their input
_SENTIMENT_LIKE = re.compile(r"sentiment|polarity|valence|^m$", re.IGNORECASE)
_LABELS_LIKE = re.compile(r"emotion|label|^emo$|class|mood|feeling", re.IGNORECASE)
_TRUTH_LIKE = re.compile(r"true|truth|gold|target|^gt", re.IGNORECASE)
_HEADING = re.compile(
    r"name|file|clip|video|id$|emotion|label|pred|text|score|sentiment|class|truth|prompt|question|index|^m$"
)
_SHOWN = 3  # columns that are named; our choice
_LOG = logging.getLogger(__name__)


def used_columns(
    path: Path,
    present: Sequence[str],
    columns: Mapping[str, str],
    kinds: Sequence[str],
    rows: Iterable[Mapping[str, Any]] = (),
    originals: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The column of each kind that the file has.

    Args:
        path: Of the file, for messages.
        present: Its columns.
        columns: Column by kind, where the user named it.
        kinds: Those that are read.
        rows: Its rows, in which answers are looked for beside what may be the truth.
        originals: What a column is called in the file, where its layout has another name.

    Raises:
        DataError: A named column is missing, two columns may be the same kind, there is none of what is needed, or
            answers stand beside words that may be the truth.
    """
    used: dict[str, str] = {}
    for kind in ("name", *kinds):
        if kind in columns:
            if columns[kind] not in present:
                raise DataError(f"{path} has no column {columns[kind]!r}; its columns are {', '.join(present)}.")
            used[kind] = columns[kind]
            continue
        found = _found(present, kind)
        if len(found) > 1:
            raise DataError(
                f"{path} has more than one column that can be the {kind}: {', '.join(found)}. Choose one with "
                f"`--column {kind}=NAME`."
            )
        if found:
            used[kind] = found[0]
    for wanted in (("name",), tuple(kinds)):
        if not any(kind in used for kind in wanted):
            known = ", ".join(column for kind in wanted for column in COLUMNS[kind])
            raise DataError(
                f"{path} has no column for the {' or '.join(wanted)}; its columns are {', '.join(present)}. Expected one "
                f"of {known}, or name yours with `--column {wanted[0]}=NAME`.{_hint(present, wanted)}"
            )
    left = _without_truths(path, present, columns, used, originals or {})
    check_other_answers(path, present, columns, left, rows, originals)
    return left


def check_other_answers(
    path: Path,
    present: Sequence[str],
    columns: Mapping[str, str],
    used: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    originals: Mapping[str, str] | None = None,
    *,
    copied: Collection[str] = (),
) -> None:
    """Stop where a chosen column may be the truth, because another one may be the answers.

    Args:
        path: Of the file, for messages.
        present: Its columns.
        columns: Column by kind, where the user named it; these are never refused.
        used: The chosen column by kind.
        rows: Of the file.
        originals: See `used_columns`.
        copied: Kinds whose cells are the truths of every clip, so that any other text may be the answer.

    Raises:
        DataError: There is such a column.
    """
    if {column.strip().lower() for column in present} >= _OURS:
        return
    others = [column for column in present if column not in used.values()]
    for kind in KINDS:
        if kind in used and kind not in columns:
            found = other_answers(kind, used[kind], others, rows, any_text=kind in copied)
            _refuse_other_answers(path, kind, used[kind], found, originals)


def _refuse_other_answers(
    path: Path, kind: str, chosen: str, others: Mapping[str, str], originals: Mapping[str, str] | None
) -> None:
    """Stop where the chosen column may be the truth, because other columns may be the answers."""
    if not others:
        return
    given = (originals or {}).get(chosen, chosen)
    options = [f"`--column {other}={column}` scores {column}" for column, other in list(others.items())[:_SHOWN]]
    raise DataError(
        f"{path} has {kind} ({given}) beside {' and '.join(list(others)[:_SHOWN])}, so {given} may be the model's words or "
        f"the truth. Choose: {', '.join(options)}, `--column {kind}={given}` scores {given}."
    )


def _hint(present: Sequence[str], wanted: Sequence[str]) -> str:
    """What the columns of a file without a needed one look like, and what to do then."""
    lowered = {column.strip().lower() for column in present}
    if not lowered & {name for names in COLUMNS.values() for name in names} and not any(map(_is_plain, lowered)):
        return " If the first line is no header, add one, such as name,labels."
    if wanted == ("name",):
        if {"prompt", "predict", "label"} <= lowered:
            return (
                " LLaMA-Factory writes its predictions in the order of its data set and without names: add the names of the "
                "clips in that order."
            )
        return ""
    sentiments = [column for column in present if _SENTIMENT_LIKE.search(column)]
    words = [column for column in present if _LABELS_LIKE.search(column) and not _TRUTH_LIKE.search(column)]
    words = [column for column in words if column not in sentiments]
    options = [f"`--column labels={column}`" for column in words[:2]]
    options += [f"`--column sentiment={column}`" for column in sentiments[:2]]
    return f" If these are the model's words: {' or '.join(options)}." if options else ""


def _is_plain(column: str) -> bool:
    """Whether a cell of the first line looks like the name of a column, which the cells of a clip do not."""
    return bool(_HEADING.search(column))


def _found(present: Sequence[str], kind: str) -> list[str]:
    found = [column for column in present if column.strip().lower() in COLUMNS[kind]]
    lowered = {column.strip().lower() for column in found}
    return [column for column in found if _INSTEAD_OF.get(column.strip().lower()) not in lowered]


def _without_truths(
    path: Path,
    present: Sequence[str],
    columns: Mapping[str, str],
    used: dict[str, str],
    originals: Mapping[str, str],
) -> dict[str, str]:
    """The columns without those that are the truth beside a response; refused where that cannot be told."""
    beside = [
        kind
        for kind in KINDS
        if kind in used and kind != "response" and kind not in columns and not used[kind].startswith("given_")
    ]
    lowered = {column.strip().lower() for column in present}
    if "response" not in used or "response" in columns or not beside or lowered >= _OURS:
        return used
    marks = sorted(_TOOL_MARKS & lowered)
    if not marks:
        words = originals.get(used[beside[0]], used[beside[0]])
        raise DataError(
            f"{path} has responses ({used['response']}) beside {beside[0]} ({words}), which may be the model's words or the "
            f"truth. Choose: `--column response={used['response']}` scores the responses, `--column {beside[0]}={words}` "
            f"scores the {beside[0]}."
        )
    _LOG.warning(
        "%s: the column %s is scored, and %s is taken for the truth and left alone, because the file repeats its input (%s). "
        "Name the other one with `--column %s=%s` to score it.",
        path, used["response"], ", ".join(used[kind] for kind in beside), ", ".join(marks), beside[0], used[beside[0]],
    )  # fmt: skip
    return {kind: column for kind, column in used.items() if kind not in beside}
