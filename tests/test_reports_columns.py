"""Columns of other packages: the walk of docs/reports.md as an outside package, every form, and what is refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.errors import PluginError
from affect_lightning.unibench.callback import BenchmarkCallback
from affect_lightning.unibench.report.columns import installed_columns
from affect_lightning.unibench.report.content import Report
from affect_lightning.unibench.report.files import write_report
from installed_parts import distribution
from report_cases import finished_runs, generated_row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reports.md"
ROW = generated_row("mine", 1, 0.4)
HEAD = "from affect_lightning.unibench.report.tables import COUNT, SCORE, Column\n"


def blocks() -> dict[str, str]:
    """The page's code blocks by the file that they stand for."""
    found = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return dict(found)


@contextmanager
def installed(folder: Path, module: str, points: dict[str, str], name: str = "my-columns") -> Iterator[None]:
    folder.mkdir()
    (folder / "my_columns.py").write_text(module, encoding="utf-8")
    with distribution(folder, name, {"report_columns": points}):
        yield


def test_the_walk_adds_a_column_to_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One module and one entry, as the page has them; nothing of affect-lightning is touched."""
    files = blocks()
    assert sorted(files) == ["my_columns.py", "pyproject.toml"]
    (point,) = re.findall(r'^([\w-]+) = "([\w.]+:\w+)"$', files["pyproject.toml"], re.MULTILINE)
    assert '[project.entry-points."affect_lightning.report_columns"]' in files["pyproject.toml"]
    weak, strong = map(str, finished_runs(tmp_path))
    longest = max(len(clip.labels) for clip in generated_row("weak", 1, 0.3).scores.sets["meld"].outcomes)
    with installed(tmp_path / "package", files["my_columns.py"], dict([point])):
        assert main(["report", weak, strong, "--out", str(tmp_path / "both"), "--columns", point[0]]) == 0
        base = tmp_path / "both" / "report"
        with base.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            assert next(csv.DictReader(file))["meld.longest list"] == str(longest)
        markdown = base.with_suffix(".md").read_text(encoding="utf-8")
        heads = [line for line in markdown.splitlines() if "| longest list |" in line]
        assert len(heads) == 2, "the details of both runs"
        page = base.with_suffix(".html").read_text(encoding="utf-8")
        assert page.count('<th class="">longest list</th>') == 2
        assert f"longest list {longest}" not in page, "a cell, not a part of another one"
        words = ["score", "--dataset", "meld", "--predictions", predictions(tmp_path), "--out", str(tmp_path / "score")]
        capsys.readouterr()
        assert main([*words, "--columns", point[0]]) == 0
        assert re.search(r"^longest list +2$", capsys.readouterr().out, re.MULTILINE)


def predictions(folder: Path) -> str:
    path = folder / "predictions.jsonl"
    clip = '{"name": "%s", "corpus": "meld", "question": "", "response": "happy and sad", "truth_labels": ["happy"]}\n'
    path.write_text(clip % "a" + clip % "b", encoding="utf-8")
    return str(path)


def test_a_column_of_runs_stands_in_the_table_of_scores(tmp_path: Path) -> None:
    module = HEAD + (
        "SEED = Column('a_seed', lambda run: 10 + run.provenance['seed'], lambda run: (9.0, 12.0), SCORE, about='run')\n"
    )
    with installed(tmp_path / "package", module, {"seed": "my_columns:SEED"}):
        write_report(Report("t", (ROW,)), tmp_path, published=["Otter"], columns=["seed", "seed"])
    base = tmp_path / "report"
    assert "| mean | a_seed |" in base.with_suffix(".md").read_text(encoding="utf-8")
    assert " | 11.00 [9.0, 12.0] |\n" in base.with_suffix(".md").read_text(encoding="utf-8")
    tex = base.with_suffix(".tex").read_text(encoding="utf-8")
    assert r"mean & a\_seed \\" in tex
    assert re.search(r"^mine & .* & 11\.00 \\\\$", tex, re.MULTILINE)
    assert '<th class="">a_seed</th>' in base.with_suffix(".html").read_text(encoding="utf-8")
    with base.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        first, published = csv.DictReader(file)
    assert [first[f"a_seed{end}"] for end in ("", ".low", ".high")] == ["11", "9.0", "12.0"]
    assert (published["model"], published["a_seed"]) == ("Otter (V+T)", "")


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("7", r"column 'mine' of my-columns \(my_columns:MINE\) must be a .*tables.Column, found 7"),
        ("1 / 0", r"'mine' of my-columns .* cannot be imported: ZeroDivisionError: division by zero. Fix or reinstall"),
        ("exit(0)", r"'mine' of my-columns .* cannot be imported: SystemExit: 0"),
        ("Column('mean', len)", r"has the title 'mean', which is taken or empty. Give it one of its own"),
        ("Column('clips', len)", r"has the title 'clips', which is taken"),
        ("Column('', len)", r"has the title '', which is taken or empty"),
        ("Column('x', lambda item: item.nothing)", r"failed for mine, MELD: AttributeError: 'ScoredSet' object has no"),
        ("Column('x', lambda item: float('nan'))", r"gave nan for mine, MELD; it must give a finite number or a text"),
        ("Column('x', lambda item: True)", r"gave True for mine, MELD"),
        ("Column('x', lambda item: [1])", r"gave \[1\] for mine, MELD"),
        (
            "Column('x', lambda item: 1, lambda item: 3)",
            r"gave 3 for mine, MELD; it must give a tuple of two finite num",
        ),
        ("Column('x', lambda run: 1 / 0, about='run')", r"failed for mine: ZeroDivisionError: division by zero"),
    ],
)
def test_a_column_that_does_not_work_is_named(tmp_path: Path, definition: str, message: str) -> None:
    with (
        installed(tmp_path / "package", f"{HEAD}MINE = {definition}\n", {"mine": "my_columns:MINE"}),
        pytest.raises(PluginError, match=message),
    ):
        write_report(Report("t", (ROW,)), tmp_path / "out", columns=["mine"])
    assert not (tmp_path / "out").exists()


def test_an_unknown_column_is_refused_before_anything_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with installed(tmp_path / "package", f"{HEAD}MINE = Column('x', len)\n", {"mine": "my_columns:MINE"}):
        with pytest.raises(
            PluginError, match=r"no report column 'mime'. Did you mean 'mine'\? Installed: mine. A report"
        ):
            installed_columns(["mime"])
        callback = BenchmarkCallback(columns=["mime"])
        with pytest.raises(PluginError, match="There is no report column 'mime'"):
            callback.setup(None, None, "test")  # type: ignore[arg-type]
        words = ["score", "--dataset", "meld", "--predictions", str(tmp_path / "nowhere"), "--columns", "mime"]
        assert main(words) == 2
        assert "There is no report column 'mime'" in capsys.readouterr().err
    with pytest.raises(PluginError, match=r"no report column 'mine'. Installed: none"):
        installed_columns(["mine"])


def test_two_packages_with_one_name_are_both_named(tmp_path: Path) -> None:
    module = f"{HEAD}MINE = Column('x', len)\nOTHER = Column('y', len)\n"
    with (
        installed(tmp_path / "first", module, {"mine": "my_columns:MINE"}),
        installed(tmp_path / "second", module, {"mine": "my_columns:OTHER"}, "other-columns"),
        pytest.raises(PluginError, match=r"'mine' is offered by .* and .*\. Uninstall one of them, or rename") as error,
    ):
        installed_columns(["mine"])
    assert "my-columns (my_columns:MINE)" in str(error.value)
    assert "other-columns (my_columns:OTHER)" in str(error.value)


def test_two_columns_of_one_title_are_refused(tmp_path: Path) -> None:
    module = f"{HEAD}MINE = Column('x', len)\nOTHER = Column('x', len)\n"
    points = {"mine": "my_columns:MINE", "other": "my_columns:OTHER"}
    with (
        installed(tmp_path / "package", module, points),
        pytest.raises(PluginError, match="column 'other' of .* has the title 'x', which is taken"),
    ):
        installed_columns(["mine", "other"])


def test_columns_are_not_kept(tmp_path: Path) -> None:
    """report.json is the same with and without: what is shown beside the scores is no part of them."""
    with installed(tmp_path / "package", f"{HEAD}MINE = Column('x', lambda item: 1)\n", {"mine": "my_columns:MINE"}):
        write_report(Report("t", (ROW,)), tmp_path / "with", columns=["mine"])
    write_report(replace(Report("t", (ROW,))), tmp_path / "without")
    first, second = (tmp_path / name / "report.json" for name in ("with", "without"))
    assert first.read_bytes() == second.read_bytes()
