"""Bounds: the best scores that any model could reach from a part of the modalities, as reference rows of a report.

The sandbox's generator computes them and writes them into corpus.json, because it knows what each modality tells. Real
corpora have no such file, and reports then have no such rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from affect_lightning.errors import DataError
from affect_lightning.unibench.report_rows import ReferenceRow

CORPUS_FILE = "corpus.json"


def read_bounds(path: Path | str) -> list[ReferenceRow]:
    """The bounds of a corpus.json, one row a subset of the modalities.

    The file holds `{"bounds": {SUBSET: {SET: percent, ..., "mean": percent}}}`, subsets such as `face+voice`.

    Raises:
        DataError: The file is unreadable, or its bounds have another form.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Make the corpus again.") from error
    bounds = content.get("bounds") if isinstance(content, dict) else None
    if not isinstance(bounds, Mapping):
        raise DataError(f"{path} has no table `bounds`. Make the corpus again with `affect-lightning sandbox`.")
    return [_row(subset, scores, path) for subset, scores in bounds.items()]


def _row(subset: str, scores: object, path: Path | str) -> ReferenceRow:
    if not isinstance(scores, Mapping) or not all(isinstance(score, (int, float)) for score in scores.values()):
        raise DataError(f"{path}: the bound of {subset} must be a table of percentages by set, found {scores!r}.")
    by_set = {key: float(score) for key, score in scores.items() if key != "mean"}
    mean = scores.get("mean")
    return ReferenceRow(f"best possible from {subset}", by_set, None if mean is None else float(mean))
