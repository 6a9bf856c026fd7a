"""Checkpoint files that are whole or absent: written beside their place, flushed to the disk, then renamed (ours).

A crash, a kill or a full disk while one is written leaves what stood under the name before. Neighbours:
`resume_checkpoint.py` says when, `strategies.py` writes the folders of sharded runs through this module.
"""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from affect_lightning.errors import CheckpointError
from affect_lightning.model.export import read_checkpoint

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
        place = Replacement(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_through(place.temporary, checkpoint)
            place.finish()
        except OSError as error:
            place.drop()
            raise write_failure(target, error.strerror or str(error)) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of one or of several processes; only tensors and plain values, whatever `weights_only` says.

        Raises:
            CheckpointError: It is missing, damaged or foreign.
        """
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint, and the folder behind it if it is one of shards."""
        remove(Path(path))


class Replacement:
    """A place beside a target to write to, which takes the target's place when it is whole.

    A file takes it in one step. A folder cannot: it gets a name of its own, and the target becomes a link to it, in one
    step too; the folder that the link named before is then deleted.

    Attributes:
        temporary: The place; a file or a folder may be made there.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._mark = uuid.uuid4().hex[:12]
        self.temporary = target.with_name(f".{target.name}.{self._mark}{PARTIAL}")

    def finish(self) -> None:
        """Take the target's place.

        Raises:
            OSError: The system refuses; the target is as it was.
        """
        before = self.target.resolve() if self.target.is_symlink() else None
        if self.temporary.is_dir():
            folder = self.temporary.with_name(f"{self.target.name}.{self._mark}.shards")
            os.replace(self.temporary, folder)
            self.temporary.symlink_to(folder.name)
        os.replace(self.temporary, self.target)
        _flush_folder(self.target.parent)
        if before is not None and before.is_dir() and before.parent == self.target.parent.resolve():
            shutil.rmtree(before)

    def drop(self) -> None:
        """Delete what was written."""
        if self.temporary.is_dir() and not self.temporary.is_symlink():
            shutil.rmtree(self.temporary, ignore_errors=True)
        else:
            self.temporary.unlink(missing_ok=True)


def write_failure(target: Path, reason: str) -> CheckpointWriteError:
    """The error that says what could not be written and what is still there."""
    kept = f"{target} is as it was before" if target.exists() else "there was none under that name before"
    return CheckpointWriteError(
        f"The checkpoint {target} could not be written: {reason}. Training stops; {kept}. Free space or choose another "
        f"folder, then go on with --ckpt_path last."
    )


def write_through(path: Path, values: Mapping[str, Any]) -> None:
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


def remove(path: Path) -> None:
    """Delete a checkpoint: a file, a folder of shards, or a link with the folder that it names."""
    if path.is_symlink():
        folder = path.resolve()
        path.unlink()
        if folder.is_dir() and folder.parent == path.parent.resolve():
            shutil.rmtree(folder)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
