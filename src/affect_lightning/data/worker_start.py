"""How worker processes of the loader start, and how they end when one of them was killed.

Neighbour: `loading.py` starts the workers.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event

from affect_lightning.errors import DataError

LOCK_SECONDS = 5.0  # our choice: a live worker holds the lock for microseconds


def lost_worker(error: Exception, workers: bool) -> DataError | None:
    """What to tell the user if an error means that a worker died or hangs; None if it means something else.

    torch notices a death at once, wherever the main thread is, or when it waits for a batch.

    Args:
        error: Out of the loader, or out of the training loop.
        workers: Whether the error comes out of a loader that has workers. One that is killed while it hands a batch
            over breaks the connection.
    """
    told = isinstance(error, RuntimeError) and str(error).startswith("DataLoader ")
    if not told and not (workers and isinstance(error, OSError | EOFError)):
        return None
    reason = str(error).partition(". ")[0] if told else "DataLoader worker left in the middle of a batch"
    return DataError(
        f"A worker process that reads clips died or hangs: {reason}. It may have run out of memory, or a clip may "
        f"break the decoder: `affect-lightning doctor` names such clips; fewer workers need less memory."
    )


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


def worker_context(start: str) -> BaseContext:
    """How torch's loader makes its workers and what it shares with them.

    Args:
        start: `spawn`, `fork` or `forkserver`.
    """
    context = type(multiprocessing.get_context(start))()
    context.Event = lambda: PatientEvent(ctx=context)  # type: ignore[method-assign]
    return context


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
