"""Low-rank bilinear pre-fusion: a pre-fusion of ours that goes further than Section 3.2 of the paper.

The paper's attention adds streams up, each with a weight. Here features of the streams are multiplied with each other,
so that a fused feature can stand for "smiling and yet a flat voice", which no weighted sum can. The full product of two
streams of 1024 would need a weight for each of the 1024 x 1024 pairs and each fused feature; its tensor is held at low
rank instead (Kim et al. 2017; Liu et al. 2018), with a constant next to each stream, so that the streams by themselves
remain in the sum:

    z = P ((U_1 x_1 + b_1) * (U_2 x_2 + b_2) * ...)        * is feature by feature, x_m the average of stream m

`gated.py` keeps time and costs more. docs/fusions.md has the cost of each pre-fusion.
Legend: B clips, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from torch import nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.pre_fusions.stream_alignment import cleared_streams


class BilinearPreFusion(PreFusion):
    """Multiplies the streams' averages with each other at low rank; one fused token (ours)."""

    def __init__(self, stream_widths: Mapping[str, int], *, rank: int = 256, dropout: float = 0.0) -> None:
        """Build U and b of each stream, and P.

        Args:
            stream_widths: Width of each stream, in the order of multiplication (which does not matter).
            rank: R, products that are summed; 256 is our choice: a quarter of the paper's widths.
            dropout: Of the products; 0 is our choice, since the projector behind it has none either.

        Raises:
            ConfigurationError: There is no stream, or a number is out of range.
        """
        super().__init__()
        if not stream_widths or min(stream_widths.values()) < 1 or rank < 1 or not 0 <= dropout < 1:
            raise ConfigurationError(
                f"The bilinear pre-fusion needs at least one stream, positive widths, rank >= 1 and 0 <= dropout < 1; "
                f"got streams {dict(stream_widths)}, rank {rank} and dropout {dropout}."
            )
        self.stream_widths = dict(stream_widths)
        self.output_width = max(stream_widths.values())
        self.output_tokens = 1
        self.factors = nn.ModuleDict({name: nn.Linear(width, rank) for name, width in stream_widths.items()})
        for factor in self.factors.values():
            # Near a sum at the start: a product of factors about 1 changes with each of them alike.
            nn.init.ones_(factor.bias)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout)
        self.combining = nn.Linear(rank, self.output_width, bias=False)

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Returns:
            One token a clip [B, 1, output_width]. A stream without any real token counts by its constant b only.
        """
        cleared = cleared_streams(self.stream_widths, streams)
        product = reduce(torch.mul, (self.factors[name](stream.masked_mean()) for name, stream in cleared.items()))
        dtype = next(iter(cleared.values())).tokens.dtype
        fused = self.combining(self.dropout(product)).unsqueeze(1).to(dtype)
        return FeatureSequence(fused, torch.ones(fused.shape[:2], dtype=torch.bool, device=fused.device))
