"""Losses that are NaN or infinite, and losses that leap: what a step does about them (ours).

NonFiniteGuard: the authors' fp16 run gave NaN at learning rates of 2e-5 and 3e-5 and could not go on. Here the run stops with
the step, the clips and the last good checkpoint, before a weight has changed; `skip` goes on without the step, up to a limit.
All processes decide alike. `affectgpt_module.py` asks before each optimiser step.

LossSpikeLog: a loss several times the usual one names broken annotations, silent clips and responses of another language
long before they harm. One JSON line a spike in `loss_spikes.jsonl` of the run's folder, and two curves in TensorBoard. The
window of losses is kept in the checkpoint, so that a resumed run finds the same spikes.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.model.processes import gather_objects, sum_over_processes
from affect_lightning.storage import LineLog

OnNonFinite = Literal["stop", "skip"]
MAX_SKIPPED_STEPS = 10  # our choice: one broken clip met in each of ten epochs, not a run that diverges
_log = logging.getLogger(__name__)


class NonFiniteError(AffectLightningError):
    """A loss or a gradient is NaN or infinite, and the run may not go on."""


class NonFiniteGuard:
    """Judges the step that is about to be taken.

    Attributes:
        skipped: Optimiser steps left out so far, over all runs that were resumed.
    """

    def __init__(self, on_nonfinite: str = "stop", max_skipped_steps: int = MAX_SKIPPED_STEPS) -> None:
        """Keep the options.

        Raises:
            ConfigurationError: An option is out of range.
        """
        if on_nonfinite not in ("stop", "skip") or max_skipped_steps < 0:
            raise ConfigurationError(
                f"on_nonfinite is stop or skip, and max_skipped_steps 0 or more; got {on_nonfinite!r} and "
                f"{max_skipped_steps}."
            )
        self.on_nonfinite, self.max_skipped_steps = on_nonfinite, max_skipped_steps
        self.skipped = 0
        self._names: list[str] = []
        self._losses: list[Tensor] = []

    def note(self, names: list[str], loss: Tensor) -> None:
        """Remember a batch that goes into the coming optimiser step."""
        self._names += names
        self._losses.append(loss.detach())

    def is_fit(self, norm: Tensor, *, check_norm: bool, step: int, last_checkpoint: str) -> bool:
        """Whether the step may be taken. Collective; forgets the noted batches.

        Args:
            norm: Of the gradient, over all processes' shards.
            check_norm: False where infinite gradients are usual (fp16 with loss scaling skips them itself).
            step: Optimiser steps done.
            last_checkpoint: For the message; empty if there is none.

        Returns:
            False if the step is to be skipped; it is counted already.

        Raises:
            NonFiniteError: The policy is `stop`, or the limit of `skip` is passed.
        """
        names, losses = self._names, self._losses
        self._names, self._losses = [], []
        bad_loss = ~torch.stack([torch.isfinite(loss).all() for loss in losses or [norm.new_zeros(())]]).all()
        bad_norm = ~torch.isfinite(norm) if check_norm else torch.zeros_like(bad_loss)
        bad = sum_over_processes(torch.stack([bad_loss, bad_norm.to(bad_loss.device)]).float())
        if not bool(bad.any()):
            return True
        value = next((float(loss) for loss in losses if not bool(torch.isfinite(loss).all())), float(norm))
        found = gather_objects((bool(bad_loss), value, names))
        culprits = [entry for entry in found if entry[0]] or found
        what = "loss" if bool(bad[0]) else "gradient norm"
        clips = ", ".join(name for _, _, batch in culprits for name in batch)
        told = f"The {what} is {culprits[0][1]} at step {step}, clips {clips}."
        if self.on_nonfinite == "skip" and self.skipped < self.max_skipped_steps:
            self.skipped += 1
            _log.warning("%s The step is skipped (%d of at most %d).", told, self.skipped, self.max_skipped_steps)
            return False
        raise NonFiniteError(f"{told} {self._advice(last_checkpoint)}")

    def _advice(self, last_checkpoint: str) -> str:
        spent = f" {self.skipped} steps were skipped, the limit of max_skipped_steps." if self.skipped else ""
        kept = f"the last good checkpoint is {last_checkpoint}" if last_checkpoint else "no checkpoint was written yet"
        return (
            f"Training stops here, before a weight changed;{spent} {kept}. Look at these clips, lower "
            f"model.learning_rate, set trainer.gradient_clip_val, or go on without such steps with "
            f"model.on_nonfinite=skip."
        )


def last_checkpoint_of(trainer: Any) -> str:
    """Path of the newest checkpoint that this run wrote or went on from; empty if there is none."""
    for callback in trainer.checkpoint_callbacks:
        path = getattr(callback, "last_model_path", "") or getattr(callback, "best_model_path", "")
        if path:
            return str(path)
    return str(trainer.ckpt_path or "")


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
