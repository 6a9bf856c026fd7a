"""report.html: one self-contained page with the table, the loss curves, the example clips and the provenance.

Template and style lie beside this file (`report_page.html`, `report_page.css`) and are filled with `string.Template`;
every text out of data is escaped. `report_markdown.py` lays out the same report as text, `reports.py` writes both.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template

from affect_lightning.data.readers.benchmark_sets import BENCHMARK_SETS, METRIC_TITLES
from affect_lightning.unibench.examples import Example
from affect_lightning.unibench.loss_curves import draw_curves
from affect_lightning.unibench.provenance import provenance_lines
from affect_lightning.unibench.report_markdown import BOUND_NOTE, details_of, mean_text, percent
from affect_lightning.unibench.report_rows import Report, ReportRow

_CHIPS = {True: ("hit", "hit"), False: ("miss", "miss"), None: ("unscored", "not scored")}


def render_html(report: Report) -> str:
    """The report as a complete HTML page without external resources."""
    sections = [
        ("scores", "Scores", _score_section(report)),
        ("curves", "Training", _curve_section(report)),
        ("examples", "Example clips", _example_section(report)),
        ("details", "Details by set", "".join(map(_detail_block, report.rows))),
        ("provenance", "Where the scores come from", "".join(map(_provenance_block, report.rows))),
    ]
    shown = [(anchor, heading, body) for anchor, heading, body in sections if body]
    clips = max((sum(score.clips for score in row.scores.sets.values()) for row in report.rows), default=0)
    template = Template((files("affect_lightning.unibench") / "report_page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=_text(report.title),
        css=(files("affect_lightning.unibench") / "report_page.css").read_text(encoding="utf-8"),
        lead=", ".join(
            (_plural(len(report.set_keys()), "set"), _plural(clips, "clip"), _plural(len(report.rows), "run"))
        ),
        navigation="".join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading, _ in shown),
        sections="\n".join(
            f'<section id="{anchor}">\n<h2>{heading}</h2>\n{body}\n</section>' for anchor, heading, body in shown
        ),
    )


def _score_section(report: Report) -> str:
    keys = report.set_keys()
    heads = []
    for key in keys:
        first = report.set_scores(key)[0]
        heads.append(f"<th>{_text(first.title)}<small>{METRIC_TITLES[first.metric]}</small></th>")
    best = {key: max((s.score for s in report.set_scores(key) if s.score is not None), default=None) for key in keys}
    means = [row.scores.mean for row in report.rows if row.scores.mean is not None]
    lines = [_model_line(row, keys, best, max(means, default=None), len(report.rows) > 1) for row in report.rows]
    lines += [
        f'<tr class="bound{" first" if index == 0 else ""}"><td>{_text(bound.name)}</td>'
        + "".join(f"<td>{percent(bound.scores.get(key))}</td>" for key in keys)
        + f'<td class="mean">{percent(bound.mean)}</td></tr>'
        for index, bound in enumerate(report.bounds)
    ]
    note = "Scores in percent. The mean is that of the primary scores of the sets of MER-UniBench."
    if report.bounds:
        note += " " + BOUND_NOTE
    return (
        '<div class="scroll"><table>\n'
        f'<thead><tr><th>model</th>{"".join(heads)}<th class="mean">mean</th></tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table></div>\n"
        f'<p class="note">{note}</p>'
    )


def _model_line(
    row: ReportRow, keys: Sequence[str], best: dict[str, float | None], best_mean: float | None, several: bool
) -> str:
    cells = [f"<td>{_text(row.name)}</td>"]
    for key in keys:
        score = row.scores.sets.get(key)
        value = score.score if score else None
        hover = "; ".join(f"{term} {text}" for term, text in details_of(score)) if score else "not tested"
        cells.append(_score_cell(percent(value), value, several and value == best[key], hover))
    mean = row.scores.mean
    hover = f"{row.scores.sets_in_mean} of {len(BENCHMARK_SETS)} sets"
    cells.append(_score_cell(mean_text(row), mean, several and mean == best_mean, hover, "mean"))
    return f"<tr>{''.join(cells)}</tr>"


def _score_cell(text: str, value: float | None, best: bool, hover: str, kind: str = "") -> str:
    if value is None:
        return f'<td class="{kind}" title="{_text(hover)}">{text}</td>'
    classes = " ".join(filter(None, ("score", kind, "best" if best else "")))
    return f'<td class="{classes}" style="--share:{value:.1f}%" title="{_text(hover)}">{text}</td>'


def _curve_section(report: Report) -> str:
    several = len([row for row in report.rows if row.curves]) > 1
    curves = [
        replace(curve, name=f"{row.name}: {curve.name}" if several else curve.name)
        for row in report.rows
        for curve in row.curves
    ]
    drawing = draw_curves(curves)
    return f'{drawing}\n<p class="note">Faint: each logged value. Bold: their running mean.</p>' if drawing else ""


def _example_section(report: Report) -> str:
    clips: dict[tuple[str, str], list[tuple[str, Example]]] = {}
    for row in report.rows:
        for example in row.examples:
            clips.setdefault((example.corpus, example.name), []).append((row.name, example))
    if not clips:
        return ""
    articles = "\n".join(_example_block(answers, len(report.rows) > 1) for answers in clips.values())
    return f'<div class="examples">\n{articles}\n</div>'


def _example_block(answers: Sequence[tuple[str, Example]], several: bool) -> str:
    first = answers[0][1]
    title = BENCHMARK_SETS[first.corpus].title if first.corpus in BENCHMARK_SETS else first.corpus
    pictures = "".join(
        f'<img src="{_text(picture)}" alt="frame {number} of {_text(first.name)}">'
        for number, picture in enumerate(first.pictures, start=1)
    )
    parts = [
        f"<article>\n<h3>{_text(first.name)}<small>{_text(title)}</small></h3>",
        f'<div class="pictures">{pictures}</div>' if pictures else "",
        f'<p class="said">“{_text(first.subtitle)}”</p>' if first.subtitle else "",
        f"<p><b>Question:</b> {_text(first.question)}</p>",
        f"<p><b>Truth:</b> {_text(first.truth) or 'unknown'}</p>",
        *(_answer_block(name if several else "", example) for name, example in answers),
        "</article>",
    ]
    return "\n".join(filter(None, parts))


def _answer_block(name: str, example: Example) -> str:
    kind, word = _CHIPS[example.hit]
    found = ", ".join(example.labels) or "none"
    feeling = f" ({example.sentiment})" if example.sentiment else ""
    head = f"<b>{_text(name)}</b> " if name else ""
    return (
        f'<div class="answer">{head}<span class="chip {kind}">{word}</span>\n'
        f"<p>{_text(example.response) or '(an empty response)'}</p>\n"
        f"<p><b>Labels:</b> {_text(found + feeling)}</p></div>"
    )


def _detail_block(row: ReportRow) -> str:
    scores = list(row.scores.sets.values())
    terms = list(dict.fromkeys(term for score in scores for term, _ in details_of(score)))
    lines = []
    for score in scores:
        details = dict(details_of(score))
        cells = "".join(f"<td>{_text(details.get(term, ''))}</td>" for term in terms)
        lines.append(f"<tr><td>{_text(score.title)}</td>{cells}</tr>")
    head = "".join(f"<th>{_text(term)}</th>" for term in terms)
    return (
        f'<h3>{_text(row.name)}</h3>\n<div class="scroll"><table>\n<thead><tr><th>set</th>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table></div>\n"
    )


def _provenance_block(row: ReportRow) -> str:
    lines = "\n".join(
        f"<dt>{_text(term)}</dt><dd>{_text(text)}</dd>" for term, text in provenance_lines(row.provenance)
    )
    return f"<h3>{_text(row.name)}</h3>\n<dl>\n{lines}\n</dl>\n" if lines else ""


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
