"""Branch compressions: one stream to a fixed number of tokens (paper, Section 5 and Table 5), and `attention-released`.

- `mean`: the average of the tokens; nothing is learned.
- `attention`: a mean weighted by learned scalars. The paper leaves their normalisation open. Here it is a softmax (our
  choice: the sum of the weights then does not depend on the number of tokens).
- `attention-released`: the formula of the authors' released code, the sum over t of (w x_t + b) x_t. It has no softmax, so
  the result grows with the number of tokens. docs/released.md compares the two.
- `qformer`: learned queries read the tokens. It is the pre-fusion of that name on a single stream.

Legend: B clips, N feature tokens, D feature width, K tokens of the branch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import BranchCompression, FeatureSequence
from affect_lightning_plugins.pre_fusions.published import QFormerPreFusion


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


_STREAM = "stream"


class QFormerCompression(BranchCompression):
    """K learned queries that read the stream by cross-attention, time preserved (paper, Section 5)."""

    def __init__(self, stream_width: int, tokens: int, **options: Any) -> None:
        """Build queries and layers.

        Args:
            stream_width: D.
            tokens: K; 32 in the authors' Q-Former settings.
            options: See `QFormerPreFusion`.

        Raises:
            ConfigurationError: A number is not positive, or the heads do not divide the width.
        """
        super().__init__()
        self.fusion = QFormerPreFusion({_STREAM: stream_width}, num_queries=tokens, **options)
        self.output_width, self.output_tokens = self.fusion.output_width, tokens

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, K, output_width]."""
        return self.fusion({_STREAM: stream}).tokens
