"""Branch compression `attention`: a mean weighted by learned scalars (paper, Section 5 and Table 5).

The paper leaves the normalisation of the weights open. Here they pass a softmax (our choice: their sum then does not
depend on the number of tokens).
Neighbours: `attention_released.py` has the formula of the authors' released code, `mean.py` no weights.
Legend: B clips, N feature tokens, D feature width, K tokens of the branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affect_lightning.contracts import BranchCompression, FeatureSequence


class AttentionCompression(BranchCompression):
    """Average weighted by the softmax of a learned scalar a token, K times over (paper, Section 5)."""

    def __init__(self, stream_width: int, tokens: int) -> None:
        """Build the scores. One set starts at zero, which is the mean; several start at random, so that they can differ.

        Args:
            stream_width: D.
            tokens: K.
        """
        super().__init__()
        self.output_width, self.output_tokens = stream_width, tokens
        self.scoring = nn.Linear(stream_width, tokens, bias=False)
        if tokens == 1:
            nn.init.zeros_(self.scoring.weight)

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, K, D]; zeros for a clip without real tokens."""
        padding = ~stream.mask.unsqueeze(-1)  # [B, N, 1]
        tokens = stream.tokens.masked_fill(padding, 0.0)
        scores = self.scoring(tokens)  # [B, N, K]; under autocast of another type than the tokens
        scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores.float(), dim=1).to(tokens.dtype)
        return torch.einsum("bnd,bnk->bkd", tokens, weights)
