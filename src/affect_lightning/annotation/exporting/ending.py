"""The end of a pipeline: the clips that stay become a data set, as `affect-lightning annotate export` writes one.

Paper: Section 2. `writing.py` writes; here are the options as a configuration has them. The table is read some
thousand clips at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from affect_lightning.annotation.clip_pieces import ClipPieces
from affect_lightning.annotation.exporting.clips import ExportColumns
from affect_lightning.annotation.exporting.datasheet import Statements
from affect_lightning.annotation.exporting.layouts import LAYOUTS
from affect_lightning.annotation.exporting.media import Link, MediaOptions, announced_length
from affect_lightning.annotation.exporting.writing import Export, export_clips
from affect_lightning.annotation.stages import Ending
from affect_lightning.errors import ConfigurationError
from affect_lightning.metrics import Taxonomy

Group = TypeVar("Group")


@dataclass(frozen=True)
class ExportOptions(Statements, ExportColumns):
    """How the data set is written, beside its columns and what is stated of it.

    Attributes:
        format: One of `affect-lightning annotate export --help`, but `preferences`, which needs verdicts.
        link: `copy`, `hard` or `none`; see `MediaOptions`.
        drops_missing: Whether clips without a file are left out.
        every_clip: Whether clips that a filter dropped are exported, too.
        wheel: On which the labels are drawn.
    """

    format: str = "mercaptionplus"
    link: Link = "copy"
    drops_missing: bool = False
    every_clip: bool = False
    wheel: int = 1

    def __post_init__(self) -> None:
        if self.format not in LAYOUTS:
            raise ConfigurationError(f"Choose the format of the export from {', '.join(LAYOUTS)}; got {self.format!r}.")


class ExportEnding(Ending[ExportOptions]):
    """Writes the clips that stay, with a datasheet."""

    name = "export"

    def __init__(self, options: ExportOptions, taxonomy: Taxonomy) -> None:
        super().__init__(options)
        self._taxonomy = taxonomy

    def parts(self) -> Mapping[str, str]:
        """The taxonomy on whose wheel the labels are drawn."""
        return {"taxonomy": f"{self._taxonomy.name}, SHA-256 {self._taxonomy.sha256[:16]}"}

    def write(self, table: ClipPieces, beside: Path, folder: Path) -> None:
        """See the contract."""
        options = self.options
        export = Export(
            options.format,
            self._some(ExportColumns),
            MediaOptions(None, options.link, options.drops_missing),
            self._some(Statements),
            options.every_clip,
            options.wheel,
        )
        export_clips(folder, table, beside, export, self._taxonomy, announced_length, tell=self.work.tell)

    def _some(self, group: type[Group]) -> Group:
        """The options that another group has."""
        return group(**{item.name: getattr(self.options, item.name) for item in fields(group)})  # type: ignore[arg-type]
