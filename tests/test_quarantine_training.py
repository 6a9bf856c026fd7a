"""Bad clips through the Trainer: counted in the progress bar and TensorBoard, named, and a limit that stops the run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from affect_lightning.contracts import ClipBatch
from affect_lightning.corpora.official_folders import read_training_set
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.quarantine import BadClip, Quarantine
from affect_lightning.data.reading_workers import lost_worker
from affect_lightning.errors import DataError
from affect_lightning.training.monitoring import TrainingMonitor
from clip_making import write_clip, write_training_set
from patience import LONGEST

NAMES = [f"sample_{index:03}" for index in range(16)]
BROKEN = ("sample_002", "sample_009", "sample_013")

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*does not have many workers")


class Watcher(LightningModule):
    """Learns nothing; counts steps, and remembers the clips and the progress bar."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.seen: list[tuple[str, bool]] = []
        self.bars: list[dict[str, Any]] = []

    def training_step(self, batch: ClipBatch, batch_index: int) -> Tensor:
        self.seen += list(zip(batch.names, batch.valid.tolist(), strict=True))
        self.bars.append(dict(self.trainer.progress_bar_metrics))
        return self.layer(torch.ones(1, 1)).sum()

    def validation_step(self, batch: ClipBatch, batch_index: int) -> None:
        raise AssertionError("there are no clips to validate on")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen training clips, three of them broken."""

    def make(path: Path) -> None:
        path.write_bytes(b"") if path.stem in BROKEN else write_clip(path, range(0, 200, 40))

    return write_training_set(tmp_path_factory.mktemp("corpus"), NAMES, make)


def fit(root: Path, out: Path, **options: Any) -> tuple[Watcher, ClipDataModule, Path]:
    plain = {"face_detector": "none", "frames": 2, "crop_size": 16, "validation_share": 0.0, "batch_size": 1}
    data = ClipDataModule(train_root=root, **{**plain, "max_bad_share": 0.2, **options})
    module = Watcher()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=TensorBoardLogger(str(out), name="", version="run"),
        callbacks=[TrainingMonitor()],
        log_every_n_steps=1,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, data)
    return module, data, out / "run"


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_clips_are_counted_wherever_one_looks(corpus: Path, tmp_path: Path, workers: int) -> None:
    module, data, run = fit(corpus, tmp_path, workers=workers)
    assert len(module.seen) == 16  # as many steps as batches, a lost one with its neighbour's clip, marked
    assert sorted(name for name, valid in module.seen if valid) == [name for name in NAMES if name not in BROKEN]
    assert sum(not valid for _, valid in module.seen) == 3
    assert module.bars[-1]["data/quarantined"] == 3.0
    events = EventAccumulator(str(run))
    events.Reload()
    curve = [event.value for event in events.Scalars("data/quarantined")]
    assert curve[-1] == 3.0
    assert curve == sorted(curve)
    lines = [json.loads(line) for line in (run / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(line["name"] for line in lines) == sorted(BROKEN)
    assert {key for line in lines for key in line} == {"name", "corpus", "path", "stage", "reason"}
    assert all(line["path"].endswith(f"{line['name']}.mp4") and line["stage"] == "video" for line in lines)
    assert data.counts()["train"]["quarantined"] == 3
    # The same run, taken up again, names each clip once.
    fit(corpus, tmp_path, workers=0)
    assert len((run / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_bad_share": 0.01},
            r"2 of 16 clips cannot be read, more than max_bad_share = 0.01 allows. The first 2: ",
        ),
        ({"on_bad_clip": "error"}, r"The clip sample_0\d\d \(mer-caption-plus, video\).*on_bad_clip to quarantine"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_the_run_stops(corpus: Path, tmp_path: Path, options: dict[str, Any], message: str, workers: int) -> None:
    with pytest.raises(DataError, match=message):
        fit(corpus, tmp_path, workers=workers, **options)


def test_the_first_ten_are_named(tmp_path: Path) -> None:
    quarantine = Quarantine(max_bad_share=0.01, file=tmp_path / "quarantine.jsonl")
    for number in range(1, 12):
        quarantine.admit(BadClip(f"clip{number}", "made", "/x", "video", "no."), 1100)
    with pytest.raises(DataError, match=r"12 of 1100 clips.*The first 10: .*\[10\] clip10 ") as caught:
        quarantine.admit(BadClip("clip12", "made", "/x", "video", "no."), 1100)
    assert "clip11" not in str(caught.value)
    assert len((tmp_path / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()) == 12


def test_the_default_limit_is_one_percent() -> None:
    assert ClipDataModule().bad_clips.max_bad_share == 0.01
    assert ClipDataModule().bad_clips.policy == "quarantine"


def test_a_set_of_bad_clips_only_stops(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Not one batch has a clip that can be read.*\[3\] sample_0"):
        fit(corpus, tmp_path, include=list(BROKEN), max_bad_share=1.0)


KILLED_WORKER = """
import os, signal, sys
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.reading_workers import lost_worker
from affect_lightning.errors import DataError

def kill_one(holds_the_lock):
    data = ClipDataModule(
        train_root=sys.argv[1], face_detector="none", frames=2, crop_size=16, workers=2, inputs=["frame"],
        max_bad_share=1.0, worker_start="fork",
    )
    data.setup("fit")
    loader = data.train_dataloader()
    given = iter(loader)
    next(given)
    iterator = loader._fetcher._iterator
    if holds_the_lock:  # as a worker does that is killed while it looks whether it shall end
        assert iterator._workers_done_event._cond.acquire(timeout=300)
    try:
        os.kill(iterator._workers[0].pid, signal.SIGKILL)
        list(given)
    except DataError as error:
        print("told:", error)
    except RuntimeError as error:  # torch noticed it before the loader was asked again
        print("told:", lost_worker(error, workers=False))
    data.teardown("fit")

if __name__ == "__main__":
    kill_one(False)
    kill_one(True)
"""


def test_a_killed_worker_is_told_of(corpus: Path, tmp_path: Path) -> None:
    script = tmp_path / "killed_worker.py"
    script.write_text(KILLED_WORKER, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(script), str(corpus)],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
        encoding="utf-8",
    )
    told = r"told: A worker process that reads clips died or hangs: DataLoader worker.*doctor"
    assert len(re.findall(told, ended.stdout)) == 2, ended.stdout + ended.stderr
    assert len(read_training_set(corpus)) == 16


def test_other_errors_are_no_lost_workers() -> None:
    assert lost_worker(RuntimeError("CUDA error"), workers=True) is None
    assert lost_worker(ConnectionResetError(), workers=False) is None
    assert lost_worker(FileNotFoundError("Caught FileNotFoundError in DataLoader worker process 0."), True) is None
    assert "in the middle of a batch" in str(lost_worker(ConnectionResetError(), workers=True))
