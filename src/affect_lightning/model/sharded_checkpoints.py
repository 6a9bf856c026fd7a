"""Checkpoints of several processes: a folder with a file of shards from each, and how they are put together (ours).

    NAME/rest.pt             all but the sharded tensors: configuration, loops, data order, schedule
    NAME/shards-00000.pt     process 0's pieces of trained weights and optimiser state, each with its place
    NAME/shards-00001.pt     ...

torch's own format for this keeps pickled objects beside the tensors; here every file is read with `weights_only=True`.
Put together it is what one process would have written, so any number of processes can go on from it.
Neighbours: `export.read_checkpoint` reads it; `training/checkpoint_files.py` makes the folder appear whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from affect_lightning.errors import CheckpointError

REST = "rest.pt"
FORMAT = "affect-lightning shards"
_SHARDED = ("state_dict", "optimizer_states")


def take_shards(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Split a checkpoint with sharded tensors.

    Args:
        checkpoint: As Lightning dumps it.

    Returns:
        The checkpoint with the shape of each sharded tensor in its place, and this process's pieces by their path:
        `tensor` and `start`, the row of the whole that it begins at.
    """
    shards: dict[str, dict[str, Any]] = {}

    def take(path: str, value: Any) -> Any:
        if not isinstance(value, DTensor):
            return value
        if len(value.placements) != 1 or not value.placements[0].is_shard(0):
            raise CheckpointError(f"{path} is laid out as {value.placements}; only rows over one mesh can be written.")
        pieces = value.device_mesh.size()
        start = min(value.device_mesh.get_local_rank() * math.ceil(value.shape[0] / pieces), value.shape[0])
        shards[path] = {"tensor": value.to_local().detach().cpu().clone(), "start": start}
        return {FORMAT: list(value.shape), "dtype": torch.empty(0, dtype=value.dtype)}

    rest = {name: _mapped(value, name, take) if name in _SHARDED else value for name, value in checkpoint.items()}
    return rest, shards


def read_sharded(folder: Path) -> dict[str, Any]:
    """Put a checkpoint's shards together.

    Raises:
        CheckpointError: A file is missing, damaged or of another checkpoint.
    """
    try:
        rest = torch.load(folder / REST, map_location="cpu", weights_only=True)
        files = [folder / shard_file(rank) for rank in range(int(rest["processes"]))]
        stored = [torch.load(file, map_location="cpu", weights_only=True) for file in files]
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no whole checkpoint: {Path(error.filename).name} is missing.") from error

    def put(path: str, value: Any) -> Any:
        if not (isinstance(value, dict) and FORMAT in value):
            return value
        whole = torch.empty(value[FORMAT], dtype=value["dtype"].dtype)
        pieces = [shards[path] for shards in stored if path in shards]
        if sum(len(piece["tensor"]) for piece in pieces) != len(whole):
            raise CheckpointError(f"{folder} is no whole checkpoint: rows of {path} are missing.")
        for piece in pieces:
            whole[piece["start"] : piece["start"] + len(piece["tensor"])] = piece["tensor"]
        return whole

    del rest["processes"]
    return {name: _mapped(value, name, put) if name in _SHARDED else value for name, value in rest.items()}


def shard_file(rank: int) -> str:
    """Name of the file with a process's pieces."""
    return f"shards-{rank:05}.pt"


def like_parameter(whole: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor laid out over the processes as a parameter of the same shape is; each takes its own piece."""
    if not isinstance(parameter, DTensor):
        return whole
    mesh = parameter.device_mesh
    return distribute_tensor(whole.to(mesh.device_type), mesh, parameter.placements, src_data_rank=None)


def gathered(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint with every sharded tensor put together on every process. Collective."""

    def gather(path: str, value: Any) -> Any:
        return value.full_tensor().detach().cpu() if isinstance(value, DTensor) else value

    return {name: _mapped(value, name, gather) if name in _SHARDED else value for name, value in checkpoint.items()}


def _mapped(value: Any, path: str, change: Callable[[str, Any], Any]) -> Any:
    """The nested value with every leaf changed; a mapping that `change` takes for a leaf is one."""
    changed = change(path, value)
    if changed is not value:
        return changed
    if isinstance(value, Mapping):
        return {name: _mapped(inner, f"{path}/{name}", change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, f"{path}/{index}", change) for index, inner in enumerate(value)]
    return value
