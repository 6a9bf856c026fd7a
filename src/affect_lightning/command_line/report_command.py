"""`affect-lightning report`: several finished runs in one table, with paired tests, and published rows on request."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import render_terminal
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.unibench.report.content import Report


def run(arguments: Sequence[str]) -> int:
    """Compare finished runs: read each run's report.json and write one report with a row a run and paired tests."""
    options = _parser().parse_args(arguments)
    if options.out is None and not options.json:
        raise ConfigurationError(
            "Name the folder for the combined report with --out, or print its numbers with --json."
        )

    from affect_lightning.unibench.report.columns import installed_columns, paired_table, score_table
    from affect_lightning.unibench.report.files import compare_runs, read_report
    from affect_lightning.unibench.report.provenance import banner_of, not_comparable
    from affect_lightning.unibench.result_folders import check_place

    if options.out is not None:
        check_place(options.out)
    _say_which_results(options.runs)
    with tempfile.TemporaryDirectory() as unused:
        out = options.out or Path(unused)
        files = compare_runs(
            options.runs,
            out,
            names=options.names,
            published=options.published,
            published_anyway=options.published_anyway,
            columns=options.columns,
        )
        report = replace(read_report(out, outcomes=True), columns=installed_columns(options.columns))
    if options.json:
        print_json(_plain(report, files if options.out else []))
        return 0
    if line := not_comparable(report):
        print(f"{line}.\n")
    print(render_terminal(score_table(replace(report, bounds=())), is_turned=True))
    if banner := banner_of(report):
        print(f"\n{banner}")
    if report.tests:
        print(f"\nPaired tests\n{render_terminal(paired_table(report))}")
    print(f"\nReport: {options.out / 'report.html'}")
    return 0


def _say_which_results(folders: Sequence[Path]) -> None:
    """Name the result that stands for the folder of a run."""
    from affect_lightning.unibench.result_folders import newest_result

    for folder in folders:
        found = newest_result(folder)
        if found != folder:
            print(f"{folder}: its newest test is {found}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="affect-lightning report",
        description=run.__doc__,
        epilog="Groups of published rows: table2, table12, table13, newer, all; models such as AffectGPT; or whole names "
        'such as "AffectGPT (A+V+T)". They are marked as published, not measured.',
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, help="folders of results (report.json), or of runs, whose newest test is taken"
    )
    parser.add_argument("--out", type=Path, help="new folder for the combined report; not needed with --json")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="names of the rows, one for each run")
    add_report_options(parser)
    return parser


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that writes a report takes: `--published`, `--columns` and `--json`."""
    parser.add_argument(
        "--published",
        nargs="*",
        metavar="NAME",
        help="published rows to show as well, such as AffectGPT; without names, Table 2 and the newer models",
    )
    parser.add_argument(
        "--published-anyway", action="store_true", help="show them beside scores of a generated corpus, too"
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=(),
        metavar="NAME",
        help="columns from installed packages to show (docs/reports.md)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")


def _plain(report: Report, files: Sequence[Path]) -> dict[str, object]:
    """Scores, tests and published rows as plain values; curves, examples and confusions stay in report.json."""
    from affect_lightning.unibench.report.provenance import banner_of

    rows = [{"name": row.name, "provenance": dict(row.provenance), **row.scores.to_json()} for row in report.rows]
    for row in rows:
        for score in row["sets"].values():
            del score["confusion"], score["label_counts"]
    return {
        "rows": rows,
        "paired_tests": [test.to_json() for test in report.tests],
        "published": [row.to_json() for row in report.published],
        "generated": bool(banner_of(report)),
        "bounds": {bound.name: bound.mean for bound in report.bounds},
        "files": [str(path) for path in files],
    }
