"""outcomes.jsonl: what came of each clip, one line a clip, beside report.json.

Paper: none. The terms of each clip (`clip_terms.py`) are kept so that finished runs can be compared clip by clip
(`paired_tests.py`) without scoring anything again. Plain text: nothing in it is ever executed. `files.py` writes and
reads the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.unibench.report.content import ReportRow
from affect_lightning.unibench.scores import ClipOutcome, SetScore
from affect_lightning.unibench.statistics.clip_terms import metric_values, terms_of

OUTCOMES_NAME = "outcomes.jsonl"
_SAME = 1e-6  # percentage points by which a score may differ from that of its outcomes: rounding only


def outcome_lines(rows: Iterable[ReportRow]) -> str:
    """All outcomes of all rows, one JSON object a line."""
    lines = [
        json.dumps(
            {
                "model": row.name,
                "set": key,
                "clip": outcome.name,
                "labels": [*outcome.labels],
                "sentiment": outcome.sentiment,
                "hit": outcome.hit,
                "terms": [int(term) if term == int(term) else term for term in outcome.terms],
            },
            ensure_ascii=False,
        )
        for row in rows
        for key, score in row.scores.sets.items()
        for outcome in score.outcomes
    ]
    return "".join(line + "\n" for line in lines)


def attach_outcomes(rows: Sequence[ReportRow], path: Path) -> list[ReportRow]:
    """The rows with the outcomes of a file; rows as they are if there is no such file, or it has none of a set.

    Args:
        rows: Of the report.json beside the file.
        path: The file.

    Raises:
        DataError: A line is broken, or the outcomes do not give the score that report.json has.
    """
    found = _read(path) if path.is_file() else {}
    return [
        replace(
            row,
            scores=replace(
                row.scores,
                sets={
                    key: _checked(score, found[row.name, key], path) if (row.name, key) in found else score
                    for key, score in row.scores.sets.items()
                },
            ),
        )
        for row in rows
    ]


def _read(path: Path) -> dict[tuple[str, str], list[ClipOutcome]]:
    found: dict[tuple[str, str], list[ClipOutcome]] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The outcomes {path} cannot be read: {error}. Score the predictions again.") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                model, key, outcome = _outcome(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{path}, row {number} is broken: {error!r}. Score the predictions again, or remove the file to "
                    f"compare without paired tests."
                ) from error
            found.setdefault((model, key), []).append(outcome)
    return found


def _outcome(values: dict[str, Any]) -> tuple[str, str, ClipOutcome]:
    hit = values["hit"]
    if hit not in (True, False, None):
        raise ValueError(f"hit is {hit!r}, expected true, false or null")
    terms = tuple(float(term) for term in values["terms"])
    if not all(map(math.isfinite, terms)):
        raise ValueError("a term is no finite number")
    outcome = ClipOutcome(str(values["clip"]), tuple(values["labels"]), str(values["sentiment"]), hit, terms)
    return str(values["model"]), str(values["set"]), outcome


def _checked(score: SetScore, outcomes: Sequence[ClipOutcome], path: Path) -> SetScore:
    whole = replace(score, outcomes=tuple(outcomes))
    terms = terms_of(whole)
    if terms is None:
        return whole
    again = 100 * float(metric_values(score.metric, terms.sum(0))[score.metric])
    same = math.isnan(again) if score.score is None else abs(again - score.score) <= _SAME
    if len(outcomes) != score.clips or not same:
        raise DataError(
            f"{path} does not belong to the report.json beside it: its {len(outcomes)} clips of {score.key} score "
            f"{again:.4f}, and report.json has {score.clips} clips with {score.score}. Score the predictions again."
        )
    return whole
