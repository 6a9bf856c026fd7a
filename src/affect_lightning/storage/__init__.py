"""Storage: files that survive a kill, a crash and a full disk. Imports the standard library, filelock and fsspec only.

Everything that writes a file, appends to one, locks one, or keeps one for the user goes through here, and so does work
that several machines divide among them (`parts.py`).
"""

from affect_lightning.storage.cache_folder import (
    CACHE_VARIABLE,
    keep_libraries_out_of_a_home_that_cannot_be_written,
    user_cache_folder,
)
from affect_lightning.storage.line_logs import DamagedLineError, LineLog
from affect_lightning.storage.object_storage import ObjectFolder, is_address
from affect_lightning.storage.parts import FinishedPart, Part, PartError, WorkInParts
from affect_lightning.storage.whole_files import (
    Content,
    file_lock,
    try_place,
    whole_path,
    write_whole,
    write_whole_files,
)

__all__ = [
    "CACHE_VARIABLE",
    "Content",
    "DamagedLineError",
    "FinishedPart",
    "LineLog",
    "ObjectFolder",
    "Part",
    "PartError",
    "WorkInParts",
    "file_lock",
    "is_address",
    "keep_libraries_out_of_a_home_that_cannot_be_written",
    "try_place",
    "user_cache_folder",
    "whole_path",
    "write_whole",
    "write_whole_files",
]


def __dir__() -> list[str]:
    return sorted(__all__)
