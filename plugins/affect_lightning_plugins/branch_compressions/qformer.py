"""Branch compression `qformer`: learned queries read the tokens of one stream (paper, Section 5 and Table 5).

It is the pre-fusion of that name on a single stream, so that there is one Q-Former.
Neighbour: `attention.py`. Legend: B clips, N feature tokens, D feature width, K tokens of the branch.
"""

from __future__ import annotations

from torch import Tensor

from affect_lightning.contracts import BranchCompression, FeatureSequence
from affect_lightning_plugins.pre_fusions.qformer import QFormerPreFusion

_STREAM = "stream"


class QFormerCompression(BranchCompression):
    """K learned queries that read the stream by cross-attention, time preserved (paper, Section 5)."""

    def __init__(
        self,
        stream_width: int,
        tokens: int,
        *,
        num_layers: int = 2,
        hidden_width: int | None = None,
        num_heads: int | None = None,
        feed_forward_width: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        """Build queries and layers.

        Args:
            stream_width: D.
            tokens: K; 32 in the authors' Q-Former settings.
            num_layers: Transformer layers, each with cross-attention; 2 as in the authors' recipe.
            hidden_width: Width of the queries; None is D. Smaller is cheaper (our option).
            num_heads: Attention heads; None makes heads of about 64 wide, as in BERT.
            feed_forward_width: None is four times the width of the queries, as in BERT.
            dropout: 0.1 as in BERT.

        Raises:
            ConfigurationError: A number is not positive, or the heads do not divide the width.
        """
        super().__init__()
        self.fusion = QFormerPreFusion(
            {_STREAM: stream_width},
            num_queries=tokens,
            num_layers=num_layers,
            hidden_width=hidden_width,
            num_heads=num_heads,
            feed_forward_width=feed_forward_width,
            dropout=dropout,
        )
        self.output_width, self.output_tokens = self.fusion.output_width, tokens

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, K, output_width]."""
        return self.fusion({_STREAM: stream}).tokens
