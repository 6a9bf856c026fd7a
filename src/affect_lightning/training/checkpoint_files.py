"""Checkpoint files that are whole or absent: written beside their place, flushed to the disk, then renamed (ours).

A crash, a kill or a full disk while one is written leaves what stood under the name before. Neighbours:
`resume_checkpoint.py` says when, `affect_lightning.checkpoints` reads.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from affect_lightning.checkpoints import read_checkpoint
from affect_lightning.errors import CheckpointError

PARTIAL = ".partial"  # ends the name of what is not whole yet; such leftovers of killed runs may be deleted


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
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}{PARTIAL}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_through(temporary, checkpoint)
            os.replace(temporary, target)
            _flush_folder(target.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
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
    kept = f"{target} is as it was before" if target.exists() else "there was none under that name before"
    return CheckpointWriteError(
        f"The checkpoint {target} could not be written: {reason}. Training stops; {kept}. Free space or choose another "
        f"folder, then go on with --ckpt_path last."
    )


def _write_through(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as torch does, to the disk and not only to the system's memory.

    Raises:
        OSError: The system refuses, for instance because the disk is full.
    """
    # torch writing to the path itself reports a full disk as a RuntimeError without the reason.
    buffer = io.BytesIO()
    torch.save(dict(values), buffer)
    with path.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the new name last through a power cut; where folders cannot be opened the system does so by itself."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
