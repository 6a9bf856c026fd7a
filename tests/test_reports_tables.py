"""report.tex, report.csv and report.md: their shape, escaping, and what must stand beside every score."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from affect_lightning.unibench.report.columns import details_of, set_table
from affect_lightning.unibench.report.content import CHOSEN_ON_TEST, Report, ReportRow
from affect_lightning.unibench.report.files import compare_runs, read_report, write_report
from affect_lightning.unibench.report.provenance import notes_of
from report_cases import finished_runs, generated_row

ROWS = (generated_row("a_b & 5% {x} \\ ~^#$", 1, 0.3), generated_row("plain", 2, 0.8))


def written(tmp_path: Path, *rows: ReportRow) -> Path:
    write_report(Report("MER_UniBench & more", rows or ROWS), tmp_path, published=["Otter"])
    return tmp_path


def test_latex_is_whole_and_escaped(tmp_path: Path) -> None:
    text = (written(tmp_path) / "report.tex").read_text(encoding="utf-8")
    bare = text.replace("\\{", "").replace("\\}", "")
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"\\begin\{(\w+\*?)\}", text) == ["table*", "tabular"]
    assert re.findall(r"\\end\{(\w+\*?)\}", text) == ["tabular", "table*"]
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {4}, "five columns: model, three sets, mean"
    assert len(lines) == 2 + 2 * 3 + 1, "two heads, three lines a run, one published row"
    assert r"a\_b \& 5\% \{x\} \textbackslash{} \textasciitilde{}\textasciicircum{}\#\$ & " in text
    plain = ROWS[1].scores.sets["meld"]
    assert plain.interval is not None
    assert rf"plain & \textbf{{{plain.score:.2f}}}" in text
    assert rf"{{\scriptsize [{plain.interval[0]:.1f}, {plain.interval[1]:.1f}]}}" in text
    assert not re.search(r"\\\\\s*\[", text), "a bracket after a line's end would be its option"
    assert text.isascii()


def test_csv_has_every_number(tmp_path: Path) -> None:
    with (written(tmp_path) / "report.csv").open(encoding="utf-8", newline="") as file:
        first, second, published = csv.DictReader(file)
    assert first["model"] == ROWS[0].name
    scores = ROWS[1].scores
    assert float(second["mean"]) == scores.mean
    assert (float(second["mean.low"]), float(second["mean.high"])) == scores.mean_interval
    assert (second["mean.sets"], second["seed"], second["taxonomy_sha256"]) == ("3", "2", scores.taxonomy_sha256)
    for key, score in scores.sets.items():
        assert float(second[key]) == score.score
        assert (float(second[f"{key}.low"]), float(second[f"{key}.high"])) == score.interval
        assert {name: float(second[f"{key}.{name}"]) for name in score.secondary} == dict(score.secondary)
        assert int(second[f"{key}.skipped_clips"]) == score.skipped_clips
        assert int(second[f"{key}.unparsable"]) == score.unparsable
    assert (published["model"], published["meld.low"], published["meld.clips"]) == ("Otter (V+T)", "", "")


def test_counts_stand_beside_every_set(tmp_path: Path) -> None:
    row = ROWS[1]
    meld, sims = dict(details_of(row, "meld")), dict(details_of(row, "sims"))
    assert (meld["quarantined"], sims["quarantined"]) == ("1", "0")
    score = row.scores.sets["meld"]
    assert 0 < score.skipped_clips < score.clips
    assert meld["skipped as neutral"] == str(score.skipped_clips)
    assert meld["responses without a label"] == str(score.unparsable)
    assert score.skipped_clips == score.clips - score.scored_clips_per_wheel[0]
    assert meld["F_S"].startswith(f"{score.secondary['F_S']:.2f} [")
    assert "without a prediction, counted as wrong" not in meld
    lacking = replace(row, scores=replace(row.scores, sets={"meld": replace(score, missing=7)}))
    assert dict(details_of(lacking, "meld"))["without a prediction, counted as wrong"] == "7"
    table = set_table(row)
    assert [line.name for line in table.lines] == ["MELD", "CH-SIMS", "OV-MERD+"]
    assert "without a prediction, counted as wrong" not in [column.title for column in table.columns]
    text = (written(tmp_path) / "report.md").read_text(encoding="utf-8")
    for words in ("skipped as neutral", "quarantined", "extractor: words of a test", "SHA-256", "seed: 2", "numpy"):
        assert words in text
    assert "intervals: 95% percentile bootstrap over clips, 10,000 resamples, seed 0" in text
    without = replace(row, provenance={})
    assert "quarantined" not in dict(details_of(without, "meld"))


def test_a_checkpoint_chosen_on_the_test_set_is_marked_in_every_form(tmp_path: Path) -> None:
    runs = finished_runs(tmp_path)
    compare_runs(runs, tmp_path / "both")
    report = read_report(tmp_path / "both")
    assert [row.chosen_on_test for row in report.rows] == [False, True]
    assert any(CHOSEN_ON_TEST in note for note in notes_of(report))
    assert not any(CHOSEN_ON_TEST in note for note in notes_of(read_report(runs[0])))
    base = tmp_path / "both" / "report"
    texts = {
        suffix: base.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".md", ".html", ".tex", ".csv")
    }
    assert f"| strong [{CHOSEN_ON_TEST}] |" in texts[".md"]
    assert f'strong<span class="tag warning">{CHOSEN_ON_TEST}</span>' in texts[".html"]
    assert r"strong [paper\_best\_on\_test] &" in texts[".tex"]
    (line,) = [line for line in texts[".csv"].splitlines() if line.startswith("strong,")]
    assert CHOSEN_ON_TEST in line
    assert "Do not compare" in line
    for suffix in (".md", ".html", ".tex"):
        assert "Do not compare them with others" in texts[suffix]
    assert not any(f"weak [{CHOSEN_ON_TEST}]" in text for text in texts.values())


@pytest.mark.parametrize("suffix", [".md", ".tex", ".csv", ".html", ".json"])
def test_the_same_scores_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    first, second = written(tmp_path / "first"), written(tmp_path / "second")
    assert (first / f"report{suffix}").read_bytes() == (second / f"report{suffix}").read_bytes()
