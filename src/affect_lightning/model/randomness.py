"""The random state of a training step: a function of seed, epoch, batch and rank (ours).

Dropout then draws the same whatever happened before: validation, a restart, a skipped batch. So a resumed run is the
undisturbed run, and no random state stands in a checkpoint. Neighbour: `module.py` sets it before each step.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def step_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """A 64-bit seed; steps, epochs and ranks that are neighbours get unrelated ones.

    >>> step_seed(0, 0, 1, 0) == step_seed(0, 0, 1, 0), step_seed(0, 0, 1, 0) == step_seed(0, 1, 0, 0)
    (True, False)
    """
    digest = hashlib.blake2b(f"{seed}-{epoch}-{batch}-{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # torch takes signed 64 bits


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Set torch's generators on all devices, numpy's and Python's, for one training step.

    Args:
        seed: Of the run.
        epoch: Counted from 0.
        batch: Within the epoch, from 0.
        rank: This process.
    """
    value = step_seed(seed, epoch, batch, rank)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)  # third parties' parts draw from the global one
    random.seed(value)


@contextmanager
def separate_draws(device: torch.device) -> Iterator[None]:
    """Put torch's generators back afterwards: what is drawn inside moves nothing that is drawn later.

    Args:
        device: Where is drawn, besides the processor.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
