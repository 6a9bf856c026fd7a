"""A generated corpus never looks like a result, and few clips never like many."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora.corpus_file import is_generated
from affect_lightning.errors import ConfigurationError
from affect_lightning.unibench.report.content import Report, ReportRow
from affect_lightning.unibench.report.files import compare_runs, read_report, write_report
from affect_lightning.unibench.report.provenance import banner_of, notes_of
from affect_lightning.unibench.scoring.predictions import Prediction, write_predictions
from report_cases import generated_row, generated_suite

BANNER = "Generated corpus, 60 clips a set, not comparable"


def marked(row: ReportRow, *keys: str) -> ReportRow:
    return replace(row, provenance={**row.provenance, "generated": list(keys)})


def test_every_form_says_it(tmp_path: Path) -> None:
    row = marked(generated_row("ours"), "meld", "sims", "ovmerdplus")
    write_report(Report("Title", (row,)), tmp_path)
    texts = {path.suffix: path.read_text(encoding="utf-8") for path in tmp_path.glob("report.*")}
    assert texts[".md"].splitlines()[2] == f"**{BANNER}**"
    assert f'<p class="banner">{BANNER}</p>' in texts[".html"]
    assert rf"\caption{{Title. {BANNER}." in texts[".tex"]
    assert next(csv.DictReader(texts[".csv"].splitlines()))["note"] == BANNER
    assert banner_of(read_report(tmp_path)) == BANNER


def test_real_sets_have_no_banner_and_mixed_ones_are_named(tmp_path: Path) -> None:
    real = generated_row("real")
    write_report(Report("Title", (real,)), tmp_path)
    assert not any("Generated corpus" in path.read_text(encoding="utf-8") for path in tmp_path.glob("report.*"))
    mixed = Report("Title", (real, marked(generated_row("drawn"), "meld")))
    assert banner_of(mixed) == "Generated corpus (MELD), 60 clips a set, not comparable"


def test_published_rows_beside_it_need_a_wish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(Report("Title", (marked(generated_row("ours"), "meld"),)), tmp_path / "run")
    with pytest.raises(ConfigurationError, match="add --published-anyway: they are of real clips"):
        compare_runs([tmp_path / "run"], tmp_path / "both", published=["Otter"])
    assert not (tmp_path / "both").exists()
    words = ["report", str(tmp_path / "run"), "--out", str(tmp_path / "both"), "--published", "Otter"]
    assert main(words) == 2
    assert "Leave out the published rows" in capsys.readouterr().err
    assert main([*words, "--published-anyway"]) == 0
    assert "Generated corpus (MELD), 60 clips a set, not comparable" in capsys.readouterr().out
    assert [row.model for row in read_report(tmp_path / "both").published] == ["Otter"]


def test_saved_predictions_remember_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Prediction(name, "meld", "How?", "She is happy.", ("happy",), generated=True) for name in "ab"]
    write_predictions(tmp_path / "predictions", rows)
    words = ["score", "--dataset", "meld", "--predictions", str(tmp_path / "predictions" / "meld.jsonl"), "--taxonomy"]
    assert main([*words, "builtin", "--out", str(tmp_path / "one")]) == 0
    assert "Generated corpus, 2 clips a set, not comparable" in capsys.readouterr().out
    assert main([*words, "builtin", "--out", str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["generated"] is True


def test_labels_of_a_generated_corpus_are_known(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    (corpus / "meld-process").mkdir(parents=True)
    (corpus / "corpus.json").write_text('{"test_sets": {"meld": {"clips": 2}}}', encoding="utf-8")
    for place in (corpus, corpus / "corpus.json", corpus / "meld-process", corpus / "meld-process" / "label.npz"):
        assert is_generated(place, "meld")
        assert not is_generated(place, "sims")
    assert not is_generated(tmp_path, "meld")


@pytest.mark.parametrize(("clips", "told"), [(29, True), (30, False)])
def test_an_interval_over_few_clips_says_so(clips: int, told: bool) -> None:
    row = replace(generated_row("ours"), scores=generated_suite(0, 0.5, clips=clips, corpora=("meld",)))
    notes = [note for note in notes_of(Report("Title", (row,))) if note.startswith("Fewer than 30 clips")]
    assert notes == ["Fewer than 30 clips: MELD 29. A bootstrap over so few clips gives intervals that are too narrow. Do not "
                     "rely on them."] * told  # fmt: skip
