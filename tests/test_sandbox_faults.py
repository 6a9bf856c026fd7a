"""Every fault that the sandbox plants: what reading makes of it, and what the doctor says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.prompting import question_text
from affect_lightning.sandbox.emotions import Fault
from affect_lightning.sandbox.generation import generate_sandbox

DETECTOR = {"name": "centerface", "longest_side": 256}
KINDS = get_args(Fault)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A corpus in which every training clip has a fault, one of each kind; and the kind by name."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("planted") / "corpus"
    made = generate_sandbox(folder, clips=len(KINDS), test_clips=1, seed=3, workers=1, faults=1.0)
    return folder, {fault["name"]: fault["kind"] for fault in made.faults}


def test_the_page_lists_every_kind(repository: Path) -> None:
    page = (repository / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []


@pytest.mark.timeout(1800)
def test_reading(planted: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, kinds = planted
    assert sorted(kinds.values()) == sorted(KINDS)
    module = ClipDataModule(
        train_root=root,
        frames=8,
        crop_size=64,
        batch_size=1,
        describe_share=1.0,
        workers=2,
        worker_start="forkserver",
        validation_share=0.0,
        face_detector=DETECTOR,
        cache_folder=tmp_path / "boxes",
        max_bad_share=0.2,
    )
    module.setup("fit")
    batches = {kinds[batch.names[0]]: batch for batch in module.train_dataloader() if batch.valid.all()}
    module.teardown("fit")
    bad = {kinds[clip["name"]]: clip for clip in module.quarantined()}
    assert {kind: clip["stage"] for kind, clip in bad.items()} == {"truncated": "video", "no_audio": "audio"}
    assert batches.keys() == set(KINDS) - bad.keys()
    real = {kind: int(batch.streams["face"].mask.sum()) for kind, batch in batches.items()}
    assert real == {kind: 1 if kind == "one_frame" else 8 for kind in batches}
    for kind, batch in batches.items():
        assert (float(batch.streams["audio"].values.abs().max()) == 0.0) == (kind == "silent")
        assert (batch.questions[0] == question_text("describe")) == (kind != "empty_description")


@pytest.mark.timeout(1800)
def test_the_doctor(planted: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, kinds = planted
    config = tmp_path / "detector.yaml"
    config.write_text(
        json.dumps({"data": {"face_detector": DETECTOR, "cache_folder": str(tmp_path / "boxes")}}), encoding="utf-8"
    )
    words = ["--config", str(config), "--data", str(root), "--cache", str(tmp_path), "--workers", "2"]
    code = main(["doctor", *words, "--taxonomy", "builtin", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert code == 1
    assert {finding["check"]: [kinds.get(name, name) for name in finding["names"]] for finding in findings} == {
        "unreadable": ["truncated"],
        "missing-file": ["no_audio"],
        "no-face": ["no_face"],
        "lengths-differ": ["one_frame"],
        "silent": ["silent"],
        "missing-description": ["empty_description"],
    }
    assert {finding["corpus"] for finding in findings} == {"mer-caption-plus"}
