"""Write a data set: clips' files, the format's files and the datasheet, in a folder that appears whole or not at all.

Paper: Section 2. Neighbours: everything in this folder; `command_line/annotate_export.py` takes the options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from affect_lightning.annotation.exporting.clips import ExportColumns, ExportedClip, clips_of, with_content
from affect_lightning.annotation.exporting.contents import Contents, stage_counts
from affect_lightning.annotation.exporting.datasheet import Statements, write_datasheet
from affect_lightning.annotation.exporting.layouts import LAYOUTS, Written, write_json
from affect_lightning.annotation.exporting.media import MediaOptions, place_media, seconds_of, with_media
from affect_lightning.annotation.exporting.preference_pairs import PairSelection, write_preferences
from affect_lightning.annotation.tables import ClipTable, now
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.storage import whole_path, write_whole
from affect_lightning.unibench.report.provenance import package_versions
from affect_lightning.unibench.result_folders import check_writable

PREFERENCES = "preferences"
FORMATS = (*LAYOUTS, PREFERENCES)


@dataclass(frozen=True)
class Export:
    """What is exported, and how.

    Attributes:
        layout: One of FORMATS.
        columns: Where the table has what is needed.
        media: Where the clips' files are.
        statements: What the user says of the data set.
        every_clip: Whether clips that a filter dropped are wanted, too.
        wheel: On which the labels are drawn.

    Raises:
        ConfigurationError: There is no such format.
    """

    layout: str
    columns: ExportColumns = field(default_factory=ExportColumns)
    media: MediaOptions = field(default_factory=MediaOptions)
    statements: Statements = field(default_factory=Statements)
    every_clip: bool = False
    wheel: int = 1

    def __post_init__(self) -> None:
        if self.layout not in FORMATS:
            raise ConfigurationError(f"Choose the format from {', '.join(FORMATS)}; got {self.layout!r}.")


def check_new_folder(folder: Path) -> None:
    """Refuse a folder that has something in it already; commands ask before they begin.

    Raises:
        ConfigurationError: It has, or it is a file.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigurationError(
            f"Choose another folder, or move this one away: {folder} is there, and nothing is written over it."
        )
    check_writable(folder.parent)


@dataclass(frozen=True)
class PlannedExport:
    """What will be written.

    Attributes:
        clips: With their files.
        left_out: Numbers of clips that stay and are left out, by the reason.
        selection: Pairs of descriptions, for `preferences`.
    """

    clips: Sequence[ExportedClip]
    left_out: Mapping[str, int]
    selection: PairSelection | None = None


def planned_export(
    table: ClipTable,
    beside: Path,
    export: Export,
    taxonomy: Taxonomy,
    pairs: Callable[[Sequence[str]], PairSelection] | None = None,
) -> PlannedExport:
    """Choose the clips and find their files; nothing is written. See `export_clips` for arguments and errors."""
    if not 1 <= export.wheel <= len(taxonomy.wheels):
        raise ConfigurationError(
            f"Choose a wheel from 1 to {len(taxonomy.wheels)} of the taxonomy {taxonomy.name!r}; got {export.wheel}."
        )
    stay = clips_of(table, export.columns, every_clip=export.every_clip)
    selection = pairs([clip.name for clip in stay]) if pairs is not None else None
    useful = _in_pairs(stay, selection) if selection is not None else with_content(stay)
    clips = with_media(useful, table, beside, export.media)
    without = "no pair" if selection is not None else "neither a description nor labels"
    left_out = {without: len(stay) - len(useful), "no file": len(useful) - len(clips)}
    return PlannedExport(clips, {reason: count for reason, count in left_out.items() if count}, selection)


def export_clips(
    folder: Path,
    table: ClipTable,
    beside: Path,
    export: Export,
    taxonomy: Taxonomy,
    length_of: Callable[[Path], float | None],
    pairs: Callable[[Sequence[str]], PairSelection] | None = None,
    tell: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Write a data set.

    Args:
        folder: New folder.
        table: Its clips that stay are exported.
        beside: Folder to which paths in the table are relative.
        export: What and how.
        taxonomy: On whose wheel the labels are drawn.
        length_of: Seconds of a file as its header says; None if it does not say.
        pairs: Of the clips with these names, for `preferences`.
        tell: Told of progress; see `StageWork`.

    Returns:
        What was written, as plain values; `export.json` has the same.

    Raises:
        ConfigurationError: The folder has something in it, or the taxonomy has no such wheel.
        DataError: The table lacks something, a file is missing, or the system refuses.
    """
    check_new_folder(folder)
    plan = planned_export(table, beside, export, taxonomy, pairs)
    seconds = seconds_of(plan.clips, length_of)
    try:
        with whole_path(folder) as place:
            place.mkdir()
            placed = place_media(place, plan.clips, export.media.link, tell)
            written = _write(place, placed, export, plan.selection)
            version, time = package_versions()["affect-lightning"], now()
            contents = Contents(
                table, placed, written, export.layout, export.every_clip, plan.left_out, seconds, taxonomy, export.wheel,
                export.columns.description, time, version,
            )  # fmt: skip
            write_datasheet(place, contents, export.statements)
            result = _result(contents, export)
            write_json(place / "export.json", result)
    except OSError as error:
        raise DataError(
            f"{folder} could not be written: {error.strerror or error}. Free space, or choose another folder."
        ) from error
    return result


def _in_pairs(clips: Sequence[ExportedClip], selection: PairSelection) -> list[ExportedClip]:
    names = {pair.name for pair in selection.pairs}
    return [clip for clip in clips if clip.name in names]


def _write(place: Path, clips: Sequence[ExportedClip], export: Export, selection: PairSelection | None) -> Written:
    title = export.statements.title
    if selection is not None:
        return write_preferences(place, clips, selection, title)
    written = LAYOUTS[export.layout].write(place, clips, title)
    if export.layout == "datasets":
        write_whole(place / "README.md", _card(export.statements), durable=False)
    return written


def _card(statements: Statements) -> str:
    """The card of a Hugging Face data set: where its rows are, and its license."""
    configuration = {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
    head: dict[str, Any] = {"pretty_name": statements.title, "configs": [configuration]}
    if statements.license:
        head |= {"license": "other", "license_name": statements.license}
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n\nSee [datasheet.md](datasheet.md).\n"


def _result(contents: Contents, export: Export) -> dict[str, Any]:
    return {
        "format": export.layout,
        "clips": len(contents.clips),
        "table": len(contents.table),
        "stages": [asdict(count) for count in stage_counts(contents.table)],
        "left_out": dict(contents.left_out),
        "counts": dict(contents.written.counts),
        "columns": asdict(export.columns),
        "link": export.media.link,
        "statements": asdict(export.statements),
        "taxonomy": f"{contents.taxonomy.name}, SHA-256 {contents.taxonomy.sha256[:16]}",
        "time": contents.time,
        "version": contents.version,
        "records": [asdict(record) for record in contents.table.records],
    }
