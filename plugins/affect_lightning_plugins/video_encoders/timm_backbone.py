"""An image network of timm, cut to the layers that give the features of a frame.

Paper, Figure 4 and Appendix B: any image encoder may stand here. The paper takes one pooled vector a frame; a pooled
vector no longer knows where in the face something happened, so a coarse spatial grid of inner layers is offered too.
Neighbours: `timm_models.py` and `efficientnet_lite0.py` choose network and weights, `frame_preparation.py` feeds it.
Legend: R frames, C channels of a layer, G side of the grid, D feature width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from affect_lightning.errors import ConfigurationError


class TimmBackbone(nn.Module):
    """A timm network that returns one vector a picture.

    Args:
        network: The timm model with its weights. Layers behind the last one needed are removed from it.
        feature_layers: Which layers of timm's `feature_info` to read (negative numbers count from the end); their
            maps are averaged onto the grid, flattened, brought to mean 0 and variance 1 (inner layers are of any
            scale) and put one after the other. None: the network's own pooled vector.
        pool_grid: Side G of the grid; a layer of C channels gives C * G * G values. Only with `feature_layers`.
        projected: Apply the network's last linear layer to the pooled vector too.

    Attributes:
        feature_width: D.

    Raises:
        ConfigurationError: A layer does not exist, or the options exclude each other.
    """

    feature_width: int
    network: Any  # timm's methods are not part of nn.Module

    def __init__(
        self,
        network: nn.Module,
        feature_layers: Sequence[int] | None = None,
        pool_grid: int = 1,
        projected: bool = False,
    ) -> None:
        super().__init__()
        if pool_grid < 1 or (pool_grid > 1 and not feature_layers):
            raise ConfigurationError(
                f"pool_grid {pool_grid} needs feature_layers: the pooled vector of a network has no grid. Give "
                f"layers such as feature_layers [3], or set pool_grid to 1."
            )
        if projected and feature_layers:
            raise ConfigurationError("projected and feature_layers exclude each other. Give only one of the two.")
        self.network = network
        self.pool_grid = pool_grid
        self.feature_layers = self._checked_layers(feature_layers) if feature_layers else None
        if self.feature_layers:
            channels = [self.network.feature_info[layer]["num_chs"] for layer in self.feature_layers]
            self.feature_width = sum(channels) * pool_grid**2
            self.network.prune_intermediate_layers(self.feature_layers, prune_norm=True, prune_head=True)
        elif projected:
            self.feature_width = int(self.network.num_classes)
        else:
            self.network.reset_classifier(0)
            self.feature_width = int(getattr(self.network, "head_hidden_size", None) or self.network.num_features)

    def _checked_layers(self, layers: Sequence[int]) -> list[int]:
        count = len(self.network.feature_info)
        outside = [layer for layer in layers if not -count <= layer < count]
        if outside:
            names = [info["module"] for info in self.network.feature_info]
            raise ConfigurationError(
                f"feature_layers {outside} do not exist: the network has the layers 0 to {count - 1} "
                f"({', '.join(names)}). Choose among them; negative numbers count from the end."
            )
        return sorted({layer % count for layer in layers})

    def forward(self, pictures: Tensor) -> Tensor:
        """Vectors [R, D] of normalised pictures [R, 3, size, size]."""
        # Faster on CPUs for convolutions; the weights stay as they are, because FSDP2 takes contiguous ones only.
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        if not self.feature_layers:
            return self.network(pictures)
        maps = self.network.forward_intermediates(
            pictures, indices=self.feature_layers, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        cells = [functional.adaptive_avg_pool2d(one, self.pool_grid).flatten(1) for one in maps]
        return torch.cat([functional.layer_norm(vector, vector.shape[1:]) for vector in cells], dim=1)
