"""`affect-lightning annotate length` and `agree`: the filters of descriptions (`affect_lightning.annotation`).

Paper: Section 2 (both filters), Table 4, Figure 7. The options are fields of the stages' groups, with their defaults.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from affect_lightning.command_line.annotate_running import add_running, finished_table
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import DataError

if TYPE_CHECKING:
    from affect_lightning.annotation.lengths import LengthFit
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
    """Add `--out` and the options of `add_running`."""
    parser.add_argument("--out", type=Path, metavar="FILE.parquet", help="new table with the stage's columns")
    add_running(parser)


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


def check_outputs(out: Path | None, figure: Path | None = None) -> None:
    """Refuse names of files before anything is computed."""
    from affect_lightning.annotation.tables import check_new_table
    from affect_lightning.figure_files import check_figure

    if out is not None:
        check_new_table(out)
    if figure is not None:
        check_figure(figure)


def check_columns(tables: Mapping[str, Sequence[str]], wanted: Mapping[str, str], made_by: str = "") -> None:
    """Refuse a column that none of the tables has.

    Args:
        tables: Columns of each table, by the option or the place that names it.
        wanted: Columns by the option that names them.
        made_by: A sentence on how they are made, with a space before it.

    Raises:
        DataError: A column is nowhere; the message has the option and each table's columns.
    """
    for option, column in wanted.items():
        if not any(column in columns for columns in tables.values()):
            held = "; ".join(f"{place} has {', '.join(columns)}" for place, columns in tables.items())
            raise DataError(
                f"Name the column with {option}: there is none called {column!r}. {held[0].upper()}{held[1:]}.{made_by}"
            )


def run_length(arguments: Sequence[str]) -> int:
    """Measure descriptions and drop those in the tails of the distribution."""
    options = _length_parser().parse_args(arguments)  # before torch is loaded, so that a mistake is told at once
    from affect_lightning.annotation.chunked_tables import ClipSource, columns_in
    from affect_lightning.annotation.figures import draw_lengths
    from affect_lightning.annotation.lengths import LengthOptions, LengthStage

    stage = LengthStage(options_of(LengthOptions, options))
    check_outputs(options.out, options.figure)
    source = ClipSource(options.table)
    check_columns({"the table": columns_in(options.table)}, {"--column": options.column})
    with finished_table(stage, source, options) as done:
        if done is None:
            return 0
        if stage.fit is None:  # an earlier try had measured them
            stage.prepare(source.chunks)
        assert stage.fit is not None
        assert stage.measured is not None
        content = _length_content(done.path, stage.fit, options)
        if options.figure is not None:
            draw_lengths(options.figure, stage.measured, stage.fit, options.unit)
            print(f"Figure: {options.figure}", file=sys.stderr)
    print_json(content) if options.json else print(_length_text(content))
    return 0


def _length_content(path: Path, fit: LengthFit, options: argparse.Namespace) -> dict[str, Any]:
    from affect_lightning.annotation.chunked_tables import chunks_of_file

    too_short = too_long = kept = 0
    for chunk in chunks_of_file(path):
        lengths = chunk.column("length")
        kept += sum(chunk.column("kept.length"))
        too_short += sum(length < fit.shortest for length in lengths)
        too_long += sum(length > fit.longest for length in lengths)
    return {
        "clips": fit.clips, "unit": options.unit, "cut": options.cut, "mean": fit.mean, "deviation": fit.deviation,
        "skew": fit.skew, "excess": fit.excess, "distance": fit.distance, "shortest": fit.shortest,
        "longest": fit.longest, "kept": kept, "too_short": too_short, "too_long": too_long,
        "warning": _length_warning(fit, options.cut),
    }  # fmt: skip


def _length_text(told: Mapping[str, Any]) -> str:
    rows = [
        ("descriptions", f"{told['clips']:,}"),
        (f"length in {told['unit']}", f"{told['mean']:.1f} +- {told['deviation']:.1f}"),
        ("skew, excess kurtosis", f"{told['skew']:.2f}, {told['excess']:.2f} (a Gaussian has 0, 0)"),
        ("distance to the Gaussian", f"{told['distance']:.3f} (Kolmogorov-Smirnov)"),
        (f"cuts by {told['cut']}", f"{told['shortest']:.1f} to {told['longest']:.1f}"),
        ("too short, too long", f"{told['too_short']:,}, {told['too_long']:,}"),
        ("stay", f"{told['kept']:,} of {told['kept'] + told['too_short'] + told['too_long']:,}"),
    ]
    table = format_table(("lengths", ""), rows)
    return f"{table}\n\n{told['warning']}" if told["warning"] else table


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
    rest, extractor = take_extractor(arguments)
    if extractor is None:
        return 0
    options = _agree_parser().parse_args(rest)
    from affect_lightning.annotation.agreement import AgreementOptions, AgreeStage
    from affect_lightning.annotation.chunked_tables import ClipSource, columns_in
    from affect_lightning.metrics import taxonomy_by_name

    options.wheels = tuple(options.wheels)
    agreement = options_of(AgreementOptions, options)
    check_outputs(options.out)
    stage = AgreeStage(agreement, extractor, taxonomy_by_name(options.taxonomy))
    source = ClipSource(options.table, joined=options.crowd)
    own = {"the table": columns_in(options.table)}
    check_columns(own, {"--column": options.column})
    asked = {"E": ("--emotion", options.emotion), "S": ("--sentiment", options.sentiment)}
    check_columns(
        {**own, **{f"--crowd {crowd}": columns_in(crowd) for crowd in options.crowd}},
        dict(pair for letter, pair in asked.items() if letter in options.rule),
        _CROWDS_COLUMNS,
    )
    with finished_table(stage, source, options) as done:
        if done is None:
            return 0
        content = _agree_content(done.path, agreement.rule)
    if options.json:
        print_json(content)
        return 0
    rows = [(name.replace("_", " "), _told(value)) for name, value in content.items()]
    print(format_table(("agreement", ""), rows))
    return 0


def _agree_content(path: Path, rule: str) -> dict[str, Any]:
    from affect_lightning.annotation.chunked_tables import chunks_of_file, records_of_file

    clips = kept = without = 0
    verdicts: dict[str, Counter[bool | None]] = {}
    for chunk in chunks_of_file(path):
        clips += len(chunk)
        kept += sum(chunk.column("kept.agree"))
        without += sum(not words for words in chunk.column("labels"))
        for name in ("emotion", "sentiment"):
            if name.upper()[0] in rule:
                verdicts.setdefault(name, Counter()).update(chunk.column(f"agrees.{name}"))
    counts = {
        name: {"agree": found[True], "disagree": found[False], "undecided": found[None]}
        for name, found in verdicts.items()
    }
    parts = records_of_file(path)[-1].parts
    return {"clips": clips, "rule": rule, "kept": kept, **counts, "without_a_label": without, **parts}


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
