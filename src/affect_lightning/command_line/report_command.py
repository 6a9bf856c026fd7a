"""`affect-lightning report`: several finished runs in one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def run(arguments: Sequence[str]) -> int:
    """Compare finished runs: read each run's report.json and write one report with a row a run."""
    parser = argparse.ArgumentParser(prog="affect-lightning report", description=run.__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, each with a report.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for the combined report")
    options = parser.parse_args(arguments)

    from affect_lightning.unibench.reports import compare_runs

    compare_runs(options.runs, options.out)
    print(f"Report: {options.out / 'report.html'}")
    return 0
