"""Writes what each training step saw and gave, for the tests of resumed runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class StepRecorder(Callback):
    """A JSON line a step in `folder`: number, loss to the last bit, clips, questions asked by their responses."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        row = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "loss": float(outputs["loss"]).hex(),
            "clips": batch.names,
            "responses": batch.responses,
            "rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        with (self.folder / f"steps-{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


def recorded(folder: Path, rank: int = 0) -> list[dict[str, Any]]:
    """The rows of a folder; a line that a kill cut is left out."""
    path = folder / f"steps-{rank}.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
