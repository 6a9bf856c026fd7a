"""ResumeCheckpoint: `last.ckpt`, from which a run continues with the next clip, also after SIGTERM and SIGUSR1 (ours).

Written after a step, never within one: every so many steps, every so many minutes, when training ends, and when a signal
comes. Lightning's ModelCheckpoint next to it keeps those of whole epochs. Lightning's own signal handlers write a checkpoint
from wherever the signal meets the program, in the middle of a step and between collectives. Here the handler only notes the
signal; the callback looks after each step, when weights, optimiser and data order belong together, and asks the other
processes.

SIGTERM: checkpoint, then stop with exit code 143. Ctrl-C: the same with 130; a second one stops at once. SIGUSR1: checkpoint;
in a SLURM job also `scontrol requeue` and stop (what `#SBATCH --signal=SIGUSR1@90` is for), elsewhere continue. `signals.py` has
the handlers, and `checkpoint_files.py` writes the file and finds it again.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from affect_lightning.errors import ConfigurationError
from affect_lightning.training.checkpoint_files import LAST, WholeFileCheckpoints, note_job
from affect_lightning.training.signals import SIGUSR1, SignalNotes, StoppedBySignal

_log = logging.getLogger(__name__)


def slurm_job() -> str | None:
    """Identity of the SLURM job that this process is in, as `scontrol` takes it; None outside of one."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return job if re.fullmatch(r"[0-9_]+", job) and not interactive else None


def requeue(job: str) -> bool:
    """Ask SLURM to run the job again; whether it agreed."""
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning(
            "SLURM job %s could not be requeued: %s. Submit it again; it continues from last.ckpt.", job, error
        )
        return False
    if done.returncode:
        _log.warning("SLURM did not requeue job %s: %s. Submit it again.", job, done.stderr.strip())
    return done.returncode == 0


class ResumeCheckpoint(Checkpoint):
    """Writes `last.ckpt` so that no more than an interval of training can be lost.

    Attributes:
        last_model_path: The last one written; empty before the first.
        steps_done: Optimiser steps since training began here.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        *,
        every_n_steps: int | None = 1000,
        every_minutes: float | None = 15.0,
        auto_requeue: bool = True,
    ) -> None:
        """Keep the options.

        Args:
            dirpath: Folder; None means `checkpoints` in the run's folder.
            every_n_steps: Optimiser steps between two (1000, our choice: four minutes of the paper's training); null
                for no such interval.
            every_minutes: Minutes between two (15, our choice); null for no such interval.
            auto_requeue: Whether SIGUSR1 in a SLURM job requeues it.

        Raises:
            ConfigurationError: An interval is not above 0.
        """
        for name, value in (("every_n_steps", every_n_steps), ("every_minutes", every_minutes)):
            if value is not None and value <= 0:
                raise ConfigurationError(f"resume.{name} must be above 0, or null for none; got {value}.")
        self.dirpath, self.auto_requeue = dirpath, auto_requeue
        self.every_n_steps, self.every_minutes = every_n_steps, every_minutes
        self.last_model_path = ""
        self.steps_done = 0
        self._signals = SignalNotes()
        self._saved_step = self._seen_step = -1
        self._saved_at = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make every checkpoint of the run, ModelCheckpoint's too, whole or absent."""
        strategy = trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:
            strategy.checkpoint_io = WholeFileCheckpoints()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, listen to signals, and note the SLURM job, so that its next run finds this one."""
        self._saved_at = time.monotonic()
        self._saved_step = self._seen_step = trainer.global_step
        self.steps_done = 0
        self.last_model_path = str(trainer.ckpt_path or "")
        self._signals.watch(at_once=False)
        folder = self.path(trainer).parent  # asks all processes
        job = slurm_job()
        if job is not None and trainer.is_global_zero:
            note_job(folder, job)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time, and obey the signals."""
        if trainer.global_step == self._seen_step:  # gradients are being gathered: they are in no checkpoint
            return
        self.steps_done += trainer.global_step - self._seen_step
        self._seen_step = trainer.global_step
        due, terminate, interrupt, requeued = self._agreed(trainer)
        if due or terminate or interrupt or requeued:
            self._save(trainer)
        if requeued:
            job = slurm_job() if self.auto_requeue else None
            if job is not None:
                if trainer.is_global_zero:
                    requeue(job)
                trainer.strategy.barrier("requeue")
                self._stop(trainer, SIGUSR1, f"SIGUSR1: SLURM job {job} is requeued")
        if terminate:
            self._stop(trainer, signal.SIGTERM, "SIGTERM")
        if interrupt:
            self._stop(trainer, signal.SIGINT, "Ctrl-C")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step, and give the signals back."""
        self._save(trainer)
        self._signals.release()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let a signal end a test at once, within a response: Lightning would wait for the end of the batch."""
        self._signals.watch(at_once=True)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same for a prediction."""
        self._signals.watch(at_once=True)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self._signals.release()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self._signals.release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back. What was saved last is good; the state that failed may not be."""
        self._signals.release()

    def path(self, trainer: Trainer) -> Path:
        """Where `last.ckpt` of this run is."""
        folder = self.dirpath or os.path.join(trainer.log_dir or trainer.default_root_dir, "checkpoints")
        return Path(trainer.strategy.broadcast(folder)) / LAST

    def _agreed(self, trainer: Trainer) -> tuple[bool, ...]:
        """Whether it is time to save, and whether SIGTERM, SIGINT or SIGUSR1 came to any process; the same in all."""
        steps = self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0
        # The end of training is saved here, within the epoch's loop, so that a longer training continues from it.
        due = steps or trainer.global_step == trainer.max_steps
        minutes = (time.monotonic() - self._saved_at) / 60.0
        due |= self.every_minutes is not None and minutes >= self.every_minutes
        came = self._signals.take()
        wishes = [due, signal.SIGTERM in came, signal.SIGINT in came, SIGUSR1 in came]
        if trainer.world_size > 1:
            told = torch.tensor(wishes, dtype=torch.float32, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
            wishes = [bool(wish) for wish in told.tolist()]
        return tuple(wishes)

    def _save(self, trainer: Trainer) -> None:
        if getattr(trainer, "fast_dev_run", False) or self._saved_step == trainer.global_step:
            return
        target = self.path(trainer)
        if trainer.is_global_zero and Path(self.last_model_path).resolve() != target.resolve():
            keep_earlier(target)
        before, self.last_model_path = self.last_model_path, str(target)  # the path is part of what is saved
        try:
            trainer.save_checkpoint(target, weights_only=False)
        except BaseException:
            self.last_model_path = before
            raise
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def _stop(self, trainer: Trainer, number: int, what: str) -> None:
        raise StoppedBySignal(
            number,
            f"{what}. Stopped after step {trainer.global_step}, which is in {self.last_model_path}. Continue with --ckpt_path "
            f"last.",
        )


def keep_earlier(target: Path) -> None:
    """Rename what an earlier run left under the name, so that a new run in the same folder destroys nothing."""
    if not target.exists():
        return
    number = 1
    while (kept := target.with_name(f"{target.stem}-v{number}{target.suffix}")).exists():
        number += 1
    os.rename(target, kept)
    _log.warning("%s belongs to an earlier run and is now %s.", target, kept.name)
