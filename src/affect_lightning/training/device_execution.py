"""How the network runs on its devices in training: blocks recomputed or compiled, weights sharded over processes (ours).

Recomputation and compilation change speed and memory, not results; both are off by default, because each costs something:
recomputation a third more arithmetic, compilation minutes at the start.

`trainer.strategy: fsdp` means FullyShardedStrategy: FSDP2 for a frozen language model with an adapter (the paper trains on one
GPU). Units are each block of the language model with its adapter; each part of ours that trains (pre-fusion, branches,
projectors); and the network itself for the rest, the embeddings and the head. The frozen encoders are in none of them: they
are small next to the language model, have no gradient, and stay whole on every device. Whatever the arithmetic, the shards of
what trains are the 32-bit masters that the optimiser steps on. With several machines each machine has the whole network in
pieces (hybrid sharding), so weights are gathered within a machine and only gradients cross between them. Lightning's
ModelParallelStrategy does the work of processes, and gathers the trained weights, which are small, into one file. What
differs is the mesh, and that optimiser states have the form of one process, so that a checkpoint of any number of processes
can be read. `weight_sharing.py` lets one process read the language model.

`affectgpt_module.py` calls it, `checkpoint_files.py` writes files whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from affect_lightning.checkpoints import read_checkpoint
from affect_lightning.errors import ConfigurationError
from affect_lightning.model.processes import gather_objects
from affect_lightning.training.checkpoint_files import CheckpointWriteError, WholeFileCheckpoints, write_failure
from affect_lightning.training.weight_sharing import share_weights

if TYPE_CHECKING:
    from affect_lightning.model.affectgpt import AffectGPT


def check_training_precision(precision: str) -> None:
    """Refuse arithmetic that keeps no 32-bit masters of what trains.

    bf16 has 8 bits of precision: a step smaller than 1/256 of a weight leaves it as it is. With the paper's rate of 1e-5
    one weight of 64 moved.

    Args:
        precision: The Trainer's.

    Raises:
        ConfigurationError: It is `bf16-true` or `16-true`.
    """
    if precision in ("bf16-true", "16-true"):
        mixed = precision.replace("true", "mixed")
        raise ConfigurationError(
            f"Train with trainer.precision {mixed}: with {precision} the weights that train lose their 32-bit masters, and "
            f"most steps are too small to move them. Under {mixed} the frozen language model is held in 16 bits all the same."
        )


def recompute_activations(blocks: Sequence[nn.Module]) -> None:
    """Let blocks keep only their inputs in training and compute the rest again in the backward pass.

    Names of weights stay as they are, so checkpoints do not depend on it.

    Args:
        blocks: Of the language model, `LanguageModel.shardable_blocks`; changed in place.
    """
    for block in blocks:
        block.forward = _recomputed(block, block.forward)  # type: ignore[method-assign]


def compile_blocks(blocks: Sequence[nn.Module], backend: str) -> None:
    """Compile blocks in place, for any length.

    Args:
        blocks: Of the language model, all of one class: they share what is compiled.
        backend: Of `torch.compile`, such as `inductor`.

    Raises:
        ConfigurationError: torch has no such backend.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigurationError(
            f"compile_backend must be one of {', '.join(sorted(known))}, or null; got {backend!r}."
        )
    for block in blocks:
        block.compile(backend=backend, dynamic=True)


def _recomputed(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def run(*arguments: Any, **options: Any) -> Any:
        if block.training and torch.is_grad_enabled():
            return checkpoint(forward, *arguments, use_reentrant=False, **options)
        return forward(*arguments, **options)

    return run


def shard_network(network: AffectGPT, mesh: DeviceMesh, precision: str = "32-true") -> None:
    """Shard a network in place over the processes of a mesh.

    Args:
        network: Built, alike in all processes; all but the first may have a language model on the meta device, see
            `weight_sharing.py`.
        mesh: Of one dimension, the processes that share the weights; of two, the machines, and the processes that share
            them within each.
        precision: The Trainer's. With bf16 the weights are gathered and used in bf16; gradients are summed in 32 bits.
    """
    policy = MixedPrecisionPolicy()
    if precision.startswith("bf16"):
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    whole = set(network.encoders.parameters())
    device = torch.device(mesh.device_type, torch.cuda.current_device() if mesh.device_type == "cuda" else 0)
    for block in network.language_model.shardable_blocks():
        share_weights(block, device)
        fully_shard(block, mesh=mesh, mp_policy=policy)
    for part in trained_parts(network):
        share_weights(part, device)
        # Their outputs are no plain tensors, so nothing would gather them again for the backward pass.
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    share_weights(network, device, left_out=set(network.encoders.modules()))
    fully_shard(network, mesh=mesh, mp_policy=policy, reshard_after_forward=False, ignored_params=whole)
    for method in ("terms", "generate"):
        register_fsdp_forward_method(network, method)


def trained_parts(network: AffectGPT) -> Iterator[nn.Module]:
    """The parts outside the language model that have something to train, each a module that is called as a whole."""
    fusion = [] if network.pre_fusion is None else [network.pre_fusion]
    for part in [*fusion, *network.branches.values(), *network.projectors.values()]:
        if any(parameter.requires_grad for parameter in part.parameters()):
            yield part


def whole_tensor(value: Tensor) -> Tensor:
    """The tensor itself, or what the shards of all processes make together (then it is a collective)."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like_parameter(whole: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor laid out over the processes as a parameter of the same shape is; each takes its own piece."""
    if not isinstance(parameter, DTensor):
        return whole
    mesh = parameter.device_mesh
    return distribute_tensor(whole.to(mesh.device_type), mesh, parameter.placements, src_data_rank=None)


class FullyShardedStrategy(ModelParallelStrategy):
    """Every process holds a part of the weights that train or are large, and gathers a block when it computes with it.

    Attributes:
        weights_mesh: How the weights lie: [processes], or [machines, processes] where every machine has all of them.
    """

    weights_mesh: DeviceMesh

    def __init__(self) -> None:
        super().__init__(data_parallel_size="auto", tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Lay all processes in one row for the clips: data parallel, no tensor parallelism. The weights lie by machine."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()
        self.weights_mesh = self.device_mesh["data_parallel"]
        if self.num_nodes > 1:
            shape, names = (self.num_nodes, self.num_processes), ("machines", "processes")
            self.weights_mesh = init_device_mesh(self.root_device.type, shape, mesh_dim_names=names)

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
