"""One process reads the language model, the others receive its weights (ours; FSDP only).

Eight processes of a machine that each read Qwen2.5-7B would hold 120 GB before they share it out. Here the first process
of the run reads it on the processor; the others build it on the meta device, which has shapes and no weights. Then unit
by unit (a block, a trained part, the rest) the first sends the weights, and FSDP keeps each process's piece of them, so
that no process ever holds more than one whole unit beside its pieces. What trains is sent as well, so all start alike.

`device_execution.py` shards; `affectgpt_module.py` builds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from affect_lightning.errors import ConfigurationError
from affect_lightning.model.processes import gather_objects

if TYPE_CHECKING:
    from affect_lightning.model.affectgpt import AffectGPT


def read_in_one_process(build: Callable[[bool], AffectGPT]) -> AffectGPT:
    """Build the network in every process, with a language model that has its weights in the first one only. Collective.

    Args:
        build: Builds it, given whether the language model is to be empty.

    Raises:
        ConfigurationError: Another process failed, or the networks are not alike.
        Exception: What `build` raises here.
    """
    network, failed = None, None
    try:
        network = build(dist.get_rank() > 0)
    except Exception as error:
        failed = error
    told = gather_objects(None if failed is None else str(failed))
    if failed is not None:
        raise failed
    assert network is not None
    reason = next((text for text in told if text is not None), None)
    if reason is not None:
        raise ConfigurationError(f"Another process of the run could not build the network: {reason}")
    if len(set(gather_objects(_form(network)))) > 1:
        raise ConfigurationError(
            "Use the strategy ddp: the language model that one process read differs in form from what the others built "
            "to receive its weights, so they cannot share it."
        )
    return network


def _form(network: nn.Module) -> str:
    """A hash of names, types and shapes."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    lines = [f"{name} {value.dtype} {list(value.shape)}" for name, value in tensors]
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


@torch.no_grad()
def share_weights(module: nn.Module, device: torch.device, left_out: Collection[nn.Module] = ()) -> None:
    """Put a module on a device of each process, with the first process's parameters and buffers. Collective.

    Args:
        module: Alike in all processes, with or without weights; its sharded parameters are left as they are.
        device: Of this process.
        left_out: Parts that every process keeps as they are.
    """
    placed: dict[Tensor, Tensor] = {}  # tied weights stay tied
    for part in module.modules():
        if part in left_out:
            continue
        for group in (part._parameters, part._buffers):
            for name, value in group.items():
                if value is not None and not isinstance(value, DTensor):
                    if value not in placed:
                        placed[value] = _received(value, device)
                    group[name] = placed[value]  # type: ignore[assignment]


def _received(value: Tensor, device: torch.device) -> Tensor:
    """The first process's values, in a parameter or buffer of the same kind."""
    whole = torch.empty_like(value, device=device) if value.is_meta else value.detach().to(device)
    whole = whole.contiguous()
    dist.broadcast(whole.view(-1).view(torch.uint8), src=0)  # as bytes: not every backend knows every number type
    if not isinstance(value, nn.Parameter):
        return whole
    if value.is_meta:
        return nn.Parameter(whole, requires_grad=value.requires_grad)
    value.data = whole
    return value
