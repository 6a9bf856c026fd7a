"""report.tex and report.csv: the table for a paper, and the numbers for a program.

Paper: Table 2. Beside `report_markdown.py` and `report_html.py`; `reports.py` writes all of them. The LaTeX table needs
the package booktabs and nothing else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from affect_lightning.corpora import METRIC_TITLES
from affect_lightning.unibench.published import NOTE, PublishedRow
from affect_lightning.unibench.report_rows import ReferenceRow, Report, ReportRow
from affect_lightning.unibench.report_texts import CHOSEN_ON_TEST_NOTE, interval_text, notes_of, percent, sets_text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "“": "``",
    "”": "''",
    "→": r"$\rightarrow$",
    "\n": " ",
}
_LATEX_METRICS = {"hit_rate": "hit rate", "waf": "WAF", "f_s": "$F_S$"}


def render_tex(report: Report) -> str:
    """The table of scores in LaTeX: the best measured score of a column bold, intervals below the scores."""
    keys = report.set_keys()
    titles = [report.set_scores(key)[0].title for key in keys]
    metrics = [_LATEX_METRICS[report.set_scores(key)[0].metric] for key in keys]
    lines = [
        r"% Needs \usepackage{booktabs}. Written by affect-lightning.",
        r"\begin{table*}[t]",
        r"\centering\small\setlength{\tabcolsep}{3.5pt}",
        rf"\caption{{{_latex(report.title)}. {_latex(' '.join(notes_of(report)))}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(keys) + 1)}}}",
        r"\toprule",
        _latex_line(["model", *map(_latex, titles), "mean"]),
        _latex_line(["", *metrics, ""]),
        r"\midrule",
        *(line for row in report.rows for line in _latex_row(report, row, keys)),
    ]
    if report.bounds:
        lines.append(r"\midrule")
    for bound in report.bounds:
        cells = [_latex(percent(bound.scores.get(key))) for key in keys]
        lines.append(_latex_line([rf"\textit{{{_latex(bound.name)}}}", *cells, _latex(percent(bound.mean))]))
    if report.published:
        lines += [r"\midrule", rf"\multicolumn{{{len(keys) + 2}}}{{l}}{{\textit{{{_latex(NOTE)}}}}} \\"]
    for published in report.published:
        cells = [_latex(percent(published.scores.get(key))) for key in keys]
        lines.append(_latex_line([rf"{_latex(published.name)}$^\dagger$", *cells, _latex(percent(published.mean))]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table*}", ""])


def _latex_row(report: Report, row: ReportRow, keys: Sequence[str]) -> list[str]:
    """The line of scores, and below it that of intervals where there are any."""
    means = [other.scores.mean for other in report.rows if other.scores.mean is not None]
    scores, intervals = [_latex(row.label)], [""]
    for key in keys:
        score = row.scores.sets.get(key)
        values = [other.score for other in report.set_scores(key) if other.score is not None]
        scores.append(_latex_score(score.score if score else None, values))
        intervals.append(_latex_interval(score.interval if score else None))
    scores.append(_latex_score(row.scores.mean, means) + _latex(sets_text(row)))
    intervals.append(_latex_interval(row.scores.mean_interval))
    return [_latex_line(scores), *([_latex_line(intervals)] if any(intervals) else [])]


def _latex_score(value: float | None, column: Sequence[float]) -> str:
    text = _latex(percent(value))
    return rf"\textbf{{{text}}}" if len(column) > 1 and value is not None and value == max(column) else text


def _latex_interval(interval: tuple[float, float] | None) -> str:
    text = interval_text(interval)
    # In braces, because a bracket after \\ would be read as its option.
    return rf"{{\scriptsize {text}}}" if text else ""


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex(text: str) -> str:
    r"""Text with LaTeX's special characters made harmless.

    >>> print(_latex("a_b & 5%"))
    a\_b \& 5\%
    """
    return "".join(_LATEX.get(character, character) for character in text)


_FIRST = ("model", "kind", "source", "note", "checkpoint_rule", "taxonomy", "taxonomy_sha256", "extractor", "seed")
_LAST = ("mean", "mean.low", "mean.high", "mean.sets")
_COUNTS = ("clips", "scored_clips", "skipped_clips", "unparsable")


def render_csv(report: Report) -> str:
    """One line a row, measured, bound or published; for each set its score, interval, companions and counts."""
    records: list[dict[str, object]] = [
        *map(_measured_record, report.rows),
        *map(_bound_record, report.bounds),
        *map(_published_record, report.published),
    ]
    sets: list[str] = []
    for key in report.set_keys():
        companions = dict.fromkeys(name for score in report.set_scores(key) for name in score.secondary)
        sets += [key, *(f"{key}.{part}" for part in ("metric", "low", "high", *companions, *_COUNTS))]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*_FIRST, *sets, *_LAST], restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()


def _measured_record(row: ReportRow) -> dict[str, object]:
    scores, rule = row.scores, row.provenance.get("checkpoint_rule", "")
    record: dict[str, object] = {"model": row.name, "kind": "measured", "source": "this run", "checkpoint_rule": rule}
    record |= {"taxonomy": scores.taxonomy, "taxonomy_sha256": scores.taxonomy_sha256, "extractor": scores.extractor}
    record |= {"seed": row.provenance.get("seed"), "note": CHOSEN_ON_TEST_NOTE if row.chosen_on_test else ""}
    for key, score in scores.sets.items():
        low, high = score.interval or (None, None)
        record |= {
            key: score.score,
            f"{key}.metric": METRIC_TITLES[score.metric],
            f"{key}.low": low,
            f"{key}.high": high,
        }
        record |= {f"{key}.{name}": value for name, value in score.secondary.items()}
        record |= {f"{key}.{name}": getattr(score, name) for name in _COUNTS}
    low, high = scores.mean_interval or (None, None)
    return record | {"mean": scores.mean, "mean.low": low, "mean.high": high, "mean.sets": scores.sets_in_mean}


def _bound_record(row: ReferenceRow) -> dict[str, object]:
    return {"model": row.name, "kind": "bound", "mean": row.mean, **row.scores}


def _published_record(row: PublishedRow) -> dict[str, object]:
    record: dict[str, object] = {"model": row.name, "kind": NOTE, "source": row.origin, "note": row.note}
    companions = {f"{key}.{name}": value for key, named in row.companions.items() for name, value in named.items()}
    return record | dict(row.scores) | companions | {"mean": row.mean}
