"""Branch compression `mean`: the average of a stream's tokens (paper, Table 5).

Neighbours: `attention.py` weighs the tokens, `qformer.py` reads them with learned queries.
Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

from torch import Tensor

from affect_lightning.contracts import BranchCompression, FeatureSequence


class MeanCompression(BranchCompression):
    """Average over the real tokens; one token, and nothing to learn."""

    most_tokens = 1

    def __init__(self, stream_width: int, tokens: int) -> None:
        """Take the width; nothing is built.

        Args:
            stream_width: D.
            tokens: 1.
        """
        super().__init__()
        self.output_width, self.output_tokens = stream_width, tokens

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, 1, D]; zeros for a clip without real tokens."""
        return stream.masked_mean().unsqueeze(1)
