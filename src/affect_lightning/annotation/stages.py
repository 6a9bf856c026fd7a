"""What a stage of the annotation is: a name, options, and a table of clips in and out.

Paper: Section 2; MER-Caption is made in steps. A stage is run by itself by `affect-lightning annotate NAME`, or after
another by `annotate --config`. It never drops a row: a filter says in a column `kept.NAME` whether a clip stays, so that
counts at each stage can be told afterwards. `catalogue.py` has the stages by name, `pipeline.py` runs them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from affect_lightning.annotation.clip_pieces import ClipPieces
from affect_lightning.annotation.tables import ClipTable, StageRecord, now
from affect_lightning.unibench.report.provenance import package_versions

Options = TypeVar("Options")
Chunks: TypeAlias = Callable[[], Iterator[ClipTable]]
"""Gives all clips, some thousand at a time; it may be called several times."""
Scope: TypeAlias = Literal["clip", "distribution", "table"]
"""What a clip's columns depend on: the clip alone; also on what `prepare` has seen of all clips; or on all clips at once."""


def _silent(what: str, more: int, total: int) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class StageWork:
    """What a stage is given for its work.

    Attributes:
        folder: For what is half done, such as answers that came already; None where nothing is kept. A stage that is killed
            finds it again. Each chunk of clips has one of its own.
        tell: Told what is being done, how many more of it are done, and how many were to be done.
    """

    folder: Path | None = None
    tell: Callable[[str, int, int], None] = _silent


@dataclass(frozen=True)
class StageCost:
    """What a stage will still cost.

    Attributes:
        requests: Questions to models that are still to be asked, by what they are for; empty where no model is asked.
        measured: Answers that are there already, by the same names, with their characters and seconds altogether;
            None for seconds that nobody took.
    """

    requests: Mapping[str, int]
    measured: Mapping[str, tuple[int, int, float | None]]

    def tokens(self) -> int | None:
        """About how many tokens the answers will have: four characters each, as in English; None if that is not known."""
        if any(count and not self.measured.get(what, (0, 0, 0.0))[0] for what, count in self.requests.items()):
            return None
        sizes = {what: found[1] / found[0] / 4 for what, found in self.measured.items() if found[0]}
        return round(sum(count * sizes.get(what, 0.0) for what, count in self.requests.items()))

    def seconds(self) -> float | None:
        """How long the open questions will take, at the pace of the answers so far; None if that is not known."""
        if any(count and not self.measured.get(what, (0, 0, 0.0))[0] for what, count in self.requests.items()):
            return None
        taken = {what: (found[0], found[2]) for what, found in self.measured.items() if found[0]}
        if any(count and what in taken and taken[what][1] is None for what, count in self.requests.items()):
            return None
        paces = {what: (seconds or 0.0) / count for what, (count, seconds) in taken.items()}
        return sum(count * paces.get(what, 0.0) for what, count in self.requests.items())


class Stage(ABC, Generic[Options]):
    """One step from a table of clips to the next.

    Attributes:
        name: As in a configuration, and in `kept.NAME`.
        passing: Options that say how the work is done and change no column, such as a batch size; no record has them.
        work: What the stage is given for its work.
    """

    name: ClassVar[str]
    passing: ClassVar[frozenset[str]] = frozenset()
    work: StageWork = StageWork()

    def __init__(self, options: Options) -> None:
        self.options = options

    @classmethod
    def of(cls, options: Options, **parts: Any) -> Stage[Any]:
        """The stage of a configuration.

        Args:
            options: Of the stage.
            parts: Its plugins, built, and its settings, by the names that `catalogue.py` has.
        """
        return cls(options, **parts)

    @property
    def scope(self) -> Scope:
        """What a clip's columns depend on. Only a stage of scope `clip` can be divided among machines."""
        return "clip"

    def check(self) -> None:
        """Refuse before any stage begins, such as a server to which nothing may be sent; by default all is well."""

    def prepare(self, chunks: Chunks) -> None:
        """Look at all clips before columns are made, for a stage of scope `distribution`; by default nothing."""

    @abstractmethod
    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """The columns that the stage adds, one value for each clip of the table.

        Raises:
            DataError: The table lacks a column that the stage needs, or holds something else in it.
        """

    def parts(self) -> Mapping[str, str]:
        """Identity of each part that the stage asks, for the record."""
        return {}

    def cost(self, table: ClipTable) -> StageCost:
        """What these clips will still cost; by default no model is asked."""
        return StageCost({}, {})

    def recorded_options(self) -> dict[str, Any]:
        """The options that decide the columns, as plain values."""
        values = asdict(self.options)  # type: ignore[call-overload]
        return _plain({name: value for name, value in values.items() if name not in self.passing})

    def record(self, columns: Sequence[str], clips: int, request: str = "") -> StageRecord:
        """The record of columns that this stage has made."""
        return StageRecord(
            stage=self.name,
            options=self.recorded_options(),
            parts=dict(self.parts()),
            columns=tuple(columns),
            clips=clips,
            time=now(),
            version=package_versions()["affect-lightning"],
            request=request,
        )

    def run(self, table: ClipTable) -> ClipTable:
        """The table with the stage's columns and the record of how they came about; see `columns_of` for errors."""
        self.prepare(lambda: iter([table]))
        columns = self.columns_of(table)
        return table.with_columns(columns, self.record(list(columns), len(table)))


class Ending(ABC, Generic[Options]):
    """What follows the last stage: it writes a folder out of the table and changes no column.

    Attributes:
        name: As in a configuration.
        work: Whom to tell of progress.
    """

    name: ClassVar[str]
    work: StageWork = StageWork()

    def __init__(self, options: Options) -> None:
        self.options = options

    @classmethod
    def of(cls, options: Options, **parts: Any) -> Ending[Any]:
        """See `Stage.of`."""
        return cls(options, **parts)

    @abstractmethod
    def write(self, table: ClipPieces, beside: Path, folder: Path) -> None:
        """Write a new folder, whole or not at all.

        Args:
            table: After the last stage; it is read some thousand clips at a time.
            beside: Folder to which paths in the table are relative.
            folder: Is not there yet.

        Raises:
            DataError: The table lacks something, or the system refuses.
        """

    def parts(self) -> Mapping[str, str]:
        """Identity of each part that it asks."""
        return {}

    def recorded_options(self) -> dict[str, Any]:
        """The options as plain values."""
        return _plain(asdict(self.options))  # type: ignore[call-overload]


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
