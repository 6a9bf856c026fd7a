"""Bounds: the best scores that a model could reach from a part of the modalities, as reference rows of a report.

The sandbox's generator computes them and writes them into corpus.json, because it knows what each modality tells. Real
corpora have no such file, and reports then have no such rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.unibench.report.content import ReferenceRow

CORPUS_FILE = "corpus.json"


def read_bounds(path: Path | str) -> list[ReferenceRow]:
    """The bounds of a corpus.json, one row a subset of the modalities, in the order of the file.

    Args:
        path: A file with `{"bounds": {"scores": {SET or "mean": {SUBSET: fraction}}}}`, subsets such as `face+voice`.

    Returns:
        Rows with scores in percent.

    Raises:
        DataError: The file is unreadable, or its bounds have another form.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Make the corpus again.") from error
    scores = _scores_of(content)
    if scores is None:
        raise DataError(
            f"{path} has no table `bounds.scores` of fractions by set and subset of the modalities. Make the corpus "
            f"again with `affect-lightning sandbox`."
        )
    subsets = sorted({subset for row in scores.values() for subset in row}, key=lambda subset: subset.count("+"))
    rows = []
    for subset in subsets:
        by_set = {key: 100.0 * float(row[subset]) for key, row in scores.items() if subset in row}
        mean = by_set.pop("mean", None)
        rows.append(ReferenceRow(f"bound: {subset.replace('+', ' + ')}", by_set, mean))
    return rows


def _scores_of(content: Any) -> Mapping[str, Mapping[str, float]] | None:
    bounds = content.get("bounds") if isinstance(content, dict) else None
    scores = bounds.get("scores") if isinstance(bounds, dict) else None
    if not isinstance(scores, dict) or not all(isinstance(row, dict) for row in scores.values()):
        return None
    numbers = [value for row in scores.values() for value in row.values()]
    return scores if all(isinstance(value, (int, float)) for value in numbers) else None
