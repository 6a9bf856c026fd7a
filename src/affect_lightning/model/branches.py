"""Branches: each encoded stream compressed to a few tokens before its projector (paper, Section 5 and Table 5).

`mean` and `attention` are here; `qformer` is the pre-fusion plugin of that name on one stream, so that there is one
Q-Former. Neighbours: `projectors.py` comes next, `configuration.py` checks the choice.
Legend: B clips, N feature tokens, D feature width, K tokens of the branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import FeatureSequence
from affect_lightning.model.checked_calls import call_pre_fusion
from affect_lightning.plugin_loading import build_part


def build_branch(choice: Mapping[str, Any], stream: str, width: int, tokens: int) -> nn.Module:
    """The branch of one stream.

    Args:
        choice: Resolved compression; see `ModelConfiguration.branch_compression`.
        stream: Name of the stream.
        width: D.
        tokens: K.

    Returns:
        A module with `output_width`, from FeatureSequence [B, N, D] to a tensor [B, K, output_width].
    """
    if choice["name"] == "mean":
        return MeanBranch(width)
    if choice["name"] == "attention":
        return AttentionBranch(width, tokens)
    return FusionBranch(build_part("pre_fusions", choice, stream_widths={stream: width}), stream)


class MeanBranch(nn.Module):
    """Average over the real tokens; one token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output_width = width

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, 1, D]; zeros for a clip without real tokens."""
        return stream.masked_mean().unsqueeze(1)


class AttentionBranch(nn.Module):
    """Average weighted by a learned scalar a token, K times over (paper, Section 5: attention compression).

    The scalars pass a softmax over the real tokens (our choice: the sum of weights then does not depend on the number
    of tokens). One set starts at zero, which is the mean; several start at random, so that they can differ.
    """

    def __init__(self, width: int, tokens: int = 1) -> None:
        super().__init__()
        self.output_width = width
        self.scoring = nn.Linear(width, tokens, bias=False)
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


class FusionBranch(nn.Module):
    """A pre-fusion of a single stream as its compression."""

    def __init__(self, fusion: nn.Module, stream: str) -> None:
        super().__init__()
        self.fusion = fusion
        self.stream = stream
        self.output_width = fusion.output_width

    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress [B, N, D] to [B, K, output_width]."""
        return call_pre_fusion(self.fusion, {self.stream: stream}).tokens
