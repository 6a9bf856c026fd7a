"""What stands beside every hit rate: its M-score and the labels a clip, without which a long list looks like a good model."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora import MER_UNIBENCH
from affect_lightning.unibench.report.content import Report, ReportRow
from affect_lightning.unibench.report.files import write_report
from affect_lightning.unibench.scoring.prediction_files import read_answers
from report_cases import generated_suite


def test_every_form_has_both_beside_a_hit_rate_and_nowhere_else(tmp_path: Path) -> None:
    suite = generated_suite(1, 0.6, 40, ["meld", "sims", "ovmerdplus"])
    write_report(Report("t", (ReportRow("one", suite),)), tmp_path, published=["Otter"])
    meld, sims = suite.sets["meld"], suite.sets["sims"]
    assert meld.interval is not None
    assert sims.interval is not None
    beside = f"M {meld.secondary['M-score']:.1f}, {meld.labels_per_response:.1f} labels"
    lines = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    (one,) = [line for line in lines if line.startswith("| one |")]
    ends = [f"[{low:.1f}, {high:.1f}]" for low, high in (meld.interval, sims.interval)]
    assert one.startswith(f"| one | {meld.score:.2f} {ends[0]} ({beside}) | {sims.score:.2f} {ends[1]} | ")
    assert one.count("labels") == 1
    (otter,) = [line for line in lines if line.startswith("| Otter")]
    assert "labels" not in otter
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    parts = re.findall(r'<small class="beside">(.*?)</small>', page)
    assert [re.sub(r"<[^>]*>", "", part).strip() for part in parts] == [beside]
    latex = (tmp_path / "report.tex").read_text(encoding="utf-8")
    assert rf" & {{\scriptsize {beside}}} &  &  &  \\" in latex
    assert (
        "So each hit rate has two figures next to it: M-score (M), which has such a penalty, and the labels a clip."
        in page
    )


def test_the_union_of_seven_checkpoints_labels_reaches_96_on_mer2023(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No model is better for it: it names 13 labels a clip, and the M-score falls."""
    union: dict[str, list[str]] = {}
    best: dict[str, list[str]] = {}
    files = sorted((reference / "affectgpt_outputs" / "mer2023").glob("*-openset.npz"))
    assert len(files) == 7
    for path in files:
        for name, answer in read_answers([path], "mer2023").items():
            union[name] = list(dict.fromkeys([*union.get(name, []), *(answer.labels or ())]))
            if "000050" in path.name:
                best[name] = list(answer.labels or ())
    found = {}
    for title, labels in (("union", union), ("best", best)):
        with (tmp_path / f"{title}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("name", "labels"), *((name, str(words)) for name, words in labels.items())])
        words = ["--dataset", "MER-MULTI", "--labels", str(reference / "labels"), "--out", str(tmp_path / title)]
        words += ["--predictions", str(tmp_path / f"{title}.csv"), "--taxonomy", str(reference / "emotion_wheel")]
        capsys.readouterr()
        assert main(["score", *words, "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["clips"] == MER_UNIBENCH.sets["mer2023"].clips
        found[title] = (round(result["score"], 2), round(result["secondary"]["M-score"], 2))
    assert found == {"best": (78.54, 55.61), "union": (96.19, 42.49)}
    line = (tmp_path / "union" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"\| union \| 96\.19 \[\d\d\.\d, \d\d\.\d\] \(M 42\.5, 13\.2 labels\) \|", line)
