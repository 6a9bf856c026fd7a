"""A table as Markdown, LaTeX, HTML and CSV: our figures beside the published ones, and how ours came about.

Paper: the layout of the table in question. `report/tables.py` has the cells, `report/renderers.py` the forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from affect_lightning.storage import write_whole_files
from affect_lightning.unibench.paper_tables.catalogue import PaperTable, figure_title
from affect_lightning.unibench.paper_tables.drawing import draw_table
from affect_lightning.unibench.paper_tables.finished import FinishedRow
from affect_lightning.unibench.report.content import Report, ReportRow
from affect_lightning.unibench.report.provenance import banner_of
from affect_lightning.unibench.report.renderers import (
    markdown_text,
    render_csv,
    render_html,
    render_latex,
    render_markdown,
    templates,
)
from affect_lightning.unibench.report.tables import COUNT, SCORE, TEXT, Column, Marks, Table, make_table

_NOTE = (
    "Percent. Ours: mean over the seeds, with a 95% interval over seeds and clips. Published: as printed in the paper, on its "
    "own data and machines."
)
_FEW_SEEDS = 5  # below, a note says that the interval is rough; our choice


def table_of(table: PaperTable, rows: Sequence[FinishedRow]) -> Table:
    """The cells: labels, then for each figure ours and the published one, then the seeds and what is missing."""
    labels = [Column(head, partial(_label, place)) for place, head in enumerate(table.heads)]
    figures = [column for figure in table.figures for column in _columns(figure)]
    seeds = Column("seeds", lambda item: len(item.reports), format=COUNT)
    state = Column("state", lambda item: item.state, format=TEXT)
    return make_table([*labels, *figures, seeds, state], rows, lambda _: Marks()).without_empty_columns()


def _label(place: int, item: FinishedRow) -> str:
    return item.row.labels[place]


def _columns(figure: str) -> tuple[Column, Column]:
    """Of a figure: ours, and the published one."""

    def ours(item: FinishedRow) -> float | None:
        return item.figures[figure].value

    def interval(item: FinishedRow) -> tuple[float, float] | None:
        return item.figures[figure].interval

    def published(item: FinishedRow) -> float | None:
        return item.row.published.get(figure)

    title = figure_title(figure)
    return (
        Column(title, ours, interval, SCORE, subtitle="ours", name=f"{figure}.ours", is_ranked=True),
        Column(title, published, format=SCORE, subtitle="published", name=f"{figure}.published"),
    )


def notes_of_table(table: PaperTable, rows: Sequence[FinishedRow], base: str) -> list[str]:
    """What a reader must know: where our figures come from, and what they are not."""
    reports = [report for item in rows for report in item.reports]
    notes = [_NOTE]
    banner = banner_of(Report(table.title, tuple(reports)))
    if banner:
        notes.insert(0, f"{banner}: the published figures are of other data.")
    counts = {len(item.reports) for item in rows if item.reports}
    if counts and max(counts) == 1:
        notes.append("One seed tells nothing of the spread between trainings: its interval is over clips alone.")
    elif counts and min(counts) < _FEW_SEEDS:
        told = "One seed is" if min(counts) == 1 else f"{min(counts)} seeds are"
        notes.append(f"{told} few, so the spread between trainings is known roughly only.")
    if reports:
        notes.append(" ".join(_made_by(reports, base)))
    return [*notes, table.note] if table.note else notes


def _made_by(reports: Sequence[ReportRow], base: str) -> list[str]:
    """Device, number type, seeds, taxonomy, extractor and versions, each with every value that occurs."""

    def every(value: Callable[[Mapping[str, Any]], Any]) -> str:
        found = dict.fromkeys(str(value(report.provenance)) for report in reports)
        return ", ".join(text for text in found if text and text != "None")

    versions = every(lambda made: ", ".join(f"{name} {number}" for name, number in made.get("versions", {}).items()))
    parts = {
        "Base": base,
        "Device and number type": every(lambda made: "; ".join(made.get("made on", ()))),
        "Seeds": every(lambda made: made.get("seed")),
        "Taxonomy": every(lambda made: (made.get("taxonomy") or {}).get("name", "")),
        "Label extractor": every(lambda made: made.get("extractor", "")),
        "Versions": versions,
    }
    return [f"{name}: {text}." for name, text in parts.items() if text]


def write_pages(table: PaperTable, rows: Sequence[FinishedRow], base: str, folder: Path) -> list[Path]:
    """Write the table in every form into a folder.

    Returns:
        The files: .md, .tex, .html and .csv; .svg and .png of a table that is drawn.

    Raises:
        OSError: The system refuses.
        DataError: A drawing cannot be written.
    """
    cells, notes = table_of(table, rows), notes_of_table(table, rows, base)
    drawn = draw_table(table, rows, notes, folder)
    picture = next((path.name for path in drawn if path.suffix == ".svg"), "")
    page = templates().get_template("paper_table.html")
    html = page.render(title=table.title, table=render_html(cells), notes=notes, picture=picture)
    markdown = [f"# {markdown_text(table.title)}", "", render_markdown(cells), "", *map(markdown_text, notes)]
    if picture:
        markdown += ["", f"![{markdown_text(table.title)}]({picture})"]
    forms = {
        "md": "\n".join(markdown) + "\n",
        "tex": render_latex(cells, " ".join([f"{table.title}.", *notes])),
        "html": html,
        "csv": render_csv(cells),
    }
    files = {folder / f"{table.name}.{ending}": text.encode("utf-8") for ending, text in forms.items()}
    write_whole_files(files, durable=False)
    return [*files, *drawn]
