"""What a stage of the annotation is: a name, options, and a table of clips in and out.

Paper: Section 2; MER-Caption is made in steps. A stage is run by itself by `affect-lightning annotate NAME`, or after
another. It never drops a row: a filter says in a column `kept.NAME` whether a clip stays, so that counts at each stage
can be told afterwards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Generic, TypeVar

from affect_lightning.annotation.tables import ClipTable, StageRecord, now
from affect_lightning.unibench.report.provenance import package_versions

Options = TypeVar("Options")


class Stage(ABC, Generic[Options]):
    """One step from a table of clips to the next."""

    name: ClassVar[str]

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """The columns that the stage adds, one value for each clip of the table.

        Raises:
            DataError: The table lacks a column that the stage needs, or holds something else in it.
        """

    def parts(self) -> Mapping[str, str]:
        """Identity of each part that the stage asks, for the record."""
        return {}

    def run(self, table: ClipTable) -> ClipTable:
        """The table with the stage's columns and the record of how they came about; see `columns_of` for errors."""
        columns = self.columns_of(table)
        record = StageRecord(
            stage=self.name,
            options=_plain(asdict(self.options)),  # type: ignore[call-overload]
            parts=dict(self.parts()),
            columns=tuple(columns),
            clips=len(table),
            time=now(),
            version=package_versions()["affect-lightning"],
        )
        return table.with_columns(columns, record)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
