"""FullyShardedStrategy: FSDP2 for a frozen language model with an adapter (ours; the paper trains on one GPU).

`trainer.strategy: fsdp` means this one. Lightning's ModelParallelStrategy does the work of processes and meshes, and
gathers the trained weights, which are small, into one file. What differs is the shape of the mesh, and that optimiser
states have the form of one process, so that a checkpoint of any number of processes can be read.
Neighbours: `model/sharding.py` chooses the units, `checkpoint_files.py` writes files whole or not at all.
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

from affect_lightning.checkpoints import read_checkpoint
from affect_lightning.model.processes import gather_objects
from affect_lightning.model.sharding import like_parameter, whole_tensor
from affect_lightning.training.checkpoint_files import CheckpointWriteError, WholeFileCheckpoints, write_failure


class FullyShardedStrategy(ModelParallelStrategy):
    """Every process holds a part of the weights that train or are large, and gathers a block when it computes with it."""

    def __init__(self) -> None:
        super().__init__(data_parallel_size="auto", tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Lay all processes in one row: data parallel, no tensor parallelism."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands over the optimiser's state, as it does with one process."""
        return True

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Moments, gathered, by the number of their parameter: the form that one process has. Collective."""
        inner = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        state = inner.state_dict()
        gathered = {
            number: {
                name: whole_tensor(value).detach().cpu() if torch.is_tensor(value) else value
                for name, value in entries.items()
            }
            for number, entries in state["state"].items()
        }
        return {**state, "state": gathered}

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, gathered already, in the first process. Collective.

        Raises:
            CheckpointWriteError: It cannot be written; all processes raise.
        """
        target = Path(self.broadcast(filepath))
        failed = None
        if self.is_global_zero:
            try:
                WholeFileCheckpoints().save_checkpoint(checkpoint, target)
            except CheckpointWriteError as error:
                failed = str(error.__cause__)
        reason = gather_objects(failed)[0]
        if reason is not None:
            raise write_failure(target, reason)

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


def _placed(value: Any, parameter: Tensor) -> Any:
    return like_parameter(value, parameter) if torch.is_tensor(value) and value.shape == parameter.shape else value
