"""SIGTERM and SIGUSR1 in training: noted at once, obeyed at the end of a step (ours).

Lightning's own handlers write a checkpoint from wherever the signal meets the program, in the middle of a step and
between collectives. Here the handler only notes the signal; `resume_checkpoint.py` looks after each step, when weights,
optimiser and data order belong together, and asks the other processes.

SIGTERM: checkpoint, then stop with exit code 143. SIGUSR1: checkpoint; in a SLURM job also `scontrol requeue` and stop
(what `#SBATCH --signal=SIGUSR1@90` is for), elsewhere continue.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

_log = logging.getLogger(__name__)
_WATCHED = tuple(
    number for name in ("SIGTERM", "SIGUSR1") if (number := getattr(signal, name, None)) is not None
)  # Windows has no SIGUSR1


class StoppedBySignal(SystemExit):
    """Training has stopped because a signal asked for it; the exit code is 128 and the signal's number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(128 + number)
        self.message = message

    def __str__(self) -> str:
        return self.message


class SignalNotes:
    """Which of the signals have come since they were last asked for."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}

    def watch(self) -> None:
        """Take the signals over; only the main thread can."""
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._before = {number: signal.signal(number, self._note) for number in _WATCHED}

    def release(self) -> None:
        """Give the signals back to those who had them."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def take(self) -> set[int]:
        """The signals that came, which are forgotten."""
        came, self._came = self._came, set()
        return came

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.add(number)


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
