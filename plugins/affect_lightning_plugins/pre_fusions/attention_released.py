"""Pre-fusion `attention-released`: the formulas of the authors' released code.

It differs from Eq. 5 to 7 in three points. Every stream is projected to the common width, with a bias, also the one that
has it already. Two layers weigh the streams, with biases and nothing between them. The order of the streams is video,
audio (`fused_streams: [face, audio]`). There is no softmax either. The two layers fold into one with a bias; they stay two
here, so that the authors' checkpoint fits and trains on as theirs.
Neighbour: `attention.py` is the paper's. docs/released.md compares them.
Legend: B clips, N feature tokens, M streams, D common width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.pre_fusions.stream_alignment import cleared_streams


class ReleasedAttentionPreFusion(PreFusion):
    """Weighs the projected averages of all streams by two layers with biases (authors' released code)."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        """Build a projection for each stream, and the two weighing layers.

        Args:
            stream_widths: Width of each stream, in the order of concatenation; video, audio in the released code.

        Raises:
            ConfigurationError: There is no stream, or a width is not positive.
        """
        super().__init__()
        if not stream_widths or min(stream_widths.values()) < 1:
            raise ConfigurationError(
                f"The attention-released pre-fusion needs at least one stream and positive widths; got "
                f"{dict(stream_widths)}. Choose `pre_fusion: none` where there is nothing to fuse."
            )
        self.stream_widths = dict(stream_widths)
        self.output_width = width = max(stream_widths.values())
        self.output_tokens = 1
        self.projections = nn.ModuleDict({name: nn.Linear(size, width) for name, size in stream_widths.items()})
        self.mixing = nn.Linear(len(stream_widths) * width, width)
        self.weighing = nn.Linear(width, len(stream_widths))

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Returns:
            One token a clip [B, 1, D]. A stream without any real token counts by the bias of its projection.
        """
        cleared = cleared_streams(self.stream_widths, streams)
        pooled = torch.stack([self.projections[name](cleared[name].masked_mean()) for name in cleared], dim=1)
        dtype = next(iter(cleared.values())).tokens.dtype
        fused = torch.einsum("bmd,bm->bd", pooled, self.weights(pooled).to(pooled.dtype)).unsqueeze(1).to(dtype)
        return FeatureSequence(fused, torch.ones(fused.shape[:2], dtype=torch.bool, device=fused.device))

    def weights(self, pooled: Tensor) -> Tensor:
        """The weight of every stream [B, M] from their projected averages [B, M, D]."""
        return self.weighing(self.mixing(pooled.flatten(start_dim=1)))
