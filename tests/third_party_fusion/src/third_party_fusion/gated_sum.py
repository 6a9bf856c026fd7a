"""A pre-fusion that knows affect-lightning by its public contracts only."""

from collections.abc import Mapping

import torch
from torch import nn

from affect_lightning.contracts import FeatureSequence, PreFusion


class GatedSumPreFusion(PreFusion):
    """Adds the streams, each scaled by a sigmoid gate computed from itself."""

    def __init__(self, stream_widths: Mapping[str, int], gate_bias: float = 0.0) -> None:
        """Build projections and gates.

        Args:
            stream_widths: Feature width by stream.
            gate_bias: Starting bias of every gate.
        """
        super().__init__()
        self.output_width = max(stream_widths.values())
        self.output_tokens = 1
        self.projections = nn.ModuleDict(
            {name: nn.Linear(width, self.output_width) for name, width in stream_widths.items()}
        )
        self.gates = nn.ModuleDict({name: nn.Linear(width, 1) for name, width in stream_widths.items()})
        for gate in self.gates.values():
            nn.init.constant_(gate.bias, gate_bias)

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse [B, N, D] streams into one token [B, 1, output_width]."""
        total = 0.0
        for name, projection in self.projections.items():
            pooled = streams[name].masked_mean()
            total = total + torch.sigmoid(self.gates[name](pooled)) * projection(pooled)
        return FeatureSequence(total.unsqueeze(1), torch.ones(len(total), 1, dtype=torch.bool, device=total.device))
