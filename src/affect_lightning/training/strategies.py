"""FullyShardedStrategy: FSDP2 for a frozen language model with an adapter (ours; the paper trains on one GPU).

`trainer.strategy: fsdp` means this one. Lightning's ModelParallelStrategy does the work of processes and meshes; what
differs is the shape of the mesh, that only what trains is written, each process its own shards, and that a checkpoint
of any number of processes can be read. Neighbours: `model/sharding.py` chooses the units, `model/sharded_checkpoints.py`
has the format, `checkpoint_files.py` makes folders whole or absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.optim import Optimizer

from affect_lightning.model.export import read_checkpoint
from affect_lightning.model.processes import gather_objects
from affect_lightning.model.sharded_checkpoints import REST, gathered, like_parameter, shard_file, take_shards
from affect_lightning.training.checkpoint_files import (
    CheckpointWriteError,
    Replacement,
    WholeFileCheckpoints,
    remove,
    write_failure,
    write_through,
)


class FullyShardedStrategy(ModelParallelStrategy):
    """Every process holds a part of the weights that train or are large, and gathers a block when it computes with it.

    Args:
        sharded_checkpoints: Every process writes its own shards into a folder; False gathers them into one file. Both
            hold the same and are read by any strategy.
    """

    def __init__(self, sharded_checkpoints: bool = True) -> None:
        super().__init__(data_parallel_size="auto", tensor_parallel_size=1, save_distributed_checkpoint=False)
        self.sharded_checkpoints = sharded_checkpoints

    def setup_environment(self) -> None:
        """Lay all processes in one row: data parallel, no tensor parallelism."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands over the optimiser's state, as it does with one process."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Trained weights, sharded as they are."""
        assert self.lightning_module is not None
        return self.lightning_module.state_dict()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Moments, sharded as they are, by the number of their parameter: the form that one process has."""
        inner = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        return inner.state_dict()

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; it appears whole or not at all. Collective.

        Raises:
            CheckpointWriteError: A process could not write its part; all processes raise.
        """
        target = Path(self.broadcast(filepath))
        if self.sharded_checkpoints:
            self._save_shards(checkpoint, target)
            return
        whole = gathered(checkpoint)
        failed = None
        if self.is_global_zero:
            try:
                WholeFileCheckpoints().save_checkpoint(whole, target)
            except CheckpointWriteError as error:
                failed = str(error.__cause__)
        self._agree(target, failed)

    def _save_shards(self, checkpoint: dict[str, Any], target: Path) -> None:
        rest, shards = take_shards(checkpoint)
        place = Replacement(target)
        place.temporary = Path(self.broadcast(str(place.temporary)))
        failed = None
        try:
            place.temporary.mkdir(parents=True, exist_ok=True)
            write_through(place.temporary / shard_file(self.global_rank), shards)
            if self.is_global_zero:
                write_through(place.temporary / REST, {**rest, "processes": self.world_size})
        except OSError as error:
            failed = error.strerror or str(error)
        try:
            self._agree(target, failed)
        except CheckpointWriteError:
            if self.is_global_zero:
                place.drop()
            raise
        if self.is_global_zero:
            try:
                place.finish()
            except OSError as error:
                failed = error.strerror or str(error)
        self._agree(target, failed)

    def _agree(self, target: Path, failed: str | None) -> None:
        """Raise in every process if writing failed in one."""
        found = [reason for reason in gather_objects(failed) if reason is not None]
        if found:
            raise write_failure(target, found[0])

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the whole checkpoint in every process: it holds trained weights only, so it is small.

        Raises:
            CheckpointError: It is missing, damaged or foreign.
        """
        return read_checkpoint(Path(self.broadcast(checkpoint_path)))

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Give every process its part of the trained weights."""
        assert self.lightning_module is not None
        targets = dict(self.lightning_module.named_parameters())
        state = {
            name: like_parameter(value, targets[name])
            if name in targets and targets[name].shape == value.shape
            else value
            for name, value in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(state)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Give every process its part of the moments."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            placed = {
                number: {name: _placed(value, parameters[int(number)]) for name, value in entries.items()}
                for number, entries in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": placed})

    def remove_checkpoint(self, filepath: str | Path) -> None:
        """Delete a checkpoint of any kind."""
        if self.is_global_zero:
            remove(Path(filepath))


def _placed(value: Any, parameter: Tensor) -> Any:
    return like_parameter(value, parameter) if torch.is_tensor(value) and value.shape == parameter.shape else value
