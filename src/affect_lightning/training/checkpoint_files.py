"""Checkpoint files that are whole or absent (ours).

A crash, a kill or a full disk while one is written leaves what stood under the name before. Neighbours:
`resume_checkpoint.py` says when, `strategies.py` writes the folders of sharded runs through this module.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from affect_lightning.errors import CheckpointError
from affect_lightning.model.export import read_checkpoint
from affect_lightning.storage import place_beside, put_in_place, whole_path, write_whole


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
        before = linked_folder(target)
        try:
            write_through(target, checkpoint)
        except OSError as error:
            raise write_failure(target, error.strerror or str(error)) from error
        if before is not None:
            shutil.rmtree(before)

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
    """A folder beside a target, which the target names when it is whole.

    A folder cannot take a name in one step from one with content. So it gets a name of its own, and the target becomes a
    link to it, in one step; the folder that the link named before is then deleted.

    Attributes:
        temporary: To be made and filled.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.temporary = place_beside(target)

    def finish(self) -> None:
        """Let the target name the folder.

        Raises:
            OSError: The system refuses; the target is as it was.
        """
        before = linked_folder(self.target)
        folder = self.temporary.with_name(f"{self.target.name}.{uuid.uuid4().hex[:12]}.shards")
        put_in_place(self.temporary, folder)
        with whole_path(self.target) as link:
            link.symlink_to(folder.name)
        if before is not None:
            shutil.rmtree(before)

    def drop(self) -> None:
        """Delete what was written."""
        shutil.rmtree(self.temporary, ignore_errors=True)


def write_failure(target: Path, reason: str) -> CheckpointWriteError:
    """The error that says what could not be written and what is still there."""
    kept = f"{target} is as it was before" if target.exists() else "there was none under that name before"
    return CheckpointWriteError(
        f"The checkpoint {target} could not be written: {reason}. Training stops; {kept}. Free space or choose another "
        f"folder, then go on with --ckpt_path last."
    )


def write_through(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as torch does; the file appears whole or not at all.

    Raises:
        OSError: The system refuses, for instance because the disk is full.
    """
    # torch writing to the file itself reports a full disk as a RuntimeError without the reason.
    buffer = io.BytesIO()
    torch.save(dict(values), buffer)
    write_whole(path, buffer.getbuffer())


def linked_folder(path: Path) -> Path | None:
    """The folder beside it that a link names; None if it is no such link."""
    folder = path.resolve() if path.is_symlink() else None
    return folder if folder is not None and folder.is_dir() and folder.parent == path.parent.resolve() else None


def remove(path: Path) -> None:
    """Delete a checkpoint: a file, a folder of shards, or a link with the folder that it names."""
    folder = linked_folder(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if folder is not None:
        shutil.rmtree(folder)
