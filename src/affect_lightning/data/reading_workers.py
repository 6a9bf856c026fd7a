"""Who reads the clips: threads of this process, or worker processes of torch's loader, and how these start and end.

Decoding, resizing and face detection release Python's lock, so two threads read nearly twice as fast. On a machine with
few cores that is better than a worker process, which would take a core from the model during the step. `dataset.py`
reads one clip; `loading.py` and `feature_cache/clip_encoding.py` start workers.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from typing import Any, Literal, TypeVar

from affect_lightning.contracts import FaceDetector
from affect_lightning.data.dataset import BadClip, ClipDataset, ClipSample, FailedSample
from affect_lightning.data.ordering import SampleKey
from affect_lightning.errors import ConfigurationError, DataError

WorkerStart = Literal["spawn", "fork", "forkserver"]
_Batch = TypeVar("_Batch")
HANG_SECONDS = 900  # our choice: no batch takes a quarter of an hour; a worker that sends nothing for so long hangs
SIGNAL_SECONDS = 2.0  # our choice: the signal comes within milliseconds
LOCK_SECONDS = 5.0  # our choice: a live worker holds the lock for microseconds


@dataclass(frozen=True)
class ReadingWorkers:
    """Who reads clips; options of `ClipDataModule`, of a loader and of `affect-lightning cache`.

    Attributes:
        workers: Worker processes; 0 reads in this process (0, our choice: it works everywhere).
        worker_start: How they start (spawn, our choice: safe with threads; fork copies locks of running threads).
        reading_threads: Clips that are read at once in this process where there are no workers (1, our choice).

    Raises:
        ConfigurationError: A number is out of range.
    """

    workers: int = 0
    worker_start: WorkerStart = "spawn"
    reading_threads: int = 1

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigurationError(f"workers must be 0 or more; got {self.workers}.")
        if self.reading_threads < 1:
            raise ConfigurationError(f"reading_threads must be at least 1; got {self.reading_threads}.")

    def for_clips(self, count: int) -> ReadingWorkers:
        """The same with no more workers than clips."""
        return replace(self, workers=min(self.workers, count))

    def able_to_run(self, detector: FaceDetector) -> FaceDetector:
        """The detector itself, if these workers can run it.

        Raises:
            ConfigurationError: It computes on a GPU and the workers are forked: CUDA does not survive a fork.
        """
        if detector.uses_gpu and self.workers and self.worker_start == "fork":
            raise ConfigurationError(
                "Set data.worker_start to spawn, or the face detector's device to cpu: a forked worker process cannot use "
                "the GPU, and worker_start is fork."
            )
        return detector

    def loader_options(self) -> dict[str, Any]:
        """Arguments of torch's DataLoader that say how its workers are made and what they share with it."""
        if not self.workers:
            return {"num_workers": 0}
        context = type(multiprocessing.get_context(self.worker_start))()
        context.Event = lambda: PatientEvent(ctx=context)  # type: ignore[method-assign]
        return {
            "num_workers": self.workers,
            "multiprocessing_context": context,
            "worker_init_fn": start_worker,
            "timeout": HANG_SECONDS,
        }


IN_THIS_PROCESS = ReadingWorkers()


class ThreadedClips:
    """A data set that torch's DataLoader asks for whole batches; samples and their order are those of one thread.

    Every thread has a copy of the face cropper, because a detector need not be safe to share.

    Args:
        dataset: The clips; it must not have been read from yet, as if it were sent to a worker process.
        threads: How many clips are read at once.
    """

    def __init__(self, dataset: ClipDataset, threads: int):
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


def lost_worker(error: Exception, workers: bool) -> DataError | None:
    """What to tell the user if an error means that a worker died or hangs; None if it means something else.

    torch notices a death at once, wherever the main thread is, or when it waits for a batch.

    Args:
        error: Out of the loader, or out of the training loop.
        workers: Whether the error comes out of a loader that has workers. One that is killed while it hands a batch
            over breaks the connection.
    """
    told = isinstance(error, RuntimeError) and str(error).startswith("DataLoader ")
    # torch hands on what a worker itself raised as the same type, with "Caught ... in DataLoader worker process".
    broken = workers and isinstance(error, OSError | EOFError) and not str(error).startswith("Caught ")
    if not told and not broken:
        return None
    reason = str(error).partition(". ")[0] if told else "DataLoader worker ended in the middle of a batch"
    return DataError(
        f"A worker process that reads clips died or hangs: {reason}. Use fewer workers if it ran out of memory. If a "
        f"clip breaks the decoder, `affect-lightning doctor` names it."
    )


def telling_of_lost_workers(batches: Iterable[_Batch], workers: bool) -> Iterator[_Batch]:
    """The batches of torch's loader; a worker that died or hangs is reported in one sentence.

    Args:
        batches: The loader.
        workers: Whether it has workers.

    Raises:
        DataError: A worker died or hangs. A clip's own errors come inside the batches.
    """
    try:
        yield from batches
    except (RuntimeError, OSError, EOFError) as error:
        if lost_worker(error, workers) is None:
            raise
        told = _told_by_torch(error)
        raise lost_worker(told, workers) or told from error


def _told_by_torch(error: Exception) -> Exception:
    """What torch says of a worker whose broken connection was noticed first; the error itself if torch says nothing.

    torch raises when the signal of the worker's end comes, wherever the program is then: here it does no harm.
    """
    if not isinstance(error, RuntimeError):
        try:
            time.sleep(SIGNAL_SECONDS)
        except RuntimeError as told:
            return told
    return error


class PatientEvent(Event):
    """The signal by which torch's loader ends its workers; a worker that was killed cannot block it.

    Workers look at the event all the time and lock it for that. One that is killed just then (out of memory, say) keeps
    it locked for ever, and the loader, which wants to tell of the death, would wait for it without end. Only the
    process that made the event sets it, so that process never needs the lock to know.
    """

    def __init__(self, *, ctx: BaseContext) -> None:
        super().__init__(ctx=ctx)
        self._maker = os.getpid()
        self._set_by_maker = False

    def set(self) -> None:
        """Tell the workers. If a dead one holds the lock they are not told; the loader then terminates them."""
        self._set_by_maker = True
        setter = threading.Thread(target=super().set, name="end-of-workers", daemon=True)
        setter.start()
        setter.join(LOCK_SECONDS)

    def is_set(self) -> bool:
        """Whether the maker has set it."""
        return self._set_by_maker if os.getpid() == self._maker else super().is_set()


def start_worker(worker: int) -> None:
    """One thread a worker, since the workers are the parallelism; and an end when the parent ends, however it ends.

    Args:
        worker: Its number; torch's loader passes it.
    """
    import cv2

    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    """Leave at once when the parent is gone.

    torch's own watch looks only between two batches, and a worker whose last batch nobody takes waits for ever to hand
    it over once that is longer than a pipe holds: after a SIGKILL such workers stayed, with all that they had.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
