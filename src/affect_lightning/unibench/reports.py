"""Reports: report.json, report.md and report.html of one or several runs, written whole or not at all.

Paper: Table 2. `report_rows.py` says what a report holds, `report_markdown.py` and `report_html.py` lay it out,
`callback.py` writes one at the end of a test, and `compare_runs` puts several runs side by side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from affect_lightning.errors import DataError
from affect_lightning.unibench.report_html import render_html
from affect_lightning.unibench.report_markdown import render_markdown
from affect_lightning.unibench.report_rows import ReferenceRow, Report, ReportRow
from affect_lightning.unibench.writing import write_files

REPORT_NAME = "report"


def write_report(report: Report, folder: Path | str) -> list[Path]:
    """Write report.json, report.md and report.html.

    Args:
        report: With at least one row.
        folder: Made if it is missing.

    Returns:
        The three paths, in that order.

    Raises:
        DataError: The report has no row.
        WritingError: The system refuses; no file under a final name is new or half-written.
    """
    if not report.rows:
        raise DataError("A report needs at least one run with scores; there is none.")
    base = Path(folder) / REPORT_NAME
    return write_files(
        {
            base.with_suffix(".json"): json.dumps(report.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
            + "\n",
            base.with_suffix(".md"): render_markdown(report),
            base.with_suffix(".html"): render_html(report),
        }
    )


def read_report(path: Path | str) -> Report:
    """Read a report.json.

    Args:
        path: The file, or the folder that holds it.

    Raises:
        DataError: It is missing, unreadable, no report, or of another version.
    """
    path = Path(path)
    if path.is_dir():
        path = path / f"{REPORT_NAME}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"There is no report {path} ({error.strerror}). `affect-lightning test` writes it.") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON file: {error}. Score the predictions again.") from error
    return Report.from_json(content, str(path))


def compare_runs(
    run_folders: Sequence[Path | str],
    out: Path | str,
    *,
    names: Sequence[str] | None = None,
    title: str = "MER-UniBench: comparison of runs",
) -> list[Path]:
    """Put the rows of several reports into one.

    Args:
        run_folders: Folders with a report.json, or such files, in the order of the table.
        out: Folder of the new report.
        names: New names of the runs, one a folder, such as `before training`; by default their own, made different
            by the folder's name where two are equal.
        title: Of the page.

    Returns:
        The paths of report.json, report.md and report.html.

    Raises:
        DataError: No folder is given, a report is missing or broken, or the number of names is another.
        WritingError: The system refuses to write.
    """
    if not run_folders:
        raise DataError("Give at least one run folder with a report.json to compare.")
    if names is not None and len(names) != len(run_folders):
        raise DataError(f"Got {len(names)} names for {len(run_folders)} runs; give one name a run.")
    rows: list[ReportRow] = []
    bounds: dict[str, ReferenceRow] = {}
    for index, folder in enumerate(run_folders):
        report = read_report(folder)
        bounds.update({bound.name: bound for bound in report.bounds})
        for row in report.rows:
            name = row.name if names is None else names[index]
            if names is not None and len(report.rows) > 1:
                name = f"{name}: {row.name}"
            if any(name == other.name for other in rows):
                name = f"{name} ({Path(folder).name}, {index + 1})"
            rows.append(replace(row, name=name))
    return write_report(Report(title, tuple(rows), tuple(bounds.values())), out)
