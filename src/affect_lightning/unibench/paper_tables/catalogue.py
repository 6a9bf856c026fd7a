"""The tables of the paper that are trained for: rows, the options that make each, and the published figures.

Paper: Tables 2 to 6 and 8, Figure 10. `paper_tables.json` next to this file has them; figures are percent, as printed.
Published rows of other models stand elsewhere (`report/published.py`): they are scored, not trained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading.listing import nearest_hint

MEAN = "mean"
GROUPS: dict[str, tuple[str, ...]] = {  # of sets, as in Tables 4 and 5
    "fine-grained": ("ovmerdplus",),
    "basic": ("mer2023", "mer2024", "meld", "iemocap"),
    "sentiment": ("cmumosi", "cmumosei", "sims", "simsv2"),
    MEAN: tuple(MER_UNIBENCH.sets),
}
_TITLES = {MEAN: "MER-UniBench"}


@dataclass(frozen=True)
class PaperRow:
    """One row of a table.

    Attributes:
        labels: What stands left of the figures.
        words: Options of `fit` and `test` behind those of the base; None for a row that needs data of the user.
        published: Percent, by name of the figure; empty where the paper prints none.
        needs: What the row needs, where `words` is None.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...] | None
    published: Mapping[str, float]
    needs: str = ""

    @property
    def title(self) -> str:
        """The labels in one line."""
        return ", ".join(filter(None, self.labels))

    @property
    def key(self) -> str:
        """Folder of the row's runs: its options, so that tables share the runs of equal rows.

        >>> PaperRow((), ("--config", "figure10_face", "--data.frames", "2"), {}).key, PaperRow((), (), {}).key
        ('figure10_face-frames-2', 'base')
        """
        words = [_short(word) for word in self.words or () if word != "--config"]
        return re.sub(r"[^\w.+=-]+", "_", "-".join(words)).strip("_") or "base"


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper, or a figure as a table.

    Attributes:
        name: For the command line, such as `table5`.
        title: For readers.
        heads: Titles of the labels.
        figures: Names of the figures: keys of `GROUPS`, or of sets.
        rows: From top to bottom.
        note: What a reader must know; empty for nothing.
        drawn_over: The head whose labels are numbers, if the table is drawn over them; else empty.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    note: str = ""
    drawn_over: str = ""

    def with_rows(self, given: Mapping[str, Sequence[str]]) -> PaperTable:
        """The table with options for some rows, by the row's title.

        Raises:
            ConfigurationError: There is no such row.
        """
        titles = [row.title for row in self.rows]
        for title in given:
            if title not in titles:
                raise ConfigurationError(
                    f"{self.name} has no row {title!r}.{nearest_hint(title, titles)} Its rows: {'; '.join(titles)}."
                )
        rows = [replace(row, words=tuple(given[row.title])) if row.title in given else row for row in self.rows]
        return replace(self, rows=tuple(rows))


def _short(word: str) -> str:
    """An option by its last name; a value as it is."""
    return word.lstrip("-").rpartition(".")[2] if word.startswith("--") else word


def sets_of(figure: str) -> tuple[str, ...]:
    """The sets whose mean a figure is."""
    return GROUPS.get(figure, (figure,))


def figure_title(figure: str) -> str:
    """Head of a figure's column."""
    return _TITLES.get(figure) or (figure if figure in GROUPS else MER_UNIBENCH.sets[figure].title)


@cache
def paper_tables() -> dict[str, PaperTable]:
    """Every table by name, in the paper's order."""
    text = (files("affect_lightning.unibench.paper_tables") / "paper_tables.json").read_text(encoding="utf-8")
    return {values["name"]: _table(values) for values in json.loads(text)["tables"]}


def _table(values: Mapping[str, Any]) -> PaperTable:
    rows = tuple(_row(row) for row in values["rows"])
    heads, figures = tuple(values["heads"]), tuple(values["figures"])
    return PaperTable(
        values["name"], values["title"], heads, figures, rows, values["note"], values.get("drawn_over", "")
    )


def _row(values: Mapping[str, Any]) -> PaperRow:
    words = values["words"]
    return PaperRow(
        tuple(values["labels"]), None if words is None else tuple(words), values["published"], values.get("needs", "")
    )


def paper_table(name: str) -> PaperTable:
    """A table by its name.

    Raises:
        ConfigurationError: There is no such table.
    """
    known = paper_tables()
    key = re.sub(r"[\s_-]+", "", name.lower())
    if key not in known:
        raise ConfigurationError(
            f"There is no table {name!r}.{nearest_hint(key, list(known))} The tables: {', '.join(known)}. "
            f"`affect-lightning table --list` shows what each needs."
        )
    return known[key]
