"""Callbacks for the tests of resumed runs: one writes what each step saw and gave, others make steps fail."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class StepRecorder(Callback):
    """A JSON line a step in `folder`: number, loss to the last bit, clips, questions asked by their responses.

    At the step that a file `halt` in the folder names it waits to be killed.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.before = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.before = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stepped = trainer.global_step > self.before  # else gradients are being gathered
        row = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "loss": float(outputs["loss"]).hex(),
            "clips": [name for name, valid in zip(batch.names, batch.valid.tolist(), strict=True) if valid],
            "responses": batch.responses,
            "mean_loss": float(trainer.callback_metrics["train/loss"]),
            "norm": float(trainer.callback_metrics["train/gradient_norm"]) if stepped else None,
            "rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        with (self.folder / f"steps-{trainer.global_rank}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        parent, halt = os.getppid(), self.folder / "halt"
        while halt.exists() and trainer.global_step >= int(halt.read_text(encoding="utf-8")) and os.getppid() == parent:
            time.sleep(0.02)  # until it is killed

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the statistics of the features as this process has them."""
        statistics = pl_module.network.feature_scaling.state_dict()
        torch.save(statistics, self.folder / f"scaling-{trainer.global_rank}.pt")


class PlantedNaN(Callback):
    """Puts a NaN into the sound of one clip wherever it comes up."""

    def __init__(self, clip: str) -> None:
        self.clip = clip

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.clip in batch.names:
            batch.streams["audio"].values[batch.names.index(self.clip), 100] = float("nan")


class FullDisk(Callback):
    """From a step on the system refuses to let any file grow beyond some bytes, as a disk does that is nearly full."""

    def __init__(self, step: int, size: int = 20_000) -> None:
        self.step, self.size = step, size

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))


def recorded(folder: Path, rank: int = 0) -> list[dict[str, Any]]:
    """The rows of a folder; a line that a kill cut is left out."""
    path = folder / f"steps-{rank}.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
