"""Published rows: scores that others report, next to those that were measured here.

Paper: Tables 2, 12 and 13, and newer models of other groups. `published_rows.json` next to this file has them, each
with its source; they are numbers as printed, never measured by this package, and every report marks them so. A few
companions of Table 12 (the last row's ACC on CH-SIMS and its precision and recall) are missing, as they cannot be read
in the text that we have. `files.py` adds the rows on request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, ClassVar

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading.listing import nearest_hint
from affect_lightning.unibench.report.tables import NOT_MEASURED, Marks
from affect_lightning.unibench.statistics.paired_tests import MEAN

GROUPS: dict[str, str] = {
    "table2": "AffectGPT paper, Table 2: models",
    "table12": "AffectGPT paper, Table 12: the same models with their companion scores",
    "table13": "AffectGPT paper, Table 13: training sets",
    "newer": "newer models",
    "all": "every row",
}
LEADERBOARD = ("table2", "newer")  # what no names stand for: one row a model; our choice


@dataclass(frozen=True)
class PublishedRow:
    """A row as somebody else printed it.

    Attributes:
        name: Shown in the table, such as `Emotion-LLaMA (A+V+T)`.
        model: Without its inputs.
        inputs: A audio, V video, T text; empty where the source does not say.
        tables: Where it stands: numbers of the paper's tables, or `newer`.
        source: Who published it.
        mean: Percent, as printed.
        scores: Percent by set; empty where only the mean is published.
        companions: Secondary scores in percent, by set and name.
        note: What else a reader must know, such as the rule by which the checkpoint was chosen.
        is_secondary: Whether the source only tells what others printed, as reading notes do.
    """

    name: str
    model: str
    inputs: str
    tables: tuple[str, ...]
    source: str
    mean: float | None
    scores: Mapping[str, float] = field(default_factory=dict)
    companions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""
    is_secondary: bool = False

    marks: ClassVar[Marks] = Marks("published")

    def figure(self, key: str, companion: str = "") -> tuple[float | None, None]:
        """As that of `ReportRow`; there are no intervals."""
        if companion:
            return self.companions.get(key, {}).get(companion), None
        return self.mean if key == MEAN else self.scores.get(key), None

    @property
    def origin(self) -> str:
        """Source, with the paper's tables where it is one, and marked where it is a secondary one."""
        numbers = [table for table in self.tables if table.isdecimal()]
        if not numbers:
            return f"{'secondary source: ' if self.is_secondary else ''}{self.source}"
        return f"{self.source}, {'Table' if len(numbers) == 1 else 'Tables'} {' and '.join(numbers)}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, marked as published."""
        return {**asdict(self), "kind": NOT_MEASURED}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PublishedRow:
        """Read what `to_json` gave; raises KeyError or TypeError if it is something else."""
        content = {key: value for key, value in values.items() if key != "kind"}
        return cls(**{**content, "tables": tuple(content["tables"])})


@lru_cache(maxsize=1)
def all_published_rows() -> tuple[PublishedRow, ...]:
    """Every published row, in the order of the tables."""
    text = (files("affect_lightning.unibench.report") / "published_rows.json").read_text(encoding="utf-8")
    return tuple(PublishedRow.from_json(row) for row in json.loads(text)["rows"])


def published_rows(names: Sequence[str] = ()) -> tuple[PublishedRow, ...]:
    """The published rows that are asked for, each once, in the order of the tables.

    Args:
        names: Groups (see `GROUPS`), models such as `AffectGPT`, or whole names such as `AffectGPT (A+V+T)`, in any
            case. Without names: one row for each model and input, that is Table 2 and the newer rows.

    Raises:
        ConfigurationError: There is no such group, model or row.
    """
    wanted = [name.strip() for name in names if name.strip()] or list(LEADERBOARD)
    chosen = {row.name for name in wanted for row in _rows_named(name)}
    return tuple(row for row in all_published_rows() if row.name in chosen)


def _rows_named(name: str) -> list[PublishedRow]:
    key, rows = name.lower(), all_published_rows()
    if key == "all":
        return list(rows)
    if key in GROUPS:
        return [row for row in rows if key.removeprefix("table") in row.tables]
    found = [row for row in rows if row.name.lower() == key]
    # A model's name stands for its rows on the leaderboard; those of Table 13 are one model on other training sets.
    found = found or [row for row in rows if row.model.lower() == key and "13" not in row.tables]
    if not found:
        known = [*GROUPS, *dict.fromkeys(row.model for row in rows)]
        raise ConfigurationError(
            f"There is no published row {name!r}.{nearest_hint(name, known)} Name a group ({', '.join(GROUPS)}), a "
            f"model ({', '.join(known[len(GROUPS) :])}), or a whole row such as {rows[0].name!r}."
        )
    return found
