"""Names, responses and everything else that comes from files, in every form of a report: shown, never executed."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from affect_lightning.command_line.terminal import render_terminal
from affect_lightning.unibench.report.columns import score_table
from affect_lightning.unibench.report.content import Curve, ReferenceRow, Report
from affect_lightning.unibench.report.files import write_report
from affect_lightning.unibench.report.published import PublishedRow
from affect_lightning.unibench.report.renderers import render_html, templates
from affect_lightning.unibench.report.tables import SCORE, Column, make_table
from affect_lightning.unibench.statistics.paired_tests import PairedTest
from report_cases import generated_row

NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}{% raw %}&amp;|\\|$x_1^2#~ %"
ALLOWED = {"class", "style", "title", "id", "href", "src", "alt", "role", "open", "charset", "name", "content", "lang"}


class Page(HTMLParser):
    """Tags, attributes and text as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def nasty_report() -> Report:
    """Every text that can come from outside is NASTY."""
    row = generated_row("plain", 1, 0.4)
    scores = row.scores
    meld = scores.sets["meld"]
    assert meld.confusion is not None
    named = replace(meld.confusion, title=NASTY, truths=(NASTY, *meld.confusion.truths[1:]))
    sets = {**scores.sets, "meld": replace(meld, title=NASTY, confusion=named, extractor=NASTY)}
    fields = ("name", "subtitle", "question", "response", "sentiment", "truth", "corpus")
    example = replace(row.examples[0], labels=(NASTY, "sad"), **dict.fromkeys(fields, NASTY))
    provenance = {
        **row.provenance,
        "checkpoint": NASTY,
        "extractor": NASTY,
        "metrics": {NASTY: NASTY},
        "quarantined": [{"name": NASTY, "reason": NASTY, "corpus": "meld"}],
    }
    curve = Curve(NASTY, ((0, 1.0), (1, 0.5)))
    scored = replace(scores, sets=sets, extractor=NASTY, taxonomy=NASTY)
    rows = [
        replace(row, name=name, scores=scored, provenance=provenance, curves=(curve,), examples=(example,))
        for name in (NASTY, f"=HYPERLINK({NASTY})")
    ]
    test = PairedTest(NASTY, rows[1].name, "meld", 60, 1.0, (0.5, 1.5), 0.01, 0.01, 1, 2, 0.5, 0.5, note=NASTY)
    published = PublishedRow(NASTY, NASTY, NASTY, ("newer",), NASTY, 50.0, {"meld": 1.0}, note=NASTY)
    return Report(NASTY, tuple(rows), (ReferenceRow(NASTY, {"meld": 1.0}, 2.0),), (published,), (test,))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nasty")
    write_report(nasty_report(), folder)
    return folder / "report"


def test_the_page_shows_everything_and_runs_nothing(base: Path) -> None:
    page = Page()
    page.feed(base.with_suffix(".html").read_text(encoding="utf-8"))
    page.close()
    assert not page.tags & {"script", "iframe", "object", "link", "form", "base"}
    assert not {name for name in page.attributes if name.startswith("on")}
    drawing = set(page.attributes) - ALLOWED
    assert all(re.fullmatch(r"[a-z-]*\d?|viewbox", name) for name in drawing)
    assert page.attributes["src"] == {
        "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="
    }
    assert all(address.startswith("#") for address in page.attributes["href"])
    assert not {style for style in page.attributes["style"] if not re.fullmatch(r"[\w:;%.() -]+", style)}
    assert page.text.count(NASTY) > 30, "it is shown as it was written"
    assert any(NASTY in text for text in page.attributes["title"])
    assert any(NASTY in text for text in page.attributes["aria-label"])
    assert "49" not in {line.strip() for line in page.text.splitlines()}, "no template out of data"


def test_the_address_of_a_picture_cannot_leave_its_attribute(base: Path) -> None:
    report = nasty_report()
    example = replace(report.rows[0].examples[0], pictures=('x" onerror="alert(1)',))
    folder = base.parent / "pictures"
    write_report(replace(report, rows=(replace(report.rows[0], examples=(example,)),), tests=()), folder)
    page = Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    assert 'x" onerror="alert(1)' in page.attributes["src"]
    assert "onerror" not in page.attributes


def test_markdown_keeps_its_tables(base: Path) -> None:
    text = base.with_suffix(".md").read_text(encoding="utf-8")
    assert "<" not in text.replace("&lt;", "").replace("p < 0", "").replace("| < 0.001", "")
    lines = text.splitlines()
    tables = [index for index, line in enumerate(lines) if set(line) <= set("|-:") and line]
    assert len(tables) == 4
    for index in tables:
        wanted = lines[index].count("|")
        end = next(place for place in range(index, len(lines)) if not lines[place])
        for line in lines[index - 1 : end]:
            assert len(re.findall(r"\|", re.sub(r"\\.", "", line))) == wanted, line


def test_latex_has_no_character_of_the_data_that_acts(base: Path) -> None:
    text = base.with_suffix(".tex").read_text(encoding="utf-8")
    rest = re.sub(r"\\[a-zA-Z]+\*?|\\[&%$#_{}\\]", "", text.split("\n", 1)[1])
    assert not re.search(r"[%#~]", rest)
    assert rest.count("$") == rest.count(r"$^$") * 2 + rest.count("$F_S$") * 2
    assert rest.count("{") == rest.count("}")


def test_csv_has_no_formula_and_keeps_quotes(base: Path) -> None:
    with base.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert [row[0] for row in rows[1:]] == [NASTY, f"'=HYPERLINK({NASTY})", NASTY, NASTY]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t", "\r"))]
    numbers = [cell for row in rows for cell in row if cell.startswith("-")]
    assert all(re.fullmatch(r"-?[\d.e-]+", cell) for cell in numbers)


def test_every_template_escapes() -> None:
    assert templates().autoescape is True
    table = make_table([Column(NASTY, str, subtitle=NASTY), Column("b", lambda row: 1.5, format=SCORE)], [NASTY])
    page = Page()
    page.feed(render_html(table))
    assert page.tags == {"div", "table", "thead", "tbody", "tr", "th", "td", "small"}
    assert page.text.count(NASTY) == 3


def test_a_newline_in_a_name_breaks_no_line(tmp_path: Path) -> None:
    row = replace(generated_row("x"), name="two\nlines")
    write_report(Report("a\nb", (row,)), tmp_path)
    assert "\n| two lines | " in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "\ntwo lines & " in (tmp_path / "report.tex").read_text(encoding="utf-8")
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["model"] == "two\nlines"
    assert "two" in render_terminal(score_table(Report("t", (row,))))
