"""Writing the files of a run's results: all of them, or none, and a sentence if the system refuses.

`predictions.py` and `report` write through this module; `storage` keeps the files whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from affect_lightning.errors import DataError
from affect_lightning.storage import write_whole_files


class WritingError(DataError):
    """Files could not be written: a full disk, a missing right or a folder that is a file."""


def write_files(contents: Mapping[Path, str]) -> list[Path]:
    """Write a group of text files (UTF-8), none of which takes its name before all of them are written.

    Args:
        contents: Text by final path. Missing folders are made.

    Returns:
        The paths written.

    Raises:
        WritingError: The system refuses; no file is half written.
    """
    try:
        return write_whole_files(contents)
    except OSError as error:
        raise WritingError(
            f"{error.filename} could not be written: {error.strerror or error}. Nothing half-written was left under that "
            f"name. Free space or choose another folder, then run the command again."
        ) from error
