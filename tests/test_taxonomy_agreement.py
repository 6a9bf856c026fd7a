"""The figures of docs/taxonomy.md are what the scripts in benchmarks/ give; both scripts run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def output(repository: Path, reference: Path, script: str, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(repository / "benchmarks" / script), "--json", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AFFECT_REFERENCE_DIR": str(reference)},
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_documented_agreement_is_the_measured_one(repository: Path, reference: Path) -> None:
    record = output(repository, reference, "taxonomy_agreement.py", "--words", "60")
    text = (repository / "docs" / "taxonomy.md").read_text(encoding="utf-8")
    assert f"{record['occurrences']:,} label occurrences, {record['distinct_labels']:,}" in text.replace("\n", " ")
    for level, name in (("level1", "level 1 (inner ring)"), ("level2", "level 2 (middle ring)")):
        assert f"| {name} | {record['same_sector_percent'][level]}% |" in text
    wheels = ", ".join(str(percent) for percent in record["same_inner_sector_percent_by_wheel"])
    assert f"| level 1, wheel by wheel | {wheels}% |" in text
    kinds = record["disagreeing_percent_by_kind"]
    assert f"{kinds['builtin only']} points are placed by `builtin` only, {kinds['official only']} by" in text
    assert f"{kinds['other sector']} in another sector" in text
    for kind, row in {
        "mer2023": "hit rate, MER2023, seven checkpoints",
        "meld": "hit rate, MELD, seven checkpoints",
        "level 1": "F_S on OV-MERD, level 1, six systems",
        "level 2": "F_S on OV-MERD, level 2, six systems",
    }.items():
        differences = [scores["difference"] for name, scores in record["figures"].items() if kind in name]
        assert f"| {row} | {min(differences)} | {max(differences)} |" in text
    check_listed_words(record["words"], text)


def check_listed_words(words: list[dict[str, Any]], text: str) -> None:
    """Every word of the table is one of the commonest, and the commonest are all listed."""
    occurrences = {row["word"]: row["occurrences"] for row in words}
    rows = re.findall(r"^\| ([a-z, ]+) \| ([\d,]+) \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert len(rows) >= 20
    for names, count in rows:
        assert sum(occurrences[name] for name in names.split(", ")) == int(count.replace(",", "")), names
    listed = {name for names, _ in rows for name in names.split(", ")}
    assert set(list(occurrences)[:18]) <= listed


def test_the_benchmark_runs(repository: Path, reference: Path) -> None:
    record = output(repository, reference, "metrics.py", "--repeats", "1")
    assert record["clips"] == 12_799
    assert {"date", "machine", "ratio_nine_sets", "load_official_from_cache_s", "score_nine_sets_s"} <= set(record)


@pytest.mark.parametrize("script", ["metrics.py", "taxonomy_agreement.py"])
def test_without_reference_data_the_scripts_say_so(repository: Path, tmp_path: Path, script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(repository / "benchmarks" / script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AFFECT_REFERENCE_DIR": str(tmp_path / "nowhere")},
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert "Set AFFECT_REFERENCE_DIR" in done.stderr
