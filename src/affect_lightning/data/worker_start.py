"""What a worker process of the loader does first.

Neighbour: `loading.py` starts the workers.
"""

from __future__ import annotations

import multiprocessing
import os
import threading


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
