"""Reports: the three files and their parts, their atomicity, and the comparison of runs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from affect_lightning.errors import DataError
from affect_lightning.unibench.report.content import (
    MAX_POINTS,
    Curve,
    ReferenceRow,
    Report,
    ReportRow,
    bound_rows,
    read_loss_curves,
)
from affect_lightning.unibench.report.examples import Example, choose_examples
from affect_lightning.unibench.report.figures import curve_figure
from affect_lightning.unibench.report.files import compare_runs, read_report, write_report
from affect_lightning.unibench.report.provenance import collect_provenance, provenance_lines
from affect_lightning.unibench.scoring.predictions import WritingError, write_files
from affect_lightning.unibench.scoring.set_scoring import SetScore, SuiteScores

REPORT_FILES = ["outcomes.jsonl", "report.csv", "report.html", "report.json", "report.md", "report.tex"]
BOUNDS = {"scores": {"meld": {"face": 0.4, "face+voice": 0.9}, "mean": {"face": 0.41, "face+voice": 0.91}}}
VOID_TAGS = {"meta", "img", "br", "hr"}
SCORE_FIGURE, LOSS_FIGURE = 1, 1


class PageChecker(HTMLParser):
    """Collects the text, the tags and what the page would load; every tag must be closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID_TAGS and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in {"line", "polyline", "path", "circle", "rect"}:
            raise AssertionError(f"</{tag}> closes {self.open}")

    def handle_data(self, data: str) -> None:
        self.text += data


def check_page(path: Path) -> PageChecker:
    page = PageChecker()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    assert all(source.startswith(("#", "data:image/jpeg;base64,")) for source in page.sources), "no external resource"
    return page


def set_score(key: str, title: str, score: float | None) -> SetScore:
    wheels = (8, 8, 7, 8, 6)
    return SetScore(key, title, "hit_rate", score, {"M-score": score}, 10, 7, wheels, 1, 1.5, 2610)


def suite(score: float | None) -> SuiteScores:
    sets = {
        "meld": set_score("meld", "MELD", score),
        "mine": replace(set_score("mine", "mine", 12.0), official_clips=None),
    }
    return SuiteScores(sets, "builtin", "ab" * 32, "rules 1")


def example(name: str, hit: bool | None, corpus: str = "meld", response: str = "I see <b>joy</b> & anger.") -> Example:
    return Example(
        name,
        corpus,
        "So?",
        "What does the person feel?",
        response,
        ("joy",),
        "",
        "anger",
        hit,
        ("data:image/jpeg;base64,AA",),
    )


def row(name: str, score: float | None = 55.5) -> ReportRow:
    scores = suite(score)
    provenance = collect_provenance(
        scores,
        checkpoint="last.ckpt",
        checkpoint_rule="the last one",
        quarantined=[{"name": f"bad{number}", "reason": "truncated"} for number in range(7)],
        seed=3,
    )
    curve = Curve("train/loss", ((0, 3.0), (10, 2.0), (20, 1.5)))
    return ReportRow(name, scores, provenance, (curve,), (example("clip|1", True), example("clip2", None)))


@pytest.fixture
def report() -> Report:
    bounds = (ReferenceRow("bound: face", {"meld": 40.0}, 41.0),)
    return Report("MER-UniBench: <test> | pipes", (row("before", 20.25), row("after")), bounds)


def test_the_three_files_say_the_same(tmp_path: Path, report: Report) -> None:
    paths = write_report(report, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == REPORT_FILES
    assert read_report(tmp_path / "run") == report
    content = json.loads(paths[0].read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("affect-lightning report", 1)
    assert [entry["mean"] for entry in content["rows"]] == [20.25, 55.5]
    assert content["rows"][1]["sets"]["meld"]["scored_clips_per_wheel"] == [8, 8, 7, 8, 6]
    provenance = content["rows"][1]["provenance"]
    assert provenance["taxonomy"] == {"name": "builtin", "sha256": "ab" * 32}
    assert (provenance["seed"], provenance["checkpoint_rule"], len(provenance["quarantined"])) == (3, "the last one", 7)
    markdown, page = paths[1].read_text(encoding="utf-8"), check_page(paths[2])
    for text in (
        "20.25",
        "55.50",
        "40.00",
        "bound: face",
        "55.50 (1 of 9 sets)",
        "6 to 8 by wheel",
        "SHA-256 abababab",
    ):
        assert text in markdown
        assert text in page.text
    assert "| before | 20.25 (M 20.2, 1.5 labels) | 12.00 (M 12.0, 1.5 labels) | 20.25 (1 of 9 sets) |" in markdown
    assert "bad4 (truncated); and 2 more, see report.json" in page.text


def test_the_page_shows_each_clip_once_with_all_answers(tmp_path: Path, report: Report) -> None:
    page = check_page(write_report(report, tmp_path)[2])
    assert page.tags.count("article") == 2
    assert page.tags.count("img") == 2
    assert page.tags.count("svg") == SCORE_FIGURE + LOSS_FIGURE
    assert page.tags.count("polyline") == 4
    assert "I see <b>joy</b> & anger." in page.text, "responses are shown as written, not as mark-up"
    assert page.text.count("not scored") == 2
    assert "before: train/loss" in page.text


def test_scores_that_do_not_exist_are_shown_as_such(tmp_path: Path) -> None:
    bare = ReportRow("bare", SuiteScores({"meld": set_score("meld", "MELD", None)}, "t", "0", "e"))
    paths = write_report(Report("empty", (bare,)), tmp_path)
    assert "| bare | – | – (0 of 9 sets) |" in paths[1].read_text(encoding="utf-8")
    page = check_page(paths[2])
    assert "svg" not in page.tags
    assert "article" not in page.tags
    with pytest.raises(DataError, match="Give at least one run with scores"):
        write_report(Report("none", ()), tmp_path)


def refuse(number: int, code: int) -> Callable[..., None]:
    """A stand-in for fsync that fails at its n-th call."""
    calls: Iterator[int] = iter(range(1, 100))

    def sync(descriptor: int) -> None:
        if next(calls) == number:
            raise OSError(code, os.strerror(code))

    return sync


@pytest.mark.parametrize("number", [1, 2, 3, 6])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(number, errno.ENOSPC))
    with pytest.raises(
        WritingError, match=r"\.\w+ could not be written: No space left on device. Free space or choose another folder"
    ):
        write_report(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(report, tmp_path)
    monkeypatch.setattr(os, "fsync", refuse(2, errno.ENOSPC))
    with pytest.raises(WritingError):
        write_report(replace(report, title="new"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == REPORT_FILES
    assert read_report(tmp_path) == report


def test_a_really_full_device_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(Path, "with_name", lambda self, name: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok: None)
    with pytest.raises(WritingError, match=r"a\.txt could not be written: No space left on device"):
        write_files({tmp_path / "a.txt": "text"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_explained(tmp_path: Path, report: Report) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(WritingError, match=r"report.json could not be written"):
        write_report(report, tmp_path / "run")


def test_runs_are_compared(tmp_path: Path, report: Report) -> None:
    for name, score in (("a", 20.0), ("b", 60.0)):
        write_report(replace(report, rows=(row("same name", score),)), tmp_path / name)
    folders = [tmp_path / "a", tmp_path / "b" / "report.json"]
    compare_runs(folders, tmp_path / "both", names=["before training", "after training"])
    both = read_report(tmp_path / "both")
    assert [(entry.name, entry.scores.mean) for entry in both.rows] == [
        ("before training", 20.0),
        ("after training", 60.0),
    ]
    assert both.bounds == report.bounds
    compare_runs(folders, tmp_path / "unnamed")
    names = [entry.name for entry in read_report(tmp_path / "unnamed").rows]
    assert names == ["same name", "same name (report.json, 2)"]
    with pytest.raises(DataError, match="Got 1 names for 2 runs"):
        compare_runs(folders, tmp_path, names=["one"])
    with pytest.raises(DataError, match="Give at least one run folder"):
        compare_runs([], tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"There is no report .*report.json \(No such file or directory\). `affect-lightning test` writes it"),
        ("{", r"report.json is not a JSON file"),
        ("[]", r"report.json is not a report of affect-lightning: its format is not 'affect-lightning report'"),
        ('{"format": "affect-lightning report", "version": 9}', r"has version 9 of the report's format, expected 1"),
        ('{"format": "affect-lightning report", "version": 1}', r"report.json is a damaged report: KeyError\('rows'\)"),
    ],
)
def test_broken_reports_are_explained(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_report(tmp_path)


def test_bounds_are_read_from_the_corpus(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps({"bounds": BOUNDS}), encoding="utf-8")
    face, both = bound_rows(path)
    assert (face.name, face.scores, face.mean) == ("bound: face", {"meld": 40.0}, 41.0)
    assert (both.name, both.mean) == ("bound: face + voice", 91.0)
    path.write_text(json.dumps({"bounds": {"scores": {"meld": {"face": "much"}}}}), encoding="utf-8")
    with pytest.raises(DataError, match=r"corpus.json has no table `bounds.scores` of fractions"):
        bound_rows(path)
    with pytest.raises(DataError, match=r"nowhere.json cannot be read"):
        bound_rows(tmp_path / "nowhere.json")


def test_loss_curves_come_out_of_event_files(tmp_path: Path) -> None:
    assert read_loss_curves(tmp_path) == []
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(2 * MAX_POINTS):
            writer.add_scalar("train/loss", 1.0 / (1 + step), step)
        writer.add_scalar("validation_loss", float("nan"), 0)
        writer.add_scalar("validation_loss", 0.5, 1)
        writer.add_scalar("learning_rate", 1e-5, 0)
    curves = read_loss_curves(tmp_path)
    assert [curve.name for curve in curves] == ["train/loss", "validation_loss"]
    assert len(curves[0].points) == MAX_POINTS
    assert curves[0].points[0] == (0, 1.0)
    assert curves[0].points[-1][0] == 2 * MAX_POINTS - 1
    assert curves[1].points == ((1, 0.5),)
    figure = curve_figure([Curve("a", ((5, 0.0),))])
    assert figure is not None
    assert [(line["raw"], line["mean"]) for line in figure["lines"]] == [("52.0,260.0", "52.0,260.0")]
    assert curve_figure([]) is None


def test_examples_take_turns_between_the_sets() -> None:
    examples = [example(f"clip{number}", True, corpus) for corpus in ("sims", "meld") for number in (2, 0, 1)]
    chosen = [(item.corpus, item.name) for item in choose_examples(examples, 3)]
    assert chosen == [("meld", "clip0"), ("meld", "clip1"), ("sims", "clip0")]
    assert choose_examples([], 3) == []


def test_provenance_leaves_out_what_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "17")
    provenance = collect_provenance(suite(1.0), checkpoint="a", checkpoint_rule="b")
    lines = dict(provenance_lines(provenance))
    assert (lines["seed"], lines["quarantined clips"], lines["checkpoint"]) == ("17", "none", "a")
    assert "torch" in lines["packages"]
    assert lines["metrics"] == "MELD hit rate, mine hit rate"
    monkeypatch.delenv("PL_GLOBAL_SEED")
    assert collect_provenance(suite(1.0), checkpoint="a", checkpoint_rule="b")["seed"] is None
    assert provenance_lines({}) == []
