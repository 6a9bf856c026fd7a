"""`affect-lightning annotate export`: kept clips as a data set in a format that others read, with a datasheet.

Paper: Section 2, Figures 2, 7 and 8. `affect_lightning.annotation.exporting` does the work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.annotate_running import ProgressBar, add_dry_run
from affect_lightning.command_line.annotate_stages import add_taxonomy, default_of, options_of
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.annotation.clip_pieces import ClipPieces
    from affect_lightning.annotation.exporting.preference_pairs import PairSelection
    from affect_lightning.annotation.exporting.writing import Export, PlannedExport

_DESCRIPTION = """Write the clips that stay as a data set, with a datasheet (datasheet.md, datasheet.html).

  export clips.parquet --format mercaptionplus --media CLIPS --out mine
  export clips.parquet --format sharegpt --media CLIPS --link hard --out mine-chat
  export clips.parquet --format preferences --verdicts verdicts.csv --out mine-pairs"""


def run(arguments: Sequence[str]) -> int:
    """Write the clips that stay as a data set."""
    from affect_lightning.annotation.clip_pieces import ClipPieces
    from affect_lightning.annotation.exporting.clips import ExportColumns
    from affect_lightning.annotation.exporting.datasheet import Statements
    from affect_lightning.annotation.exporting.media import MediaOptions, announced_length
    from affect_lightning.annotation.exporting.writing import (
        Export,
        check_new_folder,
        export_clips,
        planned_export,
    )
    from affect_lightning.metrics import taxonomy_by_name

    if any(word.partition("=")[0] in ("--part", "--merge") for word in arguments):
        raise ConfigurationError(
            "Leave --part and --merge out: an export is not divided, because its lists and its datasheet are about all clips. "
            "Merge the parts of the stage before it, then export their table."
        )
    options = _parser().parse_args(arguments)
    _check_pairs(options)
    export = Export(
        options.format,
        options_of(ExportColumns, options),
        MediaOptions(options.media, options.link, options.drop_missing),
        options_of(Statements, options),
        options.all,
        options.wheel,
    )
    check_new_folder(options.out)
    taxonomy = taxonomy_by_name(options.taxonomy)
    table = ClipPieces.of_file(options.table)
    pairs = _pairs(options, table) if options.format == "preferences" else None
    if options.dry_run:
        plan = planned_export(table, options.table.parent, export, taxonomy, pairs)
        return _tell_plan(plan, export, as_json=options.json)
    bar = ProgressBar()
    try:
        result = export_clips(
            options.out, table, options.table.parent, export, taxonomy, announced_length, pairs, bar.tell
        )
    finally:
        bar.close()
    print(f"Data set: {options.out}", file=sys.stderr)
    if options.json:
        print_json(result)
        return 0
    rows = [
        ("clips in the table", result["table"]),
        *((f"left by {one['stage']}", one["left"]) for one in result["stages"]),
    ]
    rows += [(f"left out: {reason}", count) for reason, count in result["left_out"].items()]
    rows += [("clips in the data set", result["clips"]), *result["counts"].items()]
    print(format_table((result["format"], ""), [(name, f"{count:,}") for name, count in rows]))
    print(f"\nRead {options.out / 'datasheet.html'} before you pass it on.")
    return 0


def _tell_plan(plan: PlannedExport, export: Export, *, as_json: bool) -> int:
    """Say what would be written; no model is asked by an export."""
    from affect_lightning.annotation.exporting.media import files_of

    files = copied = 0
    for path in files_of(plan.clips):
        files += 1
        copied += path.stat().st_size if export.media.link == "copy" else 0
    stages = {f"left by {one.stage}": one.left for one in plan.table.stages}
    left_out = {f"left out: {reason}": count for reason, count in plan.left_out.items()}
    if as_json:
        print_json({
            "format": export.layout, "table": plan.table.clips, "clips": len(plan.clips), "left_out": dict(plan.left_out),
            "files": files, "bytes_to_copy": copied, "requests": {}, "answer_tokens": 0,
        })  # fmt: skip
        return 0
    counts = {"clips in the table": plan.table.clips, **stages, **left_out, "clips in the data set": len(plan.clips)}
    rows = [(name, f"{count:,}") for name, count in {**counts, "files": files}.items()]
    rows += [("to copy", f"{copied / 1e6:,.1f} MB"), ("requests", "none")]
    print(format_table((f"{export.layout}, to be written", ""), rows))
    print("\nNothing was written and nothing asked. How long the copying takes depends on the disks.")
    return 0


def _check_pairs(options: argparse.Namespace) -> None:
    columns = options.chosen is not None or options.rejected is not None
    given = [options.verdicts is not None, options.study is not None, columns]
    if options.format != "preferences":
        if any(given):
            raise ConfigurationError(
                "Add --format preferences, or leave out --verdicts, --study, --chosen and --rejected."
            )
        return
    if sum(given) != 1 or (columns and None in (options.chosen, options.rejected)):
        raise ConfigurationError(
            "Say where the pairs come from: --verdicts FILE, or --study FILE.sqlite, or --chosen COLUMN with --rejected COLUMN."
        )


def _pairs(options: argparse.Namespace, table: ClipPieces) -> Callable[[Sequence[str]], PairSelection]:
    from affect_lightning.annotation.exporting.preference_pairs import pairs_of_columns, pairs_of_verdicts
    from affect_lightning.annotation.preferences import read_judgements
    from affect_lightning.annotation.review_store import ReviewStore

    if options.chosen is not None:
        return lambda names: pairs_of_columns(table, options.chosen, options.rejected, names)
    judgements = (
        read_judgements(options.verdicts) if options.verdicts is not None else ReviewStore(options.study).judgements()
    )
    return lambda names: pairs_of_verdicts(judgements, names)


def _parser() -> argparse.ArgumentParser:
    from affect_lightning.annotation.exporting.layouts import LAYOUTS
    from affect_lightning.annotation.exporting.media import LINKS, MediaOptions
    from affect_lightning.annotation.exporting.writing import FORMATS

    formats = {
        **{name: layout.summary for name, layout in LAYOUTS.items()},
        "preferences": "better and worse descriptions",
    }
    width = max(map(len, formats))
    parser = CommandParser(
        prog="affect-lightning annotate export",
        description=_DESCRIPTION,
        epilog="formats:\n" + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in formats.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, help="table of clips: parquet, csv, jsonl or xlsx with a column `name`")
    parser.add_argument("--format", required=True, choices=FORMATS, metavar="FORMAT", help="see below")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="new folder")
    parser.add_argument("--all", action="store_true", help="also export clips that a filter dropped")
    parser.add_argument(
        "--media", type=Path, metavar="FOLDER", help="clips by name; else the columns media, video and audio name them"
    )
    parser.add_argument(
        "--link", choices=LINKS, default=default_of(MediaOptions, "link"),
        help="copy the files, make hard links to them, or only name where they are (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--drop-missing", action="store_true", help="leave out clips without a file")
    _add_columns(parser)
    _add_statements(parser)
    pairs = parser.add_argument_group("pairs, for --format preferences")
    pairs.add_argument(
        "--verdicts", type=Path, metavar="FILE", help="verdicts of `annotate review --export`, or like them"
    )
    pairs.add_argument("--study", type=Path, metavar="FILE.sqlite", help="the study itself")
    pairs.add_argument("--chosen", metavar="COLUMN", help="of the better descriptions")
    pairs.add_argument("--rejected", metavar="COLUMN", help="of the worse descriptions")
    add_taxonomy(parser)
    parser.add_argument("--wheel", type=int, default=1, metavar="N", help="on which the labels are drawn (%(default)s)")
    add_dry_run(parser, "tell how many clips and files would be written; write nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    return parser


def _add_columns(parser: argparse.ArgumentParser) -> None:
    from affect_lightning.annotation.exporting.clips import ExportColumns

    columns = parser.add_argument_group("columns of the table")
    texts: dict[str, Any] = {
        "description": "of the descriptions", "labels": "of the emotion words", "subtitle": "of what is said",
        "chinese": "of what is said in Chinese, if another", "sentiment": "of the sentiment",
        "emotion": "of the one emotion of a clip, for merr", "audio_cues": "of what is heard, for merr",
        "visual_cues": "of what is seen, for merr",
    }  # fmt: skip
    for name, text in texts.items():
        columns.add_argument(
            "--column" if name == "description" else f"--{name.replace('_', '-')}", dest=name, metavar="COLUMN",
            default=default_of(ExportColumns, name), help=f"{text} (%(default)s)",
        )  # fmt: skip


def _add_statements(parser: argparse.ArgumentParser) -> None:
    from affect_lightning.annotation.exporting.datasheet import Statements

    statements = parser.add_argument_group("statements, for the datasheet")
    texts = {
        "title": "of the data set", "source": "where the clips come from", "license": "under which others may use it",
        "use": "what it is meant for", "contact": "whom to ask",
    }  # fmt: skip
    for name, text in texts.items():
        statements.add_argument(f"--{name}", metavar="TEXT", default=default_of(Statements, name), help=text)
