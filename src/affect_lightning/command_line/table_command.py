"""`affect-lightning table`: a table of the paper, with figures of our own beside the published ones.

Paper: Tables 2 to 6 and 8, Figure 10. It runs `fit` and `test` for what is missing and writes the table out of their
reports; `unibench/paper_tables` does the work.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.experiments_command import find_experiment, list_experiments
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table, render_terminal
from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.storage import Part

if TYPE_CHECKING:
    from affect_lightning.unibench.paper_tables.catalogue import PaperTable
    from affect_lightning.unibench.paper_tables.finished import FinishedRow
    from affect_lightning.unibench.paper_tables.runs import Run

Runs = dict[str, list["Run"]]


def run(arguments: Sequence[str]) -> int:
    """Make a table of the paper: train and test the rows that are missing, and show our figures beside the published ones."""
    own, extra = _parted(arguments)
    options = _parser().parse_args(own)
    from affect_lightning.unibench.paper_tables.catalogue import paper_table, paper_tables
    from affect_lightning.unibench.paper_tables.runs import runs_of
    from affect_lightning.unibench.result_folders import check_writable

    base = _configurations(options.base)
    _check(options, extra)
    tables = [paper_table(name) for name in options.names] or list(paper_tables().values())
    given = _rows_of(options.row)
    known = {row.title for table in tables for row in table.rows}
    if set(given) - known or len(tables) == 1:  # the message names the rows of the first table
        tables[0] = tables[0].with_rows(given)
    else:
        titles = [{row.title for row in table.rows} for table in tables]
        tables = [
            table.with_rows({title: words for title, words in given.items() if title in own_titles})
            for table, own_titles in zip(tables, titles, strict=True)
        ]
    seeds = range(options.seed, options.seed + options.seeds)
    runs = {table.name: runs_of(table, out=options.out, base=base, seeds=seeds, extra=extra) for table in tables}
    if options.list:
        return _list(tables, runs, options)
    check_writable(options.out)
    with contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext():
        failed, code = _do(runs, options)
        if code:
            return code
        made = [_make(table, runs[table.name], options) for table in tables]
    if options.json:
        print_json({"tables": [_plain(*one) for one in made], "failed": failed})
    if failed:
        raise AffectLightningError(
            "Mend what these runs say, then give the command again; what is done stays: " + "; ".join(failed) + "."
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="affect-lightning table",
        usage="affect-lightning table NAME [NAME ...] [options] [-- OPTIONS OF fit]",
        description=run.__doc__,
        epilog="Options behind `--` go to every fit and test, such as `-- --data.train_root DATA --data.benchmark_root DATA`.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="table2 to table6, table8, figure10")
    parser.add_argument("--base", default="sandbox", help="experiment that each row changes (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each row (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time on this machine (default: 1)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/tables"), help="folder of the runs and tables (default: %(default)s)"
    )
    parser.add_argument(
        "--row",
        action="append",
        default=[],
        metavar="ROW=OPTIONS",
        help="options for a row that needs data of yours, such as 'MERR-Fine=--data.train_sets [merr.csv]'",
    )
    parser.add_argument(
        "--part", type=Part.parse, metavar="I/N", help="do the I-th of N parts of the runs, as on one of N machines"
    )
    parser.add_argument("--list", action="store_true", help="show rows, state and cost, and run nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    return parser


def _parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _configurations(base: str) -> list[str]:
    """The base, after the experiment that it changes if it is such a one."""
    find_experiment(base)
    below = next((item.base for item in list_experiments() if item.name == base and item.base), None)
    return [base] if below is None else [below, base]


def _check(options: argparse.Namespace, extra: Sequence[str]) -> None:
    if not options.names and not options.list:
        raise ConfigurationError("Name a table, such as table5, or see them all with --list.")
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            raise ConfigurationError(f"Give --{name} 1 or more; got {getattr(options, name)}.")
    taken = ("--seed_everything", "--trainer.logger", "--ckpt_path", "--config", "-c", "--benchmark.out", "--out")
    for word in extra:
        if word.partition("=")[0].startswith(taken):
            raise ConfigurationError(
                f"Leave {word.partition('=')[0]} out behind `--`: the table sets it. --base names the experiment, --seeds the "
                f"seeds, --out the folder."
            )


def _rows_of(given: Sequence[str]) -> dict[str, list[str]]:
    """The options that `--row` gives, by the row's title."""
    rows: dict[str, list[str]] = {}
    for text in given:
        title, joined, words = text.partition("=")
        if not joined:
            raise ConfigurationError(f"Write --row 'ROW=OPTIONS'; got {text!r}.")
        try:
            rows[title.strip()] = shlex.split(words)
        except ValueError as error:
            raise ConfigurationError(f"Close the quotes in --row {text!r}: {error}.") from error
    return rows


def _do(runs: Mapping[str, Runs], options: argparse.Namespace) -> tuple[list[str], int]:
    """Do what is missing, the first seed of all rows first.

    Returns:
        A sentence for each run that failed, and the exit code if a signal ended the work, else 0.
    """
    from affect_lightning.unibench.paper_tables.processes import work_off
    from affect_lightning.unibench.paper_tables.runs import place_of_base, unique_runs

    every = unique_runs([run for by_row in runs.values() for row in by_row.values() for run in row])
    mine = every if options.part is None else options.part.of(every)
    missing = sorted((run for run in mine if run.missing_step()), key=lambda run: run.seed)
    if not missing:
        return [], 0
    from affect_lightning.command_line.forked_runs import fitting_starter
    from affect_lightning.command_line.table_caches import CachesOfRuns, needs_of
    from affect_lightning.training.signals import StoppedAtOnce, signals_end_the_command

    needs = needs_of(missing)
    start = fitting_starter(sorted({module for row in needs for module in row.modules}))
    caches = CachesOfRuns.plan(needs, place_of_base(options.out, [options.base]) / "caches")
    tasks = caches.with_runs(missing)
    try:
        with signals_end_the_command():
            failed = work_off(tasks, jobs=options.jobs, start=start, say=_say, before=caches.before)
    except StoppedAtOnce as stop:
        print(f"affect-lightning: {stop} Give the command again to go on: what is done stays.", file=sys.stderr)
        return [], stop.code
    return [f"{task.title}: {reason}" for task, reason in failed], 0


def _say(line: str) -> None:
    print(line, flush=True)


def _make(
    table: PaperTable, runs: Runs, options: argparse.Namespace
) -> tuple[PaperTable, list[FinishedRow], list[Path]]:
    """Write and print the table out of what is there."""
    from affect_lightning.unibench.paper_tables.finished import finished_rows
    from affect_lightning.unibench.paper_tables.pages import notes_of_table, table_of, write_pages
    from affect_lightning.unibench.paper_tables.runs import place_of_base
    from affect_lightning.unibench.result_folders import reserve_result_folder

    rows = finished_rows(table, runs)
    folder = reserve_result_folder(place_of_base(options.out, [options.base]) / "tables", table.name)
    files = write_pages(table, rows, options.base, folder)
    print(f"\n{table.title}\n\n{render_terminal(table_of(table, rows))}\n")
    print("\n".join(notes_of_table(table, rows, options.base)))
    print(f"\nTable: {folder}")
    return table, rows, files


def _list(tables: Sequence[PaperTable], runs: Mapping[str, Runs], options: argparse.Namespace) -> int:
    from affect_lightning.unibench.paper_tables.runs import expected_seconds, mean_seconds, unique_runs

    every = unique_runs([run for by_row in runs.values() for row in by_row.values() for run in row])
    left, seconds, mean = sum(run.state != "done" for run in every), expected_seconds(every), mean_seconds(every)
    lines = []
    for table in tables:
        for row in table.rows:
            of_row = runs[table.name][row.title]
            state = f"needs {row.needs}" if row.words is None else _counted([one.state for one in of_row])
            cost = "" if mean is None or row.words is None else f"{_cost(of_row, mean) / 60:.1f}"
            lines.append((table.name, row.title, shlex.join(row.words or ()), cost, state))
    if options.json:
        names = ("table", "row", "options", "minutes", "state")
        rows = [dict(zip(names, line, strict=True)) for line in lines]
        print_json({"rows": rows, "runs": len(every), "missing": left, "expected_seconds": seconds})
        return 0
    print(format_table(("table", "row", "options", "minutes", "state"), lines))
    cost = f"about {seconds / 60:.0f} minutes one after another" if seconds is not None else "time not yet known"
    print(f"\n{left} of {len(every)} runs are missing ({cost}). A run that several tables need is done once.")
    return 0


def _cost(runs: Sequence[Run], mean: float) -> float:
    """Seconds of the runs of a row: what they took, or the mean of all where they are missing."""
    return sum(run.seconds if run.state == "done" else mean for run in runs)


def _counted(states: Sequence[str]) -> str:
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _plain(table: PaperTable, rows: Sequence[FinishedRow], files: Sequence[Path]) -> dict[str, Any]:
    return {
        "table": table.name,
        "rows": [
            {
                "labels": list(item.row.labels),
                "ours": {name: vars(figure) for name, figure in item.figures.items()},
                "published": dict(item.row.published),
                "seeds": [report.provenance.get("seed") for report in item.reports],
                "state": item.state or "done",
            }
            for item in rows
        ],
        "files": [str(path) for path in files],
    }
