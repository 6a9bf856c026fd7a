"""Fully sharded training: which modules of AffectGPT are a unit of FSDP2 (ours; the paper trains on one GPU).

Units: each block of the language model with its adapter; each part of ours that trains (pre-fusion, branches,
projectors); and the network itself for the rest, the embeddings and the head. The frozen encoders are in none of them:
they are small beside the language model, have no gradient, and stay whole on every device.
Whatever the arithmetic, the shards of what trains are the 32-bit masters that the optimiser steps on.
Neighbours: `module.py` calls it; `training/strategies.py` has the strategy, which writes and reads checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from affect_lightning.model.affectgpt import AffectGPT


def shard_network(network: AffectGPT, mesh: DeviceMesh, precision: str = "32-true") -> None:
    """Shard a network in place over the processes of a mesh.

    Args:
        network: Built, alike on all processes.
        mesh: One dimension: the processes that share the weights.
        precision: The Trainer's. With bf16 the weights are gathered and used in bf16; gradients are summed in 32 bits.
    """
    policy = MixedPrecisionPolicy()
    if precision.startswith("bf16"):
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    whole = set(network.encoders.parameters())
    for block in network.language_model.shardable_blocks():
        fully_shard(block, mesh=mesh, mp_policy=policy)
    for part in trained_parts(network):
        # Their outputs are no plain tensors, so nothing would gather them again for the backward pass.
        fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
    fully_shard(network, mesh=mesh, mp_policy=policy, reshard_after_forward=False, ignored_params=whole)
    for method in ("terms", "generate"):
        register_fsdp_forward_method(network, method)


def trained_parts(network: AffectGPT) -> Iterator[nn.Module]:
    """The parts beside the language model that have something to train, each a module that is called as a whole."""
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
