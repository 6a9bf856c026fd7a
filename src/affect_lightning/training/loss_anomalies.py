"""Losses that are NaN or infinite, and losses that leap: what a step does about them (ours).

NonFiniteGuard: the authors' fp16 run gave NaN at learning rates of 2e-5 and 3e-5 and could not continue. Here the run stops with
the step, the clips and the last good checkpoint, before a weight has changed; `skip` continues without the step, up to a limit.
All processes decide alike. `affectgpt_module.py` asks before each optimiser step. On a GPU the step is left out there, and the
processor learns of it one step later (`late_reading.py`): the run then stops a step later, with the same weights.

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
from typing import Any, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from affect_lightning.errors import AffectLightningError, ConfigurationError
from affect_lightning.model.options import ExecutionOptions, OnNonFinite
from affect_lightning.model.processes import gather_objects, sum_over_processes
from affect_lightning.storage import LineLog
from affect_lightning.training.late_reading import LateReader, log_number

_log = logging.getLogger(__name__)


class NonFiniteError(AffectLightningError):
    """A loss or a gradient is NaN or infinite, and the run may not continue."""


class NonFiniteGuard:
    """Judges the step that is about to be taken.

    Attributes:
        skipped: Optimiser steps left out so far, over all runs that were resumed.
        newest_loss: Of the newest batch that was judged; None before the first.
    """

    def __init__(
        self,
        on_nonfinite: str = ExecutionOptions.on_nonfinite,
        max_skipped_steps: int = ExecutionOptions.max_skipped_steps,
    ) -> None:
        """Keep the options.

        Raises:
            ConfigurationError: An option is out of range.
        """
        if on_nonfinite not in get_args(OnNonFinite) or max_skipped_steps < 0:
            raise ConfigurationError(
                f"on_nonfinite must be stop or skip, and max_skipped_steps must be 0 or more; got {on_nonfinite!r} and "
                f"{max_skipped_steps}."
            )
        self.on_nonfinite, self.max_skipped_steps = on_nonfinite, max_skipped_steps
        self.skipped = 0
        self.newest_loss: float | None = None
        self._names: list[str] = []
        self._losses: list[Tensor] = []
        self._reports: LateReader[tuple[int, list[str]]] = LateReader()

    def note(self, names: list[str], loss: Tensor) -> None:
        """Remember a batch that goes into the coming optimiser step."""
        self._names += names
        self._losses.append(loss.detach())

    def judge(self, norm: Tensor, *, check_norm: bool, step: int, trainer: Any) -> Tensor:
        """Whether the step that comes must be left out. Collective; forgets the noted batches.

        On a GPU the answer stays there, and the processor learns it one step later: then it counts, warns or raises.
        Until then the caller keeps the step from changing anything, which needs the answer on the device only.

        Args:
            norm: Of the gradient, over all processes' shards.
            check_norm: False where infinite gradients are usual (fp16 with loss scaling skips them itself).
            step: Optimiser steps done.
            trainer: Knows the last checkpoint, for the message.

        Returns:
            1 if the step is to be skipped, else 0; a scalar on the device.

        Raises:
            NonFiniteError: The policy is `stop`, or the limit of `skip` is passed.
        """
        names, losses = self._names, self._losses
        self._names, self._losses = [], []
        values = torch.stack(losses or [norm.new_zeros(())]).float()  # of each batch of the step
        bad_loss = ~values.isfinite().all()
        bad_norm = ~torch.isfinite(norm) if check_norm else torch.zeros_like(bad_loss)
        bad = sum_over_processes(torch.stack([bad_loss, bad_norm.to(bad_loss.device)]).float())
        report = torch.cat([bad, norm.detach().to(values).reshape(1), values])
        self._decide(self._reports.push(report, (step, names)), trainer)
        return (bad.sum() > 0).float()

    def catch_up(self, trainer: Any) -> None:
        """Judge the steps that are not judged yet, before something is written about them. Collective.

        Raises:
            NonFiniteError: See `judge`.
        """
        self._decide(self._reports.flush(), trainer)

    def _decide(self, reports: list[tuple[list[float], tuple[int, list[str]]]], trainer: Any) -> None:
        for (bad_losses, bad_norms, norm, *losses), (step, names) in reports:
            self.newest_loss = losses[-1]
            if bad_losses or bad_norms:
                self._decide_bad(bool(bad_losses), norm, losses, step, names, trainer)

    def _decide_bad(
        self, by_loss: bool, norm: float, losses: list[float], step: int, names: list[str], trainer: Any
    ) -> None:
        value = next((loss for loss in losses if not math.isfinite(loss)), None)
        found = gather_objects((value is not None, norm if value is None else value, names))
        culprits = [entry for entry in found if entry[0]] or found
        clips = ", ".join(name for _, _, batch in culprits for name in batch)
        told = f"The {'loss' if by_loss else 'gradient norm'} is {culprits[0][1]} at step {step}, clips {clips}."
        if self.on_nonfinite == "skip" and self.skipped < self.max_skipped_steps:
            self.skipped += 1
            _log.warning("%s The step is skipped (%d of at most %d).", told, self.skipped, self.max_skipped_steps)
            return
        raise NonFiniteError(f"{told} {self._advice(last_checkpoint_of(trainer))}")

    def _advice(self, last_checkpoint: str) -> str:
        spent = f" {self.skipped} steps were skipped, which is the limit of max_skipped_steps." if self.skipped else ""
        kept = f"the last good checkpoint is {last_checkpoint}" if last_checkpoint else "no checkpoint exists yet"
        return (
            f"Training stops before a weight changes;{spent} {kept}. Check these clips, lower model.learning_rate, "
            "set trainer.gradient_clip_val, or skip such steps with model.on_nonfinite=skip."
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
        self._usual: float | None = None  # median before the newest loss; None while too few are known
        self._reports: LateReader[tuple[int, list[str]]] = LateReader()
        self._log = LineLog(Path(FILE))

    def state_dict(self) -> dict[str, Any]:
        """The window and the count, of process 0, with every step so far."""
        self._judge_all(self._reports.flush())
        return {"losses": list(self._losses), "spikes": self.spikes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the window of the checkpoint."""
        self._losses.extend(state_dict["losses"])
        self.spikes = state_dict["spikes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop lines of steps after the checkpoint that the run continues from: they will come again."""
        name = FILE if trainer.global_rank == 0 else f"{Path(FILE).stem}-rank{trainer.global_rank}.jsonl"
        self._log = LineLog(Path(trainer.log_dir or trainer.default_root_dir) / name)
        if trainer.ckpt_path and self._log.path.is_file():
            self._log.rewrite([row for row in self._log.new_records() if row["step"] <= trainer.global_step])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare the step's loss with the median of those before it; on a GPU when the next step is given out."""
        if isinstance(outputs, dict) and "loss" in outputs:
            loss = outputs["loss"].detach() * trainer.accumulate_grad_batches  # Lightning has divided by it
            self._judge_all(self._reports.push(loss.reshape(1), (trainer.global_step, batch.names)))
        if self._usual is not None:
            log_number(pl_module, "train/loss_median", self._usual, batch_size=len(batch))
            log_number(pl_module, "train/loss_spikes", self.spikes, batch_size=len(batch))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge the last step."""
        self._judge_all(self._reports.flush())

    def _judge_all(self, reports: list[tuple[list[float], tuple[int, list[str]]]]) -> None:
        for (loss,), (step, names) in reports:
            if not math.isfinite(loss):
                continue
            self._usual = median(self._losses) if len(self._losses) >= self.warmup else None
            if self._usual is not None and loss > self.factor * self._usual:
                self.spikes += 1
                self._write({"step": step, "clips": names, "loss": loss, "median": self._usual})
            self._losses.append(loss)

    def _write(self, row: dict[str, Any]) -> None:
        try:
            self._log.add(row)
        except OSError as error:
            raise AffectLightningError(
                f"{self._log.path} cannot be written: {error.strerror or error}. Free space, then continue with --ckpt_path "
                f"last."
            ) from error
