"""The datasheet of a data set: what is in it, how it came about, what it may be used for, and its limits.

Paper: Section 2, Figures 2, 7 and 8 describe MER-Caption+ in this way; the questions are those of "Datasheets for Datasets"
(Gebru et al., 2021). It is written as Markdown, and as one HTML page in the style of the reports. Every text of a table or a
user is escaped. Neighbours: `datasheet_figures.py`, `writing.py`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affect_lightning.annotation.exporting import datasheet_figures as figures
from affect_lightning.annotation.exporting.contents import Contents, known_limits
from affect_lightning.annotation.tables import StageRecord
from affect_lightning.storage import write_whole
from affect_lightning.unibench.report.renderers import markdown_text, templates

FIGURES = "figures"  # folder, beside the datasheet
TOP_LABELS = 20  # in the table of labels; our choice
UNSTATED = "Not stated. Export again with {option} to state it."


@dataclass(frozen=True)
class Statements:
    """What only the people who publish a data set can say of it; an empty text is shown as not stated.

    Attributes:
        title: Of the data set.
        source: Where the clips come from.
        license: Under which others may use it.
        use: What it is meant for.
        contact: Whom to ask.
    """

    title: str = "clips"
    source: str = ""
    license: str = ""
    use: str = ""
    contact: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure of the datasheet.

    Attributes:
        name: Of its file, without the ending.
        caption: Below it.
        draw: Draws it into a file.
    """

    name: str
    caption: str
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Section:
    """A part of the datasheet; each of its parts may be empty.

    Attributes:
        title: Its heading.
        paragraphs: Sentences.
        terms: Terms with their texts, in groups with a heading.
        header: Of its table.
        rows: Of its table.
        points: Of a list.
        drawings: Figures.
    """

    title: str
    paragraphs: Sequence[str] = ()
    terms: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    points: Sequence[str] = ()
    drawings: Sequence[Drawing] = field(default=())


def sections_of(contents: Contents, statements: Statements) -> list[Section]:
    """The datasheet in parts."""
    return [
        _summary(contents, statements),
        _stages(contents),
        _distributions(contents),
        _labels(contents),
        _provenance(contents),
        Section("Known limits", points=known_limits(contents)),
    ]


def _summary(contents: Contents, statements: Statements) -> Section:
    clips = contents.clips
    rows = [("clips in the table", contents.table.clips), ("clips in the data set", clips.clips)]
    rows += [(f"left out: {reason}", count) for reason, count in contents.left_out.items() if count]
    rows += [(name, count) for name, count in contents.written.counts.items()]
    rows += [("clips with a video file", clips.videos), ("clips with a sound file of their own", clips.sounds)]
    rows.append(("clips with a subtitle", clips.subtitles))
    table = [(name, f"{count:,}") for name, count in rows]
    if clips.lengths:
        mean, deviation = figures.mean_and_deviation(clips.lengths)
        table.append(("words of a description", f"{mean:.1f} +- {deviation:.1f}"))
    if contents.seconds:
        table.append(("seconds of a clip", f"{np.mean(contents.seconds):.1f} +- {np.std(contents.seconds):.1f}"))
    given = (("Source of the clips", "source"), ("License", "license"), ("Intended use", "use"), ("Contact", "contact"))
    terms = [(title, getattr(statements, name) or UNSTATED.format(option=f"--{name}")) for title, name in given]
    terms += [("Format", contents.layout), ("Exported", f"{contents.time}, affect-lightning {contents.version}")]
    return Section(
        "What is in it", terms=[("", terms)], header=("", "number"), rows=table, points=contents.written.notes
    )


def _stages(contents: Contents) -> Section:
    counts = contents.table.stages
    if not counts:
        return Section("Counts at each stage", ["No filter has run: every clip of the table stays."])
    rows = [(one.stage, f"{one.dropped:,}", f"{one.undecided:,}", f"{one.left:,}") for one in counts]
    bars = [("table", contents.table.clips), *((one.stage, one.left) for one in counts)]
    bars.append(("data set", contents.clips.clips))
    drawing = Drawing(
        "stages", "Clips that are left after each filter (as in Figure 2 of the paper).",
        lambda path: figures.draw_stages(path, bars),
    )  # fmt: skip
    return Section(
        "Counts at each stage",
        header=("filter", "drops", "cannot tell", "left after it"),
        rows=[("table", "", "", f"{contents.table.clips:,}"), *rows],
        drawings=[drawing],
    )


def _distributions(contents: Contents) -> Section:
    clips, drawings = contents.clips, []
    lengths, before, counts = clips.lengths, contents.lengths_before, clips.labels_a_clip
    if lengths:
        drawings.append(
            Drawing(
                "lengths", "Length of the descriptions in words (as in Figure 7 of the paper, first row).",
                lambda path: figures.draw_description_lengths(path, before, lengths),
            )
        )  # fmt: skip
    if any(counts):
        drawings.append(
            Drawing(
                "labels", "Labels of a clip (as in Figure 7 of the paper, second row).",
                lambda path: figures.draw_label_counts(path, counts),
            )
        )  # fmt: skip
    seconds = contents.seconds
    if seconds:
        measured = "" if len(seconds) == clips.clips else f" Measured on {len(seconds):,} of the {clips.clips:,} clips."
        drawings.append(
            Drawing(
                "durations", f"Duration of the clips (as in Figure 8 of the paper).{measured}",
                lambda path: figures.draw_durations(path, seconds),
            )
        )  # fmt: skip
    return Section("Distributions", [] if drawings else ["There is nothing to draw."], drawings=drawings)


def _labels(contents: Contents) -> Section:
    counts = contents.clips.labels
    if not counts:
        return Section("Labels", ["The clips have no labels."])
    labelled = contents.clips.labelled
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_LABELS]
    taxonomy, wheel = contents.taxonomy, contents.wheel
    rows = [
        (label, f"{count:,}", f"{count / labelled:.1%}", taxonomy.sector(label, wheel) or "on no sector")
        for label, count in ordered
    ]
    sectors = figures.labels_by_sector(counts, taxonomy, wheel)
    drawings = []
    if sectors:
        caption = (
            f"The labels on wheel {wheel} of the taxonomy {taxonomy.name}. Inner ring: sectors, as wide as their share of all "
            f"labels on the wheel. Outer ring: their most frequent labels."
        )
        drawings.append(Drawing("wheel", caption, lambda path: figures.draw_label_wheel(path, sectors)))
    sentence = f"{len(counts):,} different labels on {labelled:,} clips. The {len(rows)} most frequent ones:"
    header = ("label", "clips", "share of the labelled clips", f"sector of wheel {wheel}")
    return Section("Labels", [sentence], header=header, rows=rows, drawings=drawings)


def _provenance(contents: Contents) -> Section:
    records = contents.records
    if not records:
        return Section(
            "How it came about", ["The table has no records of stages, so it is not known how its columns came about."]
        )
    terms = [(f"{number}. {record.stage}", _terms(record)) for number, record in enumerate(records, start=1)]
    return Section("How it came about", terms=terms)


def _terms(record: StageRecord) -> list[tuple[str, str]]:
    options = ", ".join(f"{name}={value}" for name, value in record.options.items())
    columns = ", ".join(record.columns)
    terms = [("time", record.time), ("affect-lightning", record.version), ("clips", f"{record.clips:,}")]
    terms += [("columns", columns), ("options", options), *record.parts.items()]
    return [(name, str(text)) for name, text in terms if text]


def write_datasheet(folder: Path, contents: Contents, statements: Statements) -> None:
    """Write the figures, `datasheet.md` and `datasheet.html` into a folder."""
    sections = sections_of(contents, statements)
    (folder / FIGURES).mkdir()
    pictures = {}
    for drawing in (drawing for section in sections for drawing in section.drawings):
        path = folder / FIGURES / f"{drawing.name}.svg"
        drawing.draw(path)
        pictures[drawing.name] = base64.b64encode(path.read_bytes()).decode("ascii")
    title = f"Datasheet: {statements.title}"
    write_whole(folder / "datasheet.md", markdown_of(title, sections), durable=False)
    write_whole(folder / "datasheet.html", html_of(title, sections, pictures), durable=False)


def markdown_of(title: str, sections: Sequence[Section]) -> str:
    """The datasheet as GitHub-flavoured Markdown."""
    lines = [f"# {plain_markdown(title)}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [plain_markdown(paragraph), ""]
        for heading, terms in section.terms:
            lines += [f"### {plain_markdown(heading)}", ""] if heading else []
            lines += [f"- **{plain_markdown(term)}:** {plain_markdown(text)}" for term, text in terms] + [""]
        if section.rows:
            lines += [_markdown_row(section.header), "|" + "---|" * len(section.header)]
            lines += [_markdown_row(row) for row in section.rows] + [""]
        lines += [f"- {plain_markdown(point)}" for point in section.points] + [""] * bool(section.points)
        for drawing in section.drawings:
            lines += [f"![{drawing.name}]({FIGURES}/{drawing.name}.svg)", ""]
            lines += [plain_markdown(drawing.caption), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(plain_markdown, cells))} |"


def plain_markdown(text: str) -> str:
    r"""Text in one line that is shown as it is, whatever mark-up is in it.

    >>> print(plain_markdown("[a](b) *c* `d` & e"))
    \[a\](b) \*c\* \`d\` &amp; e
    """
    return re.sub(r"([\[\]*_#~`])", r"\\\1", markdown_text(text.replace("&", "&amp;")))


def html_of(title: str, sections: Sequence[Section], pictures: Mapping[str, str]) -> str:
    """The datasheet as one page without external resources.

    Args:
        title: Of the page.
        sections: Its parts.
        pictures: The figures as base64 of their SVG, by name.
    """
    from jinja2 import ChoiceLoader, PackageLoader

    report = templates()
    own = PackageLoader(__name__.rpartition(".")[0], ".")
    assert report.loader is not None
    environment = report.overlay(loader=ChoiceLoader([own, report.loader]))
    return str(
        environment.get_template("datasheet.html").render(
            title=title, parts=[(re.sub(r"\W+", "-", part.title.lower()), part) for part in sections], pictures=pictures
        )
    )
