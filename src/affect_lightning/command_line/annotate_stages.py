"""`affect-lightning annotate length` and `agree`: the filters of descriptions (`affect_lightning.annotation`).

Paper: Section 2 (both filters), Table 4, Figure 7. The options are fields of the stages' groups, with their defaults.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import DataError

if TYPE_CHECKING:
    from affect_lightning.annotation.lengths import LengthFit
    from affect_lightning.annotation.tables import ClipTable
    from affect_lightning.contracts import LabelExtractor

Group = TypeVar("Group")
EXTRACTOR = {"extractor": "label_extractors"}
_CROWDS_COLUMNS = (
    " `annotate crowd --over sentiment` makes crowd_sentiment, over wheels or classes it makes crowd_emotion; give their table "
    "with --crowd, or ask for less with --rule."
)
DEFAULT_EXTRACTOR = "rules"  # our choice, as in `score`: it needs no weights


def default_of(group: type, name: str) -> Any:
    """Default of a field of a stage's options."""
    return next(field.default for field in fields(group) if field.name == name)


def options_of(group: type[Group], options: argparse.Namespace) -> Group:
    """A stage's options out of the command line; each has the name of its field."""
    return group(**{field.name: getattr(options, field.name) for field in fields(group)})  # type: ignore[arg-type]


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add `--out` and `--json`."""
    parser.add_argument("--out", type=Path, metavar="FILE.parquet", help="new table with the stage's columns")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")


def add_taxonomy(parser: argparse.ArgumentParser) -> None:
    """Add `--taxonomy`."""
    parser.add_argument(
        "--taxonomy",
        help="official-2025, official-2026, builtin, or the folder of a release; by default official-2025 if it was "
        "fetched, else builtin",
    )


def add_extractor(parser: argparse.ArgumentParser) -> None:
    """Add `--extractor` to the help; `take_extractor` takes it out of the words before they are parsed."""
    parser.add_argument(
        "--extractor",
        metavar="NAME",
        help=f"plugin that reads labels, by default {DEFAULT_EXTRACTOR}; --extractor.OPTION VALUE sets an option of it",
    )


def take_extractor(words: Sequence[str]) -> tuple[list[str], LabelExtractor | None]:
    """The other words, and the chosen label extractor; None where its help was asked for and printed."""
    from affect_lightning.plugin_loading import build_part, resolve_choice
    from affect_lightning.unibench.scoring.set_answers import DeferredExtractor

    rest, overrides, asked = take_plugin_words(words, EXTRACTOR)
    if asked is not None:
        print(plugin_help(asked, EXTRACTOR))
        return rest, None
    choice = overrides["extractor"].over(DEFAULT_EXTRACTOR) if overrides else DEFAULT_EXTRACTOR
    resolved = resolve_choice("label_extractors", choice)
    return rest, DeferredExtractor(lambda: build_part("label_extractors", resolved))


def write_result(table: ClipTable, out: Path | None) -> None:
    """Write the table if a file is named, and say so on standard error."""
    from affect_lightning.annotation.tables import write_clip_table

    if out is not None:
        write_clip_table(out, table)
        print(f"Table: {out}", file=sys.stderr)


def check_outputs(out: Path | None, figure: Path | None = None) -> None:
    """Refuse names of files before anything is computed."""
    from affect_lightning.annotation.tables import check_new_table
    from affect_lightning.figure_files import check_figure

    if out is not None:
        check_new_table(out)
    if figure is not None:
        check_figure(figure)


def check_columns(tables: Mapping[str, ClipTable], wanted: Mapping[str, str], made_by: str = "") -> None:
    """Refuse a column that none of the tables has.

    Args:
        tables: By the option or the place that names each.
        wanted: Columns by the option that names them.
        made_by: A sentence on how they are made, with a space before it.

    Raises:
        DataError: A column is nowhere; the message has the option and each table's columns.
    """
    for option, column in wanted.items():
        if not any(column in table.columns for table in tables.values()):
            held = "; ".join(f"{place} has {', '.join(table.columns)}" for place, table in tables.items())
            raise DataError(
                f"Name the column with {option}: there is none called {column!r}. {held[0].upper()}{held[1:]}.{made_by}"
            )


def run_length(arguments: Sequence[str]) -> int:
    """Measure descriptions and drop those in the tails of the distribution."""
    from affect_lightning.annotation.figures import draw_lengths
    from affect_lightning.annotation.lengths import LengthOptions, LengthStage
    from affect_lightning.annotation.tables import read_clip_table

    options = _length_parser().parse_args(arguments)
    stage = LengthStage(options_of(LengthOptions, options))
    check_outputs(options.out, options.figure)
    table = read_clip_table(options.table)
    check_columns({"the table": table}, {"--column": options.column})
    done = stage.run(table)
    fit = stage.fit
    assert fit is not None
    lengths, kept = done.column("length"), done.column("kept.length")
    if options.figure is not None:
        measured = [length for length, stays in zip(lengths, table.kept(), strict=True) if stays]
        draw_lengths(options.figure, measured, fit, options.unit)
        print(f"Figure: {options.figure}", file=sys.stderr)
    write_result(done, options.out)
    warning = _length_warning(fit, options.cut)
    if options.json:
        content = {
            "clips": fit.clips, "unit": options.unit, "cut": options.cut, "mean": fit.mean, "deviation": fit.deviation,
            "skew": fit.skew, "excess": fit.excess, "distance": fit.distance, "shortest": fit.shortest,
            "longest": fit.longest, "kept": sum(kept),
            "too_short": sum(length < fit.shortest for length in lengths),
            "too_long": sum(length > fit.longest for length in lengths), "warning": warning,
        }  # fmt: skip
        print_json(content)
        return 0
    rows = [
        ("descriptions", f"{fit.clips:,}"),
        (f"length in {options.unit}", f"{fit.mean:.1f} +- {fit.deviation:.1f}"),
        ("skew, excess kurtosis", f"{fit.skew:.2f}, {fit.excess:.2f} (a Gaussian has 0, 0)"),
        ("distance to the Gaussian", f"{fit.distance:.3f} (Kolmogorov-Smirnov)"),
        (f"cuts by {options.cut}", f"{fit.shortest:.1f} to {fit.longest:.1f}"),
        ("too short, too long", f"{sum(n < fit.shortest for n in lengths)}, {sum(n > fit.longest for n in lengths)}"),
        ("stay", f"{sum(kept):,} of {len(kept):,}"),
    ]
    print(format_table(("lengths", ""), rows))
    if warning:
        print(f"\n{warning}")
    return 0


def _length_warning(fit: LengthFit, cut: str) -> str:
    if cut == "gaussian" and fit.is_skewed:
        return (
            f"Use --cut quantile: the lengths are skewed ({fit.skew:.2f}), so a Gaussian does not fit them, and its cuts drop "
            f"other parts than they say."
        )
    return ""


def _length_parser() -> argparse.ArgumentParser:
    from affect_lightning.annotation.lengths import LengthOptions

    def default(name: str) -> Any:
        return default_of(LengthOptions, name)

    parser = CommandParser(prog="affect-lightning annotate length", description=run_length.__doc__)
    parser.add_argument("table", type=Path, help="table of clips: parquet, csv, jsonl or xlsx with a column `name`")
    parser.add_argument("--column", default=default("column"), help="of the texts (%(default)s)")
    parser.add_argument(
        "--unit", default=default("unit"), help="words, characters or tokens between blanks (%(default)s)"
    )
    parser.add_argument(
        "--language", default=default("language"),
        help="for words: spaced, unspaced (visible characters count), or auto, which counts each Chinese or Japanese "
        "character as a word (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--cut", default=default("cut"), help="quantile or gaussian (%(default)s)")
    parser.add_argument("--low", type=float, default=default("low"), help="part below the lower quantile (%(default)s)")
    parser.add_argument(
        "--high", type=float, default=default("high"), help="part above the upper quantile (%(default)s)"
    )
    parser.add_argument(
        "--deviations", type=float, default=default("deviations"),
        help="for gaussian: standard deviations that stay on each side of the mean (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--figure", type=Path, help="histogram: .svg, .png or .pdf")
    add_outputs(parser)
    return parser


def run_agree(arguments: Sequence[str]) -> int:
    """Read the emotion of descriptions, and drop those that disagree with the crowd."""
    from affect_lightning.annotation.agreement import AgreementOptions, AgreeStage
    from affect_lightning.annotation.tables import read_clip_table
    from affect_lightning.metrics import taxonomy_by_name

    rest, extractor = take_extractor(arguments)
    if extractor is None:
        return 0
    options = _agree_parser().parse_args(rest)
    options.wheels = tuple(options.wheels)
    agreement = options_of(AgreementOptions, options)
    check_outputs(options.out)
    taxonomy = taxonomy_by_name(options.taxonomy)
    table = read_clip_table(options.table)
    crowds = {f"--crowd {crowd}": read_clip_table(crowd) for crowd in options.crowd}
    check_columns({"the table": table}, {"--column": options.column})
    asked = {"E": ("--emotion", options.emotion), "S": ("--sentiment", options.sentiment)}
    check_columns(
        {"the table": table, **crowds},
        dict(pair for letter, pair in asked.items() if letter in options.rule),
        _CROWDS_COLUMNS,
    )
    for crowd in crowds.values():
        table = table.joined(crowd)
    done = AgreeStage(agreement, extractor, taxonomy).run(table)
    write_result(done, options.out)
    content: dict[str, Any] = {"clips": len(done), "rule": agreement.rule, "kept": sum(done.column("kept.agree"))}
    for name in ("agrees.emotion", "agrees.sentiment"):
        if name in done.columns:
            verdicts = done.column(name)
            content[name.removeprefix("agrees.")] = {
                "agree": verdicts.count(True), "disagree": verdicts.count(False), "undecided": verdicts.count(None),
            }  # fmt: skip
    content["without_a_label"] = sum(not words for words in done.column("labels"))
    content.update(done.records[-1].parts)
    if options.json:
        print_json(content)
        return 0
    rows = [(name.replace("_", " "), _told(value)) for name, value in content.items()]
    print(format_table(("agreement", ""), rows))
    return 0


def _told(value: Any) -> str:
    return ", ".join(f"{count} {name}" for name, count in value.items()) if isinstance(value, dict) else str(value)


def _agree_parser() -> argparse.ArgumentParser:
    from affect_lightning.annotation.agreement import AgreementOptions

    def default(name: str) -> Any:
        return default_of(AgreementOptions, name)

    parser = CommandParser(prog="affect-lightning annotate agree", description=run_agree.__doc__)
    parser.add_argument("table", type=Path, help="table of clips with descriptions")
    parser.add_argument(
        "--crowd", type=Path, action="append", default=[], metavar="TABLE",
        help="table with the crowd's columns, if the first one has none; repeatable, for emotion and sentiment",
    )  # fmt: skip
    parser.add_argument("--rule", default=default("rule"), help="E (emotion), S (sentiment) or E+S (%(default)s)")
    parser.add_argument(
        "--wheels", type=int, nargs="+", default=default("wheels"), metavar="N", help="wheels that are asked (all)"
    )
    parser.add_argument(
        "--needed", type=int, default=default("needed"), metavar="K",
        help="wheels on which a sector must be shared (%(default)s: on any)",
    )  # fmt: skip
    parser.add_argument("--level", type=int, default=default("level"), help="1 inner ring, 2 middle ring (%(default)s)")
    parser.add_argument("--column", default=default("column"), help="of the descriptions (%(default)s)")
    parser.add_argument("--emotion", default=default("emotion"), metavar="COLUMN", help="crowd's emotion (%(default)s)")
    parser.add_argument(
        "--sentiment", default=default("sentiment"), metavar="COLUMN", help="crowd's sentiment (%(default)s)"
    )
    parser.add_argument(
        "--drop-undecided", dest="drops_undecided", action="store_true",
        help="drop clips of which the crowd says nothing that can be compared, too",
    )  # fmt: skip
    add_taxonomy(parser)
    add_extractor(parser)
    add_outputs(parser)
    return parser
