"""report.html: one self-contained page with the tables, figures, example clips and the provenance.

`page.html` is the template, `table.html` and `figures.html` have its parts, `page.css` the style. Jinja escapes every text.
"""

from __future__ import annotations

from dataclasses import replace

from affect_lightning.unibench.report.columns import paired_table, score_table, set_table
from affect_lightning.unibench.report.content import Report, ReportRow
from affect_lightning.unibench.report.examples import Example
from affect_lightning.unibench.report.figures import (
    Figure,
    curve_figure,
    label_figure,
    legend,
    matrix_figure,
    score_figure,
    wheel_figure,
)
from affect_lightning.unibench.report.loss_curves import Curve
from affect_lightning.unibench.report.provenance import CONFUSION_NOTE, TEST_NOTE, notes_of, provenance_lines
from affect_lightning.unibench.report.renderers import render_html, templates
from affect_lightning.unibench.scoring.scores import add_confusions
from affect_lightning.unibench.statistics.paired_tests import SIGNIFICANT

OPEN_ROWS = 3  # runs whose confusions are unfolded; our choice


def render_page(report: Report) -> str:
    """The report as a complete HTML page without external resources."""
    figures = {
        "score_figure": score_figure(report),
        "confusions": [(row.label, figures) for row in report.rows if (figures := _confusions(row))],
        "label_figure": label_figure(report),
        "curve_figure": curve_figure(_curves(report)),
    }
    return templates().get_template("page.html").render(
        figures,
        report=report,
        several=len(report.rows) > 1,
        open_rows=OPEN_ROWS,
        lead=_lead(report),
        scores=render_html(score_table(report)),
        notes=notes_of(report),
        score_legend=legend(report),
        tests=render_html(paired_table(report)),
        test_note=f"{TEST_NOTE} Bold: corrected p below {SIGNIFICANT}.",
        confusion_note=CONFUSION_NOTE,
        label_legend=legend(report, published=False),
        examples=_examples(report),
        details=[(row.label, render_html(set_table(row, report.columns))) for row in report.rows],
        provenance=[(row.label, lines) for row in report.rows if (lines := provenance_lines(row.provenance))],
    )  # fmt: skip


def _lead(report: Report) -> str:
    clips = max((sum(score.clips for score in row.scores.sets.values()) for row in report.rows), default=0)
    counts = ((len(report.set_keys()), "set"), (clips, "clip"), (len(report.rows), "run"))
    return ", ".join(f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s" for count, noun in counts)


def _confusions(row: ReportRow) -> list[tuple[Figure | None, Figure]]:
    """Wheel and matrix of each kind of confusion, all sets of a kind together."""
    kept = [score.confusion for score in row.scores.sets.values() if score.confusion is not None]
    figures = []
    for title in dict.fromkeys(confusion.title for confusion in kept):
        pooled = add_confusions([confusion for confusion in kept if confusion.title == title])
        matrix = matrix_figure(pooled) if pooled is not None else None
        if pooled is not None and matrix is not None:
            figures.append((wheel_figure(pooled), matrix))
    return figures


def _curves(report: Report) -> list[Curve]:
    """The losses of all runs, named after them where several have some."""
    several = len([row for row in report.rows if row.curves]) > 1
    named = [(f"{row.name}: " if several else "", curve) for row in report.rows for curve in row.curves]
    return [replace(curve, name=before + curve.name) for before, curve in named]


def _examples(report: Report) -> list[tuple[str, list[tuple[str, Example]]]]:
    """Clips with the title of their set and the answers of all runs."""
    titles = {key: score.title for row in report.rows for key, score in row.scores.sets.items()}
    clips: dict[tuple[str, str], list[tuple[str, Example]]] = {}
    for row in report.rows:
        for example in row.examples:
            clips.setdefault((example.corpus, example.name), []).append((row.name, example))
    return [(titles.get(corpus, corpus), answers) for (corpus, _), answers in clips.items()]
