"""Reads the clips of a batch in several threads of this process, where no worker processes read.

Decoding, resizing and face detection release Python's lock, so two threads read nearly twice as fast; on a machine with
few cores that beats a worker process, which would take a core from the model during the step.
Neighbours: `dataset.py` reads one clip, `loading.py` asks for batches.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from affect_lightning.data.dataset import BadClip, ClipDataset, ClipSample, FailedSample, SampleKey
from affect_lightning.errors import ConfigurationError


class ThreadedClips:
    """A data set that torch's DataLoader asks for whole batches; samples and their order are those of one thread.

    Every thread has a copy of the face cropper, because a detector need not be safe to share.

    Args:
        dataset: The clips; it must not have been read from yet, as if it were sent to a worker process.
        threads: How many clips are read at once.

    Raises:
        ConfigurationError: `threads` is below 1.
    """

    def __init__(self, dataset: ClipDataset, threads: int):
        check_reading_threads(threads)
        self.dataset = dataset
        self.threads = threads
        self._own = threading.local()
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> ClipSample | BadClip | FailedSample:
        """One clip, read in this thread."""
        return self._reader()[key]

    def __getitems__(self, keys: Sequence[SampleKey]) -> list[ClipSample | BadClip | FailedSample]:
        """The clips of a batch, in the order of the keys."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="clip-reader")
        return list(self._pool.map(self.__getitem__, keys))

    def close(self) -> None:
        """End the threads; another batch starts new ones."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _reader(self) -> ClipDataset:
        if not hasattr(self._own, "reader"):
            reader = copy.copy(self.dataset)
            reader.cropper = copy.deepcopy(self.dataset.cropper)
            self._own.reader = reader
        reader = self._own.reader
        assert isinstance(reader, ClipDataset)
        return reader


def check_reading_threads(threads: Any) -> None:
    """Check the option.

    Raises:
        ConfigurationError: It is below 1.
    """
    if threads < 1:
        raise ConfigurationError(f"reading_threads must be at least 1; got {threads}.")
