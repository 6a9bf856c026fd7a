"""Storage: files that survive a kill, a crash and a full disk. Imports the standard library and filelock only.

Everything that writes a file, appends to one, locks one, or keeps one for the user goes through here.
"""

from affect_lightning.storage.cache_folder import (
    CACHE_VARIABLE,
    keep_libraries_out_of_a_home_that_cannot_be_written,
    user_cache_folder,
)
from affect_lightning.storage.line_logs import DamagedLineError, LineLog
from affect_lightning.storage.whole_files import (
    Content,
    file_lock,
    whole_path,
    write_whole,
    write_whole_files,
)

__all__ = [
    "CACHE_VARIABLE",
    "Content",
    "DamagedLineError",
    "LineLog",
    "file_lock",
    "keep_libraries_out_of_a_home_that_cannot_be_written",
    "user_cache_folder",
    "whole_path",
    "write_whole",
    "write_whole_files",
]


def __dir__() -> list[str]:
    return sorted(__all__)
