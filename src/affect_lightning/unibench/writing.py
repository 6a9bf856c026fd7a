"""Writing files so that a full disk leaves nothing half-written under the final name.

Every file is first written beside its place under a temporary name, flushed to the disk, and renamed only when all the
files of the group are complete. `predictions.py` and `report` write through this module.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from affect_lightning.errors import DataError


class WritingError(DataError):
    """Files could not be written: a full disk, a missing right or a folder that is a file."""


def write_files(contents: Mapping[Path, str]) -> list[Path]:
    """Write a group of text files (UTF-8); either all get their new content or all keep their old one.

    Args:
        contents: Text by final path. Missing folders are made.

    Returns:
        The paths written.

    Raises:
        WritingError: The system refuses; files under the final names are as they were before.
    """
    staged: dict[Path, Path] = {}
    current = Path()
    try:
        for current, text in contents.items():
            current.parent.mkdir(parents=True, exist_ok=True)
            staged[current] = current.with_name(f".{current.name}.{uuid.uuid4().hex}.partial")
            _write_through(staged[current], text)
        for current, temporary in staged.items():
            os.replace(temporary, current)
    except OSError as error:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
        raise WritingError(
            f"{current} could not be written: {error.strerror or error}. Nothing half-written was left under that "
            f"name. Free space or choose another folder, then run the command again."
        ) from error
    return list(staged)


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
