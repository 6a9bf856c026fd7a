"""Trainings, tests and predictions of seconds: text alone, random tiny parts, tables of six lines.

For tests of where files go and how commands end. Callbacks that send signals are here, too, because YAML names them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

TINY = Path(__file__).parent / "tiny.yaml"


def write_tables(root: Path) -> Path:
    """A table to train on and one to test on."""
    root.mkdir(parents=True, exist_ok=True)
    for file, name in (("learn.csv", "a"), ("mine.csv", "b")):
        rows = [f"{name}{number},Sentence {number}.,happy,She is happy." for number in range(6)]
        (root / file).write_text("\n".join(["name,text,labels,description", *rows, ""]), encoding="utf-8")
    return root


def words(root: Path, out: Path | None, *more: str) -> list[str]:
    """Options of fit, test and predict; without `out`, results go where they go by themselves."""
    place = () if out is None else ("--trainer.logger.init_args.save_dir", str(out))
    return [
        *("--config", str(TINY), "--data.train_root", str(root), "--data.benchmark_root", str(root)),
        *("--data.train_sets", "[learn.csv]", "--data.validation_share", "0", "--data.eval_batch_size", "2"),
        *("--model.inputs", "[text]", "--trainer.precision", "32-true", "--trainer.enable_progress_bar", "false"),
        *("--trainer.max_steps", "2", *place, *more),
    ]


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a hash of what it holds."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class SignalAtStep(Callback):
    """Sends this process a signal within a step."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)
