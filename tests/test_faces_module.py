"""Faces through ClipDataModule: what each policy does to batches, counts and quarantine; equal batches whatever the cache."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from affect_lightning.contracts import ClipBatch, FaceBox
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.model.encoding import encode_stream
from affect_lightning.plugin_loading import build_part
from affect_lightning.training.monitoring import TrainingMonitor
from clip_making import write_clip, write_training_set
from face_cases import ScriptedDetector, box
from model_cases import stream_values

NAMES = ["sample_0", "sample_1", "sample_2"]
EVERYWHERE: list[list[FaceBox]] = [[box(20, 20, 10)], [box(22, 20, 10)], [box(24, 20, 10)]]
GAP: list[list[FaceBox]] = [EVERYWHERE[0], [], EVERYWHERE[2]]
NOWHERE: list[list[FaceBox]] = [[], [], []]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_set(
        tmp_path_factory.mktemp("corpus"),
        NAMES,
        lambda path: write_clip(path, range(0, 800 + 40 * int(path.stem[-1]), 40)),  # no two are alike
    )


@pytest.fixture
def make(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A data module over the three clips, whose detector gives the same boxes for each."""

    def build(boxes: list[list[FaceBox]], **options: Any) -> tuple[ClipDataModule, ScriptedDetector]:
        detector = ScriptedDetector(boxes)
        monkeypatch.setattr("affect_lightning.data.clip_splits.build_part", lambda group, choice: detector)
        plain = {"train_root": corpus, "frames": 3, "crop_size": 16, "batch_size": 2, "validation_share": 0.0}
        module = ClipDataModule(**{**plain, "cache_folder": tmp_path / "boxes", "inputs": ["face", "text"], **options})
        module.setup("fit")
        return module, detector

    return build


def read(module: ClipDataModule) -> list[ClipBatch]:
    batches = list(module.train_dataloader())
    module.teardown("fit")
    return batches


def test_a_dropped_frame_is_masked_and_counted(make: Any) -> None:
    module, _ = make(GAP, frame_without_face="drop", inputs=["face", "frame", "text"])
    for batch in read(module):
        face = batch.streams["face"]
        assert face.mask.tolist() == [[True, False, True]] * len(batch)
        assert batch.streams["frame"].mask.all()
        assert not face.values[:, 1].any()
        assert face.values[:, 0].any()
    counts = module.counts()["train"]
    assert (counts["clips"], counts["frames_without_face"], counts["clips_without_face"]) == (3, 3, 0)
    assert counts["quarantined"] == 0


def test_a_dropped_face_hides_the_face_and_not_the_whole_frame(make: Any) -> None:
    module, _ = make(GAP, frame_without_face="drop", inputs=["face", "frame", "text"])
    encoder = build_part("video_encoders", "tiny-video")
    for batch in read(module):
        real = {name: encode_stream(batch, name, encoder).mask.float().mean() for name in ("face", "frame")}
        assert real["face"] == pytest.approx(2 / 3)
        assert real["frame"] == 1.0


@pytest.mark.parametrize("policy", ["nearest", "whole"])
def test_a_kept_frame_without_a_face_is_counted(make: Any, policy: str) -> None:
    module, _ = make(GAP, frame_without_face=policy)
    batches = read(module)
    assert all(batch.streams["face"].mask.all() for batch in batches)
    # The clips have a white bar at the top: a whole frame shows it, a cut at the nearest box does not.
    assert all(bool((batch.streams["face"].values[:, 1] > 240).any()) == (policy == "whole") for batch in batches)
    assert module.counts()["train"]["frames_without_face"] == 3


def test_a_dropped_clip_goes_to_quarantine(make: Any, tmp_path: Path) -> None:
    lines = tmp_path / "quarantine.jsonl"
    module, _ = make(NOWHERE, clip_without_face="drop", max_bad_share=1.0, quarantine_file=lines)
    with pytest.raises(DataError, match=r"(?s)No batch has a clip.*none of its 3 frames shows a face"):
        read(module)
    found = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert {row["stage"] for row in found} == {"face"}
    assert all(Path(row["path"]).stem == row["name"] for row in found)
    strict, _ = make(NOWHERE, clip_without_face="drop", on_bad_clip="error")
    with pytest.raises(DataError, match="none of its 3 frames shows a face, and clip_without_face is drop"):
        read(strict)


def test_a_clip_without_a_face_is_counted(make: Any) -> None:
    module, _ = make(NOWHERE)
    assert sum(len(batch) for batch in read(module)) == 3
    counts = module.counts()["train"]
    assert (counts["frames_without_face"], counts["clips_without_face"], counts["quarantined"]) == (9, 3, 0)


@pytest.mark.parametrize("option", ["frame_without_face", "clip_without_face"])
def test_unknown_policies_are_refused_at_once(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option} must be one of .*; got 'skip'"):
        ClipDataModule(**{option: "skip"})


def contents(module: ClipDataModule) -> list[Any]:
    return [(batch.names, stream_values(batch)) for batch in read(module)]


def test_any_cache_and_any_number_of_workers_give_the_same_batches(make: Any, tmp_path: Path) -> None:
    uneven = [[FaceBox(10.12345, 11.005, 27.71, 30.4999, 0.9)], [], [box(24, 20, 9.87654)]]
    cold, detector = make(uneven)
    expected = contents(cold)
    assert detector.calls == 3
    warm, detector = make(uneven)
    assert contents(warm) == expected
    assert detector.calls == 0
    apart, detector = make(uneven, workers=2, worker_start="forkserver", cache_folder=tmp_path / "another")
    assert contents(apart) == expected
    assert detector.calls == 0  # the workers have copies of it
    shared, detector = make(uneven, cache_folder=tmp_path / "another")
    assert contents(shared) == expected
    assert detector.calls == 0  # what two workers wrote is whole


def test_boxes_stand_beside_the_data_by_default(make: Any, corpus: Path) -> None:
    module, _ = make(EVERYWHERE, cache_folder=None)
    read(module)
    assert len(list((corpus / "mer-caption-plus" / "face_boxes").glob("*.boxes"))) == 1


class RecordingModule:
    """Stands for the LightningModule: keeps what is logged."""

    def __init__(self) -> None:
        self.logged: dict[str, float] = {}
        self.device = torch.device("cpu")

    def log(self, name: str, value: float, **options: Any) -> None:
        self.logged[name] = value


@pytest.mark.parametrize("counted", [True, False])
def test_counts_are_logged(make: Any, counted: bool) -> None:
    module, _ = make(GAP)
    batches = read(module)
    recorder = RecordingModule()
    trainer = SimpleNamespace(datamodule=module, world_size=1) if counted else SimpleNamespace(world_size=1)
    monitor = TrainingMonitor()
    monitor.on_train_batch_start(trainer, recorder, batches[0], 0)  # type: ignore[arg-type]
    monitor.on_train_batch_end(trainer, recorder, torch.zeros(()), batches[0], 0)  # type: ignore[arg-type]
    faces = {name: value for name, value in recorder.logged.items() if name.startswith("data/")}
    expected = {"data/frames_without_face": 3 / 9, "data/clips_without_face": 0.0, "data/quarantined": 0.0}
    assert faces == (expected if counted else {})
