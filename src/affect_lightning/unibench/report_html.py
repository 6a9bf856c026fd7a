"""report.html: one self-contained page with the table, figures, paired tests, example clips and the provenance.

Template and style lie beside this file (`report_page.html`, `report_page.css`) and are filled with `string.Template`;
every text out of data is escaped. `figures.py`, `confusion_figure.py` and `loss_curves.py` draw the figures,
`report_markdown.py` lays out the same report as text, `reports.py` writes both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template

from affect_lightning.data.readers.benchmark_sets import BENCHMARK_SETS, METRIC_TITLES
from affect_lightning.unibench.confusion_figure import draw_matrix, draw_wheel
from affect_lightning.unibench.confusions import add_confusions
from affect_lightning.unibench.examples import Example
from affect_lightning.unibench.figures import draw_label_counts, draw_legend, draw_scores
from affect_lightning.unibench.figures import escaped as _text
from affect_lightning.unibench.loss_curves import draw_curves
from affect_lightning.unibench.provenance import provenance_lines
from affect_lightning.unibench.published import PublishedRow
from affect_lightning.unibench.report_rows import CHOSEN_ON_TEST, Report, ReportRow
from affect_lightning.unibench.report_texts import (
    TEST_HEAD,
    TEST_NOTE,
    details_of,
    interval_text,
    mean_text,
    notes_of,
    percent,
    set_details,
    test_cells,
)
from affect_lightning.unibench.statistics.paired_tests import SIGNIFICANT

OPEN_ROWS = 3  # runs whose confusions are unfolded; our choice
_CHIPS = {True: ("hit", "hit"), False: ("miss", "miss"), None: ("unscored", "not scored")}


def render_html(report: Report) -> str:
    """The report as a complete HTML page without external resources."""
    sections = [
        ("scores", "Scores", _score_section(report)),
        ("intervals", "Scores with intervals", _interval_section(report)),
        ("tests", "Paired tests", _test_section(report)),
        ("confusions", "What is taken for what", _confusion_section(report)),
        ("labels", "Labels a response", _label_section(report)),
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
    lines += [_published_line(row, keys, index == 0) for index, row in enumerate(report.published)]
    notes = "".join(f'<p class="note">{_text(note)}</p>' for note in notes_of(report))
    return _table(["<th>model</th>", *heads, '<th class="mean">mean</th>'], lines) + notes


def _published_line(row: PublishedRow, keys: Sequence[str], first: bool) -> str:
    cells = "".join(f"<td>{percent(row.scores.get(key))}</td>" for key in keys)
    hover = _text(f"{row.origin}. {row.note}".strip())
    return (
        f'<tr class="published{" first" if first else ""}"><td title="{hover}">{_text(row.name)}'
        f'<span class="tag">published</span></td>{cells}<td class="mean">{percent(row.mean)}</td></tr>'
    )


def _model_line(
    row: ReportRow, keys: Sequence[str], best: dict[str, float | None], best_mean: float | None, several: bool
) -> str:
    warning = f'<span class="tag warning">{CHOSEN_ON_TEST}</span>' if row.chosen_on_test else ""
    cells = [f"<td>{_text(row.name)}{warning}</td>"]
    for key in keys:
        score = row.scores.sets.get(key)
        value = score.score if score else None
        hover = "; ".join(f"{term} {text}" for term, text in details_of(score)) if score else "not tested"
        text = percent(value) + _small(score.interval if score else None)
        cells.append(_score_cell(text, value, several and value == best[key], hover))
    mean = row.scores.mean
    hover = f"{row.scores.sets_in_mean} of {len(BENCHMARK_SETS)} sets"
    text = mean_text(row) + _small(row.scores.mean_interval)
    cells.append(_score_cell(text, mean, several and mean == best_mean, hover, "mean"))
    return f"<tr>{''.join(cells)}</tr>"


def _small(interval: tuple[float, float] | None) -> str:
    return f"<small> {interval_text(interval)}</small>" if interval else ""


def _score_cell(text: str, value: float | None, best: bool, hover: str, kind: str = "") -> str:
    if value is None:
        return f'<td class="{kind}" title="{_text(hover)}">{text}</td>'
    classes = " ".join(filter(None, ("score", kind, "best" if best else "")))
    return f'<td class="{classes}" style="--share:{value:.1f}%" title="{_text(hover)}">{text}</td>'


def _interval_section(report: Report) -> str:
    drawing = draw_scores(report)
    return f"{draw_legend(report)}\n{_scrolling(drawing)}" if drawing else ""


def _scrolling(body: str) -> str:
    """A part that is wider than a narrow window, so that it scrolls by itself."""
    return f'<div class="scroll">{body}</div>'


def _test_section(report: Report) -> str:
    if not report.tests:
        return ""
    lines = []
    for _, pair in itertools.groupby(report.tests, key=lambda test: (test.first, test.second)):
        tests = list(pair)
        for index, test in enumerate(tests):
            models, *cells = (_text(cell) for cell in test_cells(report, test))
            head = "" if index else f'<td class="pair" rowspan="{len(tests)}">{models}</td>'
            marked = ' class="significant"' if test.p_corrected < SIGNIFICANT else ""
            lines.append(f'<tr{marked}>{head}<td class="set">{"</td><td>".join(cells)}</td></tr>')
    return f'{_table(_heads(TEST_HEAD), lines)}<p class="note">{_text(TEST_NOTE)} Bold: corrected p below {SIGNIFICANT}.</p>'


def _confusion_section(report: Report) -> str:
    blocks: list[str] = []
    for row in report.rows:
        kept = [score.confusion for score in row.scores.sets.values() if score.confusion is not None]
        figures = []
        for title in dict.fromkeys(confusion.title for confusion in kept):
            pooled = add_confusions([confusion for confusion in kept if confusion.title == title])
            if pooled is not None:
                figures.append(draw_wheel(pooled) + draw_matrix(pooled))
        if any(figures):
            head = f"<summary>{_text(row.label)}</summary>" if len(report.rows) > 1 else ""
            body = f'<div class="figures">{"".join(figures)}</div>'
            blocks.append(
                f"<details{' open' if len(blocks) < OPEN_ROWS else ''}>{head}{body}</details>" if head else body
            )
    if not blocks:
        return ""
    note = (
        "All sets of a kind together. Rows: percent of the clips with that truth, whose number is beside its name; a "
        "clip with several labels is divided among them. On the wheel, a sector is filled as far as it was found, and "
        "the chords lead from the truth to the commonest sectors that were said in its place."
    )
    return "\n".join(blocks) + f'<p class="note">{note}</p>'


def _label_section(report: Report) -> str:
    drawing = draw_label_counts(report)
    note = "All sets together. 0 stands for a response out of which no label came."
    return (
        f'{draw_legend(replace(report, published=()))}\n{_scrolling(drawing)}<p class="note">{note}</p>'
        if drawing
        else ""
    )


def _curve_section(report: Report) -> str:
    several = len([row for row in report.rows if row.curves]) > 1
    curves = [
        replace(curve, name=f"{row.name}: {curve.name}" if several else curve.name)
        for row in report.rows
        for curve in row.curves
    ]
    drawing = draw_curves(curves)
    return (
        f'{_scrolling(drawing)}\n<p class="note">Faint: each logged value. Bold: their running mean.</p>'
        if drawing
        else ""
    )


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
    details = set_details(row)
    terms = list(dict.fromkeys(term for _, found in details for term in found))
    lines = []
    for title, found in details:
        cells = "".join(f"<td>{_text(found.get(term, ''))}</td>" for term in terms)
        lines.append(f"<tr><td>{_text(title)}</td>{cells}</tr>")
    return f"<h3>{_text(row.label)}</h3>\n{_table(_heads(['set', *terms]), lines)}"


def _table(heads: Sequence[str], lines: Sequence[str]) -> str:
    """A table of cells and lines that are HTML already."""
    table = f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody>"
    return _scrolling(f"<table>\n{table}\n</table>") + "\n"


def _heads(titles: Sequence[str]) -> list[str]:
    return [f"<th>{_text(title)}</th>" for title in titles]


def _provenance_block(row: ReportRow) -> str:
    lines = "\n".join(
        f"<dt>{_text(term)}</dt><dd>{_text(text)}</dd>" for term, text in provenance_lines(row.provenance)
    )
    return f"<h3>{_text(row.label)}</h3>\n<dl>\n{lines}\n</dl>\n" if lines else ""


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
