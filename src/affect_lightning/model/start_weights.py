"""The trained weights as they were when training began: a reference that costs no second model (not in the paper).

Objectives that reward sampled responses keep the network near to where it began, by the KL divergence. Only what trains is
kept (0.3 GB at 7B and rank 16), and takes the place of the weights for a moment. `training` takes it at the first step, and
stores it in checkpoints. `sampled_responses.py` computes with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from affect_lightning.model.processes import sharded_parts


class StartWeights:
    """Copies of the weights that train and of the statistics beside them.

    Attributes:
        values: By name; sharded as the weights are.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        """Keep copies."""
        self.values = {name: value.detach().clone() for name, value in values.items()}

    @classmethod
    def of(cls, network: nn.Module) -> StartWeights:
        """Those that a network has now."""
        return cls(changing_values(network))

    @contextmanager
    def in_place(self, network: nn.Module) -> Iterator[None]:
        """Let a network compute with them; afterwards it has its own again, bit for bit.

        No graph of an earlier forward pass may still need the weights.
        """
        own = changing_values(network)
        kept = {name: value.detach().clone() for name, value in own.items()}
        self._write(own, self.values)
        try:
            yield
        finally:
            own = changing_values(network)
            self._write(own, kept)
            _reshard(network)

    @staticmethod
    @torch.no_grad()
    def _write(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
        for name, target in targets.items():
            target.copy_(values[name])


def changing_values(network: nn.Module) -> dict[str, Tensor]:
    """What training changes, the tensors themselves: trained parameters, and buffers of parts that have any.

    Sharded parts are put into their sharded form first.
    """
    _reshard(network)
    found: dict[str, Tensor] = {name: value for name, value in network.named_parameters() if value.requires_grad}
    frozen = ("encoders.", "language_model.")
    found.update({name: value for name, value in network.named_buffers() if not name.startswith(frozen)})
    return found


def _reshard(network: nn.Module) -> None:
    """Give gathered weights back, of all parts but the network as a whole, which stays gathered for its step."""
    for part in sharded_parts(network.modules()):
        if part is not network:
            part.reshard()
