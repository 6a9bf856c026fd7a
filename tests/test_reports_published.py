"""Published rows: their numbers, their choice by name, and that every form of a report marks them as not measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.errors import ConfigurationError
from affect_lightning.unibench.report.content import Report
from affect_lightning.unibench.report.files import compare_runs, read_report, write_report
from affect_lightning.unibench.report.provenance import not_comparable, source_notes
from affect_lightning.unibench.report.published import PublishedRow, all_published_rows, published_rows
from report_cases import finished_runs, generated_row

ROWS = all_published_rows()


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_mean_is_that_of_the_nine_scores(row: PublishedRow) -> None:
    """As printed: each score and the mean are rounded to 0.01, so that the two may differ by 0.005 twice."""
    assert row.source
    if not row.scores:
        assert row.note.startswith("only the mean is ")
        return
    assert list(row.scores) == list(MER_UNIBENCH.sets)
    assert sum(row.scores.values()) / 9 == pytest.approx(row.mean, abs=0.0101)


def test_companions_fit_their_scores() -> None:
    """F_S lies within 0.1 of the F of precision and recall (it is a mean over wheels); ACC is near to WAF."""
    with_sets = [row for row in ROWS if "ovmerdplus" in row.companions]
    assert len(with_sets) == 16
    for row in with_sets:
        precision, recall = (row.companions["ovmerdplus"][name] for name in ("Precision_S", "Recall_S"))
        assert 2 * precision * recall / (precision + recall) == pytest.approx(row.scores["ovmerdplus"], abs=0.1)
    for row in ROWS:
        for key, named in row.companions.items():
            assert named.get("ACC", row.scores[key]) == pytest.approx(row.scores[key], abs=4.5)


def test_the_papers_own_row_is_that_of_the_reference_data(reference: Path) -> None:
    expected = json.loads((reference / "expected.json").read_text(encoding="utf-8"))
    (row,) = published_rows(["affectgpt (a+v+t)"])
    compared = {key: entry["paper"] for key, entry in expected.items() if key in row.scores and "paper" in entry}
    assert len(compared) >= 5
    assert {key: row.scores[key] for key in compared} == pytest.approx(compared)
    assert row.origin.endswith("arXiv 2501.16566), Tables 2 and 12")
    assert row.note == "for each set the best of seven checkpoints, chosen on the test set"


def test_who_ran_what_is_said() -> None:
    """A re-run is named after those who ran it, and what is only known from others' notes is marked."""
    rows = {row.name: row for row in published_rows(["newer"])}
    rerun = rows["AffectGPT (re-run by the authors of Light-MER)"]
    assert (rerun.mean, rerun.scores["mer2024"], rerun.note) == (69.77, 67.08, "not run by AffectGPT's own authors")
    assert rows["AffectGPT on Qwen3-8B (Light-MER's teacher)"].scores["ovmerdplus"] == 61.47
    assert [(row.inputs, row.mean) for row in published_rows(["Light-MER"])] == [
        ("", 74.61),
        ("A+T", 66.4),
        ("V+T", 65.71),
    ]
    secondary = [row for row in ROWS if row.is_secondary]
    assert [(row.name, row.mean) for row in secondary] == [("AffectGPT-R1 (secondary source)", 79.48)]
    (told,) = published_rows(["AffectGPT-R1"])
    assert told.origin == "secondary source: reading notes on arXiv 2508.01318v3"
    notes = " ".join(source_notes(Report("", (), published=(told, rerun))))
    assert "Source of AffectGPT-R1 (secondary source): secondary source: reading notes" in notes
    assert PublishedRow.from_json(told.to_json()) == told


def test_rows_are_chosen_by_group_model_or_name() -> None:
    assert len(published_rows(["table2"])) == 19
    assert len(published_rows(["TABLE12"])) == 17
    assert len(published_rows(["table13"])) == 14
    assert len(published_rows(["newer"])) == 7
    assert published_rows() == published_rows(["table2", "newer"])
    assert published_rows(["all"]) == ROWS
    assert [row.inputs for row in published_rows(["PandaGPT"])] == ["A+T", "V+T", "A+V+T"]
    assert [row.name for row in published_rows(["Otter", "otter (v+t)"])] == ["Otter (V+T)"]
    assert len({row.name for row in ROWS}) == len(ROWS) == 40
    with pytest.raises(
        ConfigurationError, match=r"no published row 'EmotionLama'. Did you mean 'Emotion-LLaMA'\? Name a group"
    ):
        published_rows(["EmotionLama"])


def test_every_form_marks_published_rows(tmp_path: Path) -> None:
    runs = finished_runs(tmp_path)
    compare_runs(runs, tmp_path / "both", published=["Emotion-LLaMA", "newer"])
    base = tmp_path / "both" / "report"
    report = read_report(tmp_path / "both")
    assert [row.name for row in report.published] == [row.name for row in published_rows(["Emotion-LLaMA", "newer"])]
    content = json.loads(base.with_suffix(".json").read_text(encoding="utf-8"))
    assert {row["kind"] for row in content["published"]} == {"published, not measured"}
    lines = base.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    assert "| Emotion-LLaMA (A+V+T) (published, not measured) | 46.76 | 78.32 | 52.97 | 64.17 |" in lines
    with base.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    row = rows["Emotion-LLaMA (A+V+T)"]
    assert (row["kind"], row["meld"], row["sims.ACC"], row["mean"]) == (
        "published, not measured",
        "46.76",
        "78.61",
        "64.17",
    )
    assert row["source"].endswith("Tables 2 and 12")
    assert rows["weak"]["kind"] == "measured"
    assert r"Emotion-LLaMA (A+V+T)$^\dagger$ & 46.76" in base.with_suffix(".tex").read_text(encoding="utf-8")
    page = base.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count('<span class="tag">published</span>') == 8
    # Comparing again keeps them, and a report without the wish has none.
    compare_runs([tmp_path / "both"], tmp_path / "again")
    assert read_report(tmp_path / "again").published == report.published
    assert read_report(runs[0]).published == ()


def test_writing_a_report_takes_published_rows(tmp_path: Path) -> None:
    report: Report = read_report(finished_runs(tmp_path)[0])
    write_report(report, tmp_path / "with", published=())
    assert len(read_report(tmp_path / "with").published) == 26
    write_report(replace(report, published=published_rows(["Otter"])), tmp_path / "kept")
    assert [row.model for row in read_report(tmp_path / "kept").published] == ["Otter"]


def test_the_command_compares_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weak, strong = map(str, finished_runs(tmp_path))
    out = str(tmp_path / "both")
    assert main(["report", weak, strong, "--out", out, "--published", "Otter", "newer"]) == 0
    shown = capsys.readouterr().out
    assert "Otter (V+T) (published, not measured)" in shown
    assert "strong [paper_best_on_test]" in shown
    assert "weak → strong" in shown
    assert shown.endswith(f"Report: {tmp_path / 'both' / 'report.html'}\n")
    assert main(["report", weak, strong, "--names", "before", "after", "--json", "--published"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in values["rows"]] == ["before", "after"]
    assert len(values["rows"][0]["sets"]["meld"]["interval"]) == 2
    assert len(values["rows"][0]["mean_interval"]) == 2
    assert [test["key"] for test in values["paired_tests"]] == ["meld", "sims", "ovmerdplus", "mean"]
    assert (len(values["published"]), values["files"]) == (26, [])


def test_the_commands_mistakes_are_one_paragraph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weak, _ = map(str, finished_runs(tmp_path))
    for words, message in (
        ([weak], "Name the folder for the combined report with --out"),
        ([weak, "--json", "--published", "Oter"], "There is no published row 'Oter'. Did you mean 'Otter'?"),
        ([str(tmp_path / "nowhere"), "--json"], "There is no report"),
    ):
        assert main(["report", *words]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"affect-lightning: error: {message}")
        assert captured.err.count("\n") == 1


def test_fewer_clips_than_the_official_set_are_not_comparable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = generated_row("ours")
    write_report(Report("Title", (row,)), tmp_path / "alone")
    assert "Not comparable" not in (tmp_path / "alone" / "report.md").read_text(encoding="utf-8")
    write_report(Report("Title", (row,)), tmp_path / "beside", published=["AffectGPT"])
    said = "Not comparable with the published rows: MELD has 60 of 2,610 clips"
    for name in ("report.md", "report.html", "report.tex"):
        text = (tmp_path / "beside" / name).read_text(encoding="utf-8")
        assert said in text
        assert "the taxonomy is builtin" in text
        assert text.index(said) < text.index("AffectGPT (A+V+T)")
    official = replace(row, scores=replace(row.scores, taxonomy="official-2025", sets={}))
    assert not_comparable(Report("Title", (official,), published=(ROWS[0],))) == ""
    monkeypatch.chdir(tmp_path)
    Path("meld.csv").write_text("name,emotion\na,joy\nb,anger\n", encoding="utf-8")
    Path("p.csv").write_text("name,labels\na,happy\nb,angry\n", encoding="utf-8")
    words = ["score", "--dataset", "meld", "--labels", "meld.csv", "--predictions", "p.csv", "--taxonomy", "builtin"]
    assert main(words) == 0
    assert "Not comparable" not in capsys.readouterr().out
    assert main([*words, "--published", "AffectGPT"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "Not comparable with the published rows: MELD has 2 of 2,610 clips, the taxonomy is builtin.\n"
    )
