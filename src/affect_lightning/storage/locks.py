"""Locks between processes: filelock's, which the operating system takes back however a process ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


def file_lock(path: Path, wait_seconds: float = -1) -> BaseFileLock:
    """A lock on a file that stays there: a context, or `acquire` and `release`.

    Args:
        path: Of the file; its folder must exist.
        wait_seconds: For another holder; below 0 means for ever. Then `acquire` raises TimeoutError.
    """
    from filelock import FileLock  # its import loads asyncio

    return FileLock(path, timeout=wait_seconds, thread_local=False)
