"""Write a data set: clips' files, the format's files and the datasheet, in a folder that appears whole or not at all.

Paper: Section 2. Neighbours: everything in this folder; `command_line/annotate_export.py` takes the options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from affect_lightning.annotation.clip_pieces import ClipPieces
from affect_lightning.annotation.exporting.clips import (
    Clips,
    ClipStream,
    ExportColumns,
    ExportedClip,
    KeptClips,
    clips_of,
    has_file_name,
)
from affect_lightning.annotation.exporting.contents import ClipTally, Contents, TableTally, lengths_in
from affect_lightning.annotation.exporting.datasheet import Statements, write_datasheet
from affect_lightning.annotation.exporting.layouts import LAYOUTS, Written, write_json
from affect_lightning.annotation.exporting.media import (
    MediaFinder,
    MediaOptions,
    files_are_there,
    place_media,
    seconds_of,
)
from affect_lightning.annotation.exporting.preference_pairs import PairSelection, write_preferences
from affect_lightning.annotation.tables import ClipTable, now
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.storage import whole_path, write_whole
from affect_lightning.unibench.report.provenance import package_versions
from affect_lightning.unibench.result_folders import check_writable

PREFERENCES = "preferences"
FORMATS = (*LAYOUTS, PREFERENCES)
_FIRST = 10  # names that are kept for a message; more than it shows


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
        table: Counts of the table.
        left_out: Numbers of clips that stay and are left out, by the reason.
        names_files: Whether a column or a folder names files of the clips.
        selection: Pairs of descriptions, for `preferences`.
    """

    clips: Clips
    table: TableTally
    left_out: Mapping[str, int]
    names_files: bool
    selection: PairSelection | None = None


def planned_export(
    pieces: ClipPieces,
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
    staying = partial(clips_of, columns=export.columns, every_clip=export.every_clip)
    names = [clip.name for piece in pieces for clip in staying(piece)] if pairs is not None else []
    selection = pairs(names) if pairs is not None and names else None
    in_pairs = None if selection is None else {pair.name for pair in selection.pairs}
    finder = MediaFinder(pieces.columns, beside, export.media)
    choice, tally = _Choice(), TableTally(pieces.columns, pieces.records)
    for piece in pieces:
        tally.add(piece)
        choice.choose(staying(piece), piece, in_pairs, finder)
    choice.check(len(pieces), finder, drops_missing=export.media.drops_missing)

    def read() -> Iterator[ExportedClip]:
        place = 0
        for piece in pieces:
            stay = staying(piece)
            marks = choice.marks[place : place + len(stay)]
            place += len(stay)
            yield from finder.completed([clip for clip, mark in zip(stay, marks, strict=True) if mark], piece)

    without = "no pair" if selection is not None else "neither a description nor labels"
    left_out = {without: len(choice.marks) - choice.useful, "no file": choice.missing.count}
    left_out = {reason: count for reason, count in left_out.items() if count}
    return PlannedExport(ClipStream(read, sum(choice.marks)), tally, left_out, finder.names_files, selection)


class _Names:
    """How many names there are, and the first of them for a message."""

    def __init__(self) -> None:
        self.count, self._first = 0, list[str]()

    def add(self, name: str) -> None:
        self.count += 1
        if len(self._first) < _FIRST:
            self._first.append(name)

    def __str__(self) -> str:
        return shown(self._first, self.count)


class _Choice:
    """Which of the clips that stay are in the data set: a byte for each, whatever its texts are.

    Attributes:
        marks: 1 for a clip that is.
        useful: Clips with something to learn.
        missing: Those of them that lack a file.
    """

    def __init__(self) -> None:
        self.marks, self.useful, self.missing, self._unfit = bytearray(), 0, _Names(), _Names()

    def choose(
        self, stay: Sequence[ExportedClip], piece: ClipTable, in_pairs: set[str] | None, finder: MediaFinder
    ) -> None:
        """Look at some thousand clips."""
        marks = bytearray(len(stay))
        useful = [
            place
            for place, clip in enumerate(stay)
            if (bool(clip.description or clip.labels) if in_pairs is None else clip.name in in_pairs)
        ]
        for place, clip in zip(useful, finder.completed([stay[place] for place in useful], piece), strict=True):
            marks[place] = not finder.names_files or files_are_there(clip)
            if not marks[place]:
                self.missing.add(clip.name)
        for clip in stay:
            if not has_file_name(clip.name):
                self._unfit.add(clip.name)
        self.useful += len(useful)
        self.marks += marks

    def check(self, clips: int, finder: MediaFinder, *, drops_missing: bool) -> None:
        """Refuse what cannot be exported, when all clips of the table have been looked at."""
        if not self.marks:
            raise DataError(
                f"No clip stays: the filters dropped all {clips} clips of the table. Loosen a filter, or add --all."
            )
        if self._unfit.count:
            raise DataError(
                f"{self._unfit.count} clips have names that cannot be names of files: {self._unfit}. Rename them: no slash, no "
                f"control character, and no dot or blank at either end."
            )
        if not self.useful:
            raise DataError(
                "No clip has a description or labels. Run the stages that make them, or name their columns with --column and "
                "--labels."
            )
        if self.missing.count and not drops_missing:
            raise DataError(
                f"{self.missing.count} of {self.useful} clips have no file {finder.where}: {self.missing}. Name the folder with "
                f"--media, or leave these clips out with --drop-missing."
            )
        if self.missing.count == self.useful:
            raise DataError(f"None of the {self.useful} clips has a file. Name the folder of the clips with --media.")


def export_clips(
    folder: Path,
    pieces: ClipPieces,
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
        pieces: The table whose clips that stay are exported; it is gone through several times, and never in memory.
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
    plan = planned_export(pieces, beside, export, taxonomy, pairs)
    seconds = seconds_of(plan.clips, length_of) if plan.names_files else []
    try:
        with whole_path(folder) as place:
            place.mkdir()
            counts = ClipTally()
            with KeptClips(place) as placed:
                for clip in place_media(place, plan.clips, export.media.link, tell):
                    counts.add(clip)
                    placed.add(clip)
                written = _write(place, placed, export, plan.selection)
            version, time = package_versions()["affect-lightning"], now()
            before = lengths_in(pieces, export.columns.description) if counts.lengths else {}
            contents = Contents(
                plan.table, pieces.records, counts, before, written, export.layout, export.every_clip, plan.left_out, seconds,
                taxonomy, export.wheel, time, version,
            )  # fmt: skip
            write_datasheet(place, contents, export.statements)
            result = _result(contents, export)
            write_json(place / "export.json", result)
    except OSError as error:
        raise DataError(
            f"{folder} could not be written: {error.strerror or error}. Free space, or choose another folder."
        ) from error
    return result


def _write(place: Path, clips: Clips, export: Export, selection: PairSelection | None) -> Written:
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
        "clips": contents.clips.clips,
        "table": contents.table.clips,
        "stages": [asdict(count) for count in contents.table.stages],
        "left_out": dict(contents.left_out),
        "counts": dict(contents.written.counts),
        "columns": asdict(export.columns),
        "link": export.media.link,
        "statements": asdict(export.statements),
        "taxonomy": f"{contents.taxonomy.name}, SHA-256 {contents.taxonomy.sha256[:16]}",
        "time": contents.time,
        "version": contents.version,
        "records": [asdict(record) for record in contents.records],
    }
