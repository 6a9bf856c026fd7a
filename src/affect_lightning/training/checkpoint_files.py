"""Checkpoint files: written whole or not at all, and found again by `--ckpt_path last` (ours).

    runs/<experiment>/<version>/checkpoints/last.ckpt
    runs/<experiment>/<version>/checkpoints/slurm_job     the SLURM job that last trained there

A crash, a kill or a full disk while one is written leaves what stood under the name before. The command line looks in the
folders before a Trainer exists. `resume_checkpoint.py` says when, `affect_lightning.checkpoints` reads.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from affect_lightning.checkpoints import read_checkpoint
from affect_lightning.errors import CheckpointError
from affect_lightning.storage import write_whole

LAST = "last.ckpt"
FOLDER = "checkpoints"
_JOB = "slurm_job"


def checkpoint_folders(experiment: Path, version: str | int | None = None) -> list[Path]:
    """Folders with the checkpoints of an experiment's runs.

    Args:
        experiment: Folder of the runs.
        version: Of one run; None means all.
    """
    if version is None:
        return sorted(experiment.glob(f"*/{FOLDER}"))
    return [experiment / (version if isinstance(version, str) else f"version_{version}") / FOLDER]


def last_checkpoint(folders: Iterable[Path], job: str | None = None) -> Path | None:
    """The checkpoint that was saved last; None if there is none.

    Args:
        folders: With checkpoints; need not exist.
        job: Look only where this SLURM job has trained.
    """
    found = [folder / LAST for folder in folders if job is None or job_of(folder) == job]
    whole = [path for path in found if path.exists()]
    return max(whole, key=lambda path: path.stat().st_mtime, default=None)


def note_job(folder: Path, job: str) -> None:
    """Remember that a SLURM job trains here."""
    write_whole(folder / _JOB, job)


def job_of(folder: Path) -> str | None:
    """The SLURM job that last trained here."""
    try:
        return (folder / _JOB).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


class CheckpointWriteError(CheckpointError):
    """A checkpoint could not be written; the one before it is as it was."""


class WholeFileCheckpoints(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, whole or not at all, and without executing anything."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointWriteError: The system refuses; a file under the name is as it was.
        """
        target = Path(path)
        # torch writing to the file itself reports a full disk as a RuntimeError without the reason.
        buffer = io.BytesIO()
        torch.save(dict(checkpoint), buffer)
        try:
            write_whole(target, buffer.getbuffer())
        except OSError as error:
            raise write_failure(target, error.strerror or str(error)) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; only tensors and plain values, whatever `weights_only` says.

        Raises:
            CheckpointError: It is missing, damaged or foreign.
        """
        return read_checkpoint(path)


def write_failure(target: Path, reason: str) -> CheckpointWriteError:
    """The error that says what could not be written and what is still there."""
    kept = f"{target} is unchanged" if target.exists() else "no earlier checkpoint has this name"
    return CheckpointWriteError(
        f"The checkpoint {target} could not be written: {reason}. Free space or choose another folder, then continue "
        f"with --ckpt_path last. Training stops; {kept}."
    )
