"""`affect-lightning report`: several finished runs in one table, with paired tests, and published rows on request."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.tables import format_table
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.unibench.report_rows import Report


def run(arguments: Sequence[str]) -> int:
    """Compare finished runs: read each run's report.json and write one report with a row a run and paired tests."""
    options = _parser().parse_args(arguments)
    if options.out is None and not options.json:
        raise ConfigurationError(
            "Give the folder for the combined report with --out, or print its numbers with --json."
        )

    from affect_lightning.unibench.reports import compare_runs, read_report

    with tempfile.TemporaryDirectory() as unused:
        out = options.out or Path(unused)
        files = compare_runs(options.runs, out, names=options.names, published=options.published)
        report = read_report(out)
    if options.json:
        print(json.dumps(_plain(report, files if options.out else []), ensure_ascii=False, allow_nan=False))
        return 0
    print(_score_table(report))
    if report.tests:
        print(f"\nPaired tests\n{_test_table(report)}")
    print(f"\nReport: {options.out / 'report.html'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affect-lightning report",
        description=run.__doc__,
        epilog="Groups of published rows: table2, table12, table13, newer, all; models such as AffectGPT; or whole names "
        'such as "AffectGPT (A+V+T)". They are marked as published, not measured.',
    )
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, each with a report.json")
    parser.add_argument("--out", type=Path, help="folder for the combined report; not needed with --json")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="names of the rows, one a run")
    parser.add_argument(
        "--published",
        nargs="*",
        metavar="NAME",
        help="published rows to show beside the runs; without names, Table 2 and the newer models",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser


def _plain(report: Report, files: Sequence[Path]) -> dict[str, object]:
    """Scores, tests and published rows as plain values; curves, examples and confusions stay in report.json."""
    return {
        "rows": [
            {"name": row.name, "provenance": dict(row.provenance), **_without_figures(row.scores.to_json())}
            for row in report.rows
        ],
        "paired_tests": [test.to_json() for test in report.tests],
        "published": [row.to_json() for row in report.published],
        "bounds": {bound.name: bound.mean for bound in report.bounds},
        "files": [str(path) for path in files],
    }


def _without_figures(scores: dict[str, Any]) -> dict[str, Any]:
    figures = {"confusion", "label_counts"}
    kept = {
        key: {name: value for name, value in one.items() if name not in figures} for key, one in scores["sets"].items()
    }
    return {**scores, "sets": kept}


def _score_table(report: Report) -> str:
    """Sets down, rows across: the terminal is narrow, and there are up to nine sets."""
    from affect_lightning.corpora import METRIC_TITLES
    from affect_lightning.unibench.published import NOTE
    from affect_lightning.unibench.report_texts import percent, score_text, sets_text

    rows = []
    for key in report.set_keys():
        first = report.set_scores(key)[0]
        found = [row.scores.sets.get(key) for row in report.rows]
        cells = [score_text(score.score, score.interval) if score else percent(None) for score in found]
        cells += [percent(published.scores.get(key)) for published in report.published]
        rows.append((first.title, METRIC_TITLES[first.metric], *cells))
    means = [score_text(row.scores.mean, row.scores.mean_interval) + sets_text(row) for row in report.rows]
    rows.append(("mean", "", *means, *(percent(published.mean) for published in report.published)))
    head = ("set", "metric", *(row.label for row in report.rows))
    head += tuple(f"{published.name} ({NOTE})" for published in report.published)
    return format_table(head, rows, right=range(2, len(head)))


def _test_table(report: Report) -> str:
    from affect_lightning.unibench.report_texts import TEST_HEAD, test_cells

    return format_table(TEST_HEAD, [test_cells(report, test) for test in report.tests], right=range(2, len(TEST_HEAD)))
