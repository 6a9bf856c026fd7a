"""LossSpikeLog: which clips were in a step whose loss leapt (ours).

A loss several times the usual one names broken annotations, silent clips and responses of another language long before
they harm. One JSON line a spike in `loss_spikes.jsonl` of the run's folder, and two curves in TensorBoard. Neighbour:
`resume_checkpoint.py` keeps the window of losses in the checkpoint, so that a resumed run finds the same spikes.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.storage import LineLog

FILE = "loss_spikes.jsonl"


class LossSpikeLog(Callback):
    """Writes a line for each step whose loss is far above the running median.

    With several processes each judges its own clips by its own losses; the lines of rank 1 are in
    `loss_spikes-rank1.jsonl`, and so on.
    """

    def __init__(self, factor: float = 3.0, *, window: int = 200, warmup: int = 20) -> None:
        """Keep the options.

        Args:
            factor: A spike is a loss above so many times the median (3, our choice).
            window: Losses that the median is of (200, our choice).
            warmup: Losses that must be known first (20, our choice).

        Raises:
            ConfigurationError: An option is out of range.
        """
        if factor <= 1.0 or not 1 <= warmup <= window:
            raise ConfigurationError(
                f"spikes.factor must be above 1 and 1 <= spikes.warmup <= spikes.window; got {factor}, {warmup} and "
                f"{window}."
            )
        self.factor, self.warmup = factor, warmup
        self.spikes = 0
        self._losses: deque[float] = deque(maxlen=window)
        self._log = LineLog(Path(FILE))

    def state_dict(self) -> dict[str, Any]:
        """The window and the count, of process 0."""
        return {"losses": list(self._losses), "spikes": self.spikes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the window of the checkpoint."""
        self._losses.extend(state_dict["losses"])
        self.spikes = state_dict["spikes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop lines of steps after the checkpoint that the run goes on from: they will come again."""
        name = FILE if trainer.global_rank == 0 else f"{Path(FILE).stem}-rank{trainer.global_rank}.jsonl"
        self._log = LineLog(Path(trainer.log_dir or trainer.default_root_dir) / name)
        if trainer.ckpt_path and self._log.path.is_file():
            self._log.rewrite([row for row in self._log.new_records() if row["step"] <= trainer.global_step])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare the step's loss with the median of those before it."""
        loss = float(outputs["loss"]) if isinstance(outputs, dict) and "loss" in outputs else math.nan
        loss *= trainer.accumulate_grad_batches  # Lightning has divided by it
        if not math.isfinite(loss):
            return
        if len(self._losses) >= self.warmup:
            usual = median(self._losses)
            pl_module.log("train/loss_median", usual, batch_size=len(batch))
            if loss > self.factor * usual:
                self.spikes += 1
                self._write(trainer, batch.names, loss, usual)
            pl_module.log("train/loss_spikes", float(self.spikes), batch_size=len(batch))
        self._losses.append(loss)

    def _write(self, trainer: Trainer, names: list[str], loss: float, usual: float) -> None:
        row = {"step": trainer.global_step, "clips": names, "loss": loss, "median": usual}
        try:
            self._log.add(row)
        except OSError as error:
            raise AffectLightningError(
                f"{self._log.path} cannot be written: {error.strerror or error}. Free space, then go on with "
                f"--ckpt_path last."
            ) from error
