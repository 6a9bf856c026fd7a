"""One `affect-lightning cache` at a time writes into a cache, and no process that a kill left behind writes on.

Locks are those of the operating system (flock), which end with their process however it ends. Neighbour:
`command_line/cache_command.py` holds the lock while it looks for what is missing, its processes share it while they write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from affect_lightning.errors import DataError

LOCK_FILE = "writing.lock"
WAIT_SECONDS = 60.0  # our choice: orphans of a killed command end after the batch that they are in


class CacheLock:
    """The right to write into a cache; a context.

    Args:
        folder: Of the cache; it must exist.
        shared: Share it with the other processes of one command. Otherwise nobody else may hold it.
        wait_seconds: How long to wait for others to end.

    Raises:
        DataError: Another command holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path, *, shared: bool = False, wait_seconds: float = WAIT_SECONDS) -> None:
        import fcntl

        self._change: Callable[[int], None] = lambda kind: fcntl.flock(self._stream, kind | fcntl.LOCK_NB)
        self._shared_kind = fcntl.LOCK_SH
        self.folder = folder
        try:
            self._stream = (folder / LOCK_FILE).open("ab")
        except OSError as error:
            raise DataError(
                f"The feature cache {folder} cannot be written: {error.strerror}. Set data.feature_folder to a folder "
                f"that you may write to."
            ) from error
        until = time.monotonic() + wait_seconds
        while not self._taken(fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            if time.monotonic() > until:
                self._stream.close()
                raise self._held_by_another()
            time.sleep(0.05)

    def share(self) -> None:
        """Let processes of this command take the lock too; other commands still cannot."""
        if not self._taken(self._shared_kind):
            raise self._held_by_another()

    def _taken(self, kind: int) -> bool:
        try:
            self._change(kind)
        except BlockingIOError:
            return False
        return True

    def _held_by_another(self) -> DataError:
        return DataError(
            f"Another `affect-lightning cache` is writing into {self.folder}. Wait for it to end, or end it; this one goes "
            f"on where it stopped."
        )

    def __enter__(self) -> CacheLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
