"""Branch compression `attention-released`: the formula of the authors' released code.

Each token is multiplied by a learned score with a bias, and the products are added up: sum over t of (w x_t + b) x_t.
There is no softmax, so the sum of the scores is free, and the result grows with the number of tokens.
Neighbour: `attention.py` is ours, with a softmax. docs/released.md compares them.
Legend: B clips, N feature tokens, D feature width, K tokens of the branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affect_lightning.contracts import BranchCompression, FeatureSequence


class ReleasedAttentionCompression(BranchCompression):
    """Sum of the tokens, each times a learned score with bias and without softmax (authors' released code)."""

    def __init__(self, stream_width: int, tokens: int) -> None:
        """Build the scores.

        Args:
            stream_width: D.
            tokens: K; the released code has 1.
        """
        super().__init__()
        self.output_width, self.output_tokens = stream_width, tokens
        self.scoring = nn.Linear(stream_width, tokens)

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, K, D]; zeros for a clip without real tokens."""
        tokens = stream.tokens.masked_fill(~stream.mask.unsqueeze(-1), 0.0)
        return torch.einsum("bnd,bnk->bkd", tokens, self.scores(tokens).to(tokens.dtype))

    def scores(self, tokens: Tensor) -> Tensor:
        """The score [B, N, K] of every token [B, N, D]."""
        return self.scoring(tokens)
