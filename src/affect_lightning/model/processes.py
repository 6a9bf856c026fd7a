"""What the processes of a run tell each other in a step: sums and gathered tensors (ours; the paper trains in one process).

With one process every function returns its input, so callers need no second way. Each is a collective: all processes
must call it at the same place. `feature_conditioning.py` and `affect_lightning.training` use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def process_count() -> int:
    """Number of processes of the run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@torch.no_grad()
def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of all processes' tensors of equal shape, without gradient."""
    if process_count() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of all processes' tensors of equal shape, without gradient. Unlike a logger's, it waits for nobody."""
    return sum_over_processes(values).detach() / process_count()


@torch.no_grad()
def gather_from_processes(values: Tensor) -> list[Tensor]:
    """The tensors [...] of all processes by rank, equal in shape, without gradient."""
    if process_count() == 1:
        return [values]
    gathered = [torch.empty_like(values) for _ in range(process_count())]
    dist.all_gather(gathered, values.detach().contiguous())
    return gathered


def gather_objects(value: Any) -> list[Any]:
    """Plain values of all processes by rank. Slow; for what happens rarely."""
    if process_count() == 1:
        return [value]
    gathered: list[Any] = [None] * process_count()
    dist.all_gather_object(gathered, value)
    return gathered


def shares_of_means(counts: Tensor) -> Tensor:
    """What a process's means over so many items weigh, so that the mean over processes is the mean over all items.

    Gradients and logged values are averaged over processes with equal weight; the items (response tokens, clips) are
    not equally many. 1 with one process; 0 where no process has an item.

    Args:
        counts: Of the items of each mean [K], 0 or more, whole or not.
    """
    mine = counts.float()
    total = sum_over_processes(mine)
    return torch.where(total > 0, mine * process_count() / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0)


def sharded_parts(parts: Iterable[nn.Module]) -> list[Any]:
    """Those parts whose weights lie over several processes (FSDP)."""
    if process_count() == 1:
        return []
    from torch.distributed.fsdp import FSDPModule

    return [part for part in parts if isinstance(part, FSDPModule)]
