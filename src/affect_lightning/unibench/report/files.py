"""Files of a report: report.json, .md, .html, .tex, .csv and outcomes.jsonl, written whole or not at all.

Paper: Table 2. `content.py` says what a report holds, `columns.py` its tables, `renderers.py` their forms and the page;
`callback.py` writes one at the end of a test, and `compare_runs` puts several runs side by side.
outcomes.jsonl has what came of each clip, one line a clip. The terms of each clip (`statistics/intervals.py`) are kept so that
finished runs can be compared clip by clip (`paired_tests.py`) without scoring anything again. Plain text: nothing in it is
ever executed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.unibench.report.columns import (
    installed_columns,
    number_table,
    paired_table,
    score_table,
    set_table,
)
from affect_lightning.unibench.report.content import ReferenceRow, Report, ReportRow
from affect_lightning.unibench.report.provenance import (
    TEST_NOTE,
    banner_of,
    not_comparable,
    notes_of,
    provenance_lines,
)
from affect_lightning.unibench.report.published import PublishedRow, published_rows
from affect_lightning.unibench.report.renderers import (
    markdown_text,
    render_csv,
    render_latex,
    render_markdown,
    render_page,
)
from affect_lightning.unibench.result_folders import REPORT_FILE, newest_result
from affect_lightning.unibench.scoring.predictions import write_files
from affect_lightning.unibench.scoring.scores import ClipOutcome, SetScore
from affect_lightning.unibench.statistics.intervals import metric_values, terms_of

OUTCOMES_NAME = "outcomes.jsonl"
_SAME = 1e-6  # percentage points by which a score may differ from that of its outcomes: rounding only
REPORT_NAME = "report"
_REMEMBERED = 100_000  # equal results of clips that are written once; our choice
_json = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` makes an encoder for each call that asks for this


def outcome_lines(rows: Iterable[ReportRow]) -> Iterator[str]:
    """All outcomes of all rows, one JSON object a line."""
    for row in rows:
        for key, score in row.scores.sets.items():
            head = f'{{"model": {_json(row.name)}, "set": {_json(key)}, "clip": '
            for outcome in score.outcomes:
                yield f"{head}{_json(outcome.name)}, {_result(outcome.labels, outcome.sentiment, outcome.hit, outcome.terms)}"


@lru_cache(maxsize=_REMEMBERED)
def _result(labels: tuple[str, ...], sentiment: str, hit: bool | None, terms: tuple[float, ...]) -> str:
    """The rest of a line behind the clip's name; of a million clips, many have the same."""
    counts = [int(term) if term == int(term) else term for term in terms]
    return _json({"labels": labels, "sentiment": sentiment, "hit": hit, "terms": counts})[1:] + "\n"


def attach_outcomes(rows: Sequence[ReportRow], path: Path) -> list[ReportRow]:
    """The rows with the outcomes of a file; rows as they are if there is no such file, or it has none of a set.

    Args:
        rows: Of the report.json next to the file.
        path: The file.

    Raises:
        DataError: A line is broken, or the outcomes do not give the score that report.json has.
    """
    found = _read(path) if path.is_file() else {}
    return [
        replace(
            row,
            scores=replace(
                row.scores,
                sets={
                    key: _checked(score, found[row.name, key], path) if (row.name, key) in found else score
                    for key, score in row.scores.sets.items()
                },
            ),
        )
        for row in rows
    ]


def _read(path: Path) -> dict[tuple[str, str], list[ClipOutcome]]:
    found: dict[tuple[str, str], list[ClipOutcome]] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The outcomes {path} cannot be read: {error}. Score the predictions again.") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                model, key, outcome = _outcome(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{path}, row {number} is broken: {error!r}. Score the predictions again, or remove the file to "
                    f"compare without paired tests."
                ) from error
            found.setdefault((model, key), []).append(outcome)
    return found


def _outcome(values: dict[str, Any]) -> tuple[str, str, ClipOutcome]:
    hit = values["hit"]
    if hit not in (True, False, None):
        raise ValueError(f"hit is {hit!r}, expected true, false or null")
    terms = tuple(float(term) for term in values["terms"])
    if not all(map(math.isfinite, terms)):
        raise ValueError("a term is not a finite number")
    outcome = ClipOutcome(str(values["clip"]), tuple(values["labels"]), str(values["sentiment"]), hit, terms)
    return str(values["model"]), str(values["set"]), outcome


def _checked(score: SetScore, outcomes: Sequence[ClipOutcome], path: Path) -> SetScore:
    whole = replace(score, outcomes=tuple(outcomes))
    terms = terms_of(whole)
    if terms is None:
        return whole
    again = 100 * float(metric_values(score.metric, terms.sum(0))[score.metric])
    same = math.isnan(again) if score.score is None else abs(again - score.score) <= _SAME
    if len(outcomes) != score.clips or not same:
        raise DataError(
            f"{path} does not belong to the report.json in the same folder: its {len(outcomes)} clips of {score.key} score "
            f"{again:.4f}, and report.json has {score.clips} clips with {score.score}. Score the predictions again."
        )
    return whole


def write_report(
    report: Report,
    folder: Path | str,
    *,
    published: Sequence[str] | None = None,
    published_anyway: bool = False,
    columns: Sequence[str] = (),
) -> list[Path]:
    """Write report.json, .md, .html, .tex and .csv, and outcomes.jsonl with what came of each clip.

    Args:
        report: With at least one row.
        folder: Made if it is missing.
        published: Names of published rows to show next to the measured ones (see `published_rows`); an empty sequence
            for one row a model; by default those that the report has.
        published_anyway: Whether they may stand beside scores of a generated corpus.
        columns: Names of installed columns to show as well (see `installed_columns`).

    Returns:
        The six paths, in that order.

    Raises:
        DataError: The report has no row, or two rows of one name.
        ConfigurationError: There is no such published row, or it would stand beside scores of a generated corpus.
        PluginError: There is no such column, or it fails.
        WritingError: The system refuses; no file under a final name is new or half-written.
    """
    if not report.rows:
        raise DataError("Give at least one run with scores: the report has none.")
    names = [row.name for row in report.rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"Give the rows of the report different names; more than one is called {', '.join(twice)}.")
    if published is not None:
        report = replace(report, published=published_rows(published))
    if report.published and not published_anyway and (banner := banner_of(report)):
        raise ConfigurationError(
            f"Leave out the published rows, or add --published-anyway: they are of real clips, and these scores are not "
            f"({banner})."
        )
    report = replace(report, columns=(*report.columns, *installed_columns(columns)))
    base = Path(folder) / REPORT_NAME
    return write_files(
        {
            base.with_suffix(".json"): json.dumps(report.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
            + "\n",
            base.with_suffix(".md"): _markdown(report),
            base.with_suffix(".html"): render_page(report),
            base.with_suffix(".tex"): render_latex(
                score_table(report),
                " ".join([f"{report.title}.", *(f"{text}." for text in _banners(report)), *notes_of(report)]),
            ),
            base.with_suffix(".csv"): render_csv(number_table(report)),
            base.with_name(OUTCOMES_NAME): lambda file: file.writelines(
                line.encode("utf-8") for line in outcome_lines(report.rows)
            ),
        }
    )


def _banners(report: Report) -> list[str]:
    """What every form says before the scores."""
    return [text for text in (banner_of(report), not_comparable(report)) if text]


def _markdown(report: Report) -> str:
    """All tables, sentences and provenance as Markdown; figures and example clips are on the page only."""
    parts = [f"# {markdown_text(report.title)}", *(f"**{markdown_text(text)}**" for text in _banners(report))]
    parts.append(render_markdown(score_table(report)))
    parts += map(markdown_text, notes_of(report))
    if report.tests:
        parts += ["## Paired tests", render_markdown(paired_table(report)), TEST_NOTE]
    for row in report.rows:
        lines = [f"- {markdown_text(term)}: {markdown_text(text)}" for term, text in provenance_lines(row.provenance)]
        parts += [f"## {markdown_text(row.label)}", render_markdown(set_table(row, report.columns)), "\n".join(lines)]
    if any(row.examples for row in report.rows):
        parts.append("Example clips with pictures are in report.html, next to this file.")
    return "\n\n".join(filter(None, parts)) + "\n"


def read_report(path: Path | str, *, outcomes: bool = False) -> Report:
    """Read a report.json.

    Args:
        path: The file, the folder that holds it, or the folder of a run, whose newest test is read.
        outcomes: Whether to read what came of each clip as well, where it lies next to the file.

    Raises:
        DataError: It is missing, unreadable, no report, or of another version.
    """
    path = Path(path)
    if path.is_dir():
        path = newest_result(path) / REPORT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"There is no report {path} ({error.strerror}). `affect-lightning test` writes it.") from error
    except ValueError as error:
        raise DataError(f"{path} is not a JSON file: {error}. Score the predictions again.") from error
    report = Report.from_json(content, str(path))
    if not outcomes:
        return report
    return replace(report, rows=tuple(attach_outcomes(report.rows, path.with_name(OUTCOMES_NAME))))


def compare_runs(
    run_folders: Sequence[Path | str],
    out: Path | str,
    *,
    names: Sequence[str] | None = None,
    title: str = "MER-UniBench: comparison of runs",
    published: Sequence[str] | None = None,
    published_anyway: bool = False,
    columns: Sequence[str] = (),
) -> list[Path]:
    """Put the rows of several reports into one, with paired tests between them.

    Args:
        run_folders: Folders with a report.json, such files, or folders of runs, in the order of the table.
        out: Folder of the new report.
        names: New names of the runs, one a folder, such as `before training`; by default their own, made different
            by the folder's name where two are equal.
        title: Of the page.
        published: Names of published rows to show as well, see `write_report`; by default those of the reports.
        published_anyway: See `write_report`.
        columns: Names of installed columns to show as well.

    Returns:
        The paths that `write_report` returns.

    Raises:
        DataError: No folder is given, a report is missing or broken, or the number of names is another.
        ConfigurationError: There is no such published row, or it would stand beside scores of a generated corpus.
        PluginError: There is no such column, or it fails.
        WritingError: The system refuses to write.
    """
    if not run_folders:
        raise DataError("Give at least one run folder with a report.json to compare.")
    if names is not None and len(names) != len(run_folders):
        raise DataError(f"Got {len(names)} names for {len(run_folders)} runs; give one name for each run.")
    rows: list[ReportRow] = []
    bounds: dict[str, ReferenceRow] = {}
    theirs: dict[str, PublishedRow] = {}
    for index, folder in enumerate(run_folders):
        report = read_report(folder, outcomes=True)
        bounds.update({bound.name: bound for bound in report.bounds})
        theirs.update({published_row.name: published_row for published_row in report.published})
        for row in report.rows:
            name = row.name if names is None else names[index]
            if names is not None and len(report.rows) > 1:
                name = f"{name}: {row.name}"
            if any(name == other.name for other in rows):
                name = f"{name} ({newest_result(Path(folder)).name}, {index + 1})"
            rows.append(replace(row, name=name))
    report = Report(title, tuple(rows), tuple(bounds.values()), tuple(theirs.values())).with_paired_tests()
    return write_report(report, out, published=published, published_anyway=published_anyway, columns=columns)
