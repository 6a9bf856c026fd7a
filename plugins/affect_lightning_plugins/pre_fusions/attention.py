"""Attention-based pre-fusion (paper, Section 3.2, Eq. 5 to 7).

Each stream is averaged over time; weights computed from all streams together tell how much each of them counts.
The equation has no softmax, so a stream may count negatively. Neighbours: `stream_alignment.py` brings the streams to
one width, `qformer.py` keeps time. Legend: B clips, M streams, D common width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning_plugins.pre_fusions.stream_alignment import StreamAlignment


class AttentionPreFusion(PreFusion):
    """Weighs the streams' averages against each other; one fused token (paper, Eq. 5 to 7)."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        """Build W [M, M * D] of Eq. 7, without bias as there.

        Args:
            stream_widths: Width of each stream, in the order of concatenation.
        """
        super().__init__()
        self.alignment = StreamAlignment(stream_widths)
        self.output_width = self.alignment.width
        self.output_tokens = 1
        self.weighing = nn.Linear(len(stream_widths) * self.output_width, len(stream_widths), bias=False)

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Returns:
            One token a clip [B, 1, D].
        """
        pooled = torch.stack([stream.masked_mean() for stream in self.alignment(streams)], dim=1)  # [B, M, D]
        weights = self.weighing(pooled.flatten(start_dim=1))  # [B, M]
        fused = torch.einsum("bmd,bm->bd", pooled, weights.to(pooled.dtype)).unsqueeze(1)
        return FeatureSequence(fused, torch.ones(fused.shape[:2], dtype=torch.bool, device=fused.device))
