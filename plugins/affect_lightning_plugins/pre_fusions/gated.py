"""Gated cross-modal attention: a pre-fusion of ours that goes further than Section 3.2 of the paper.

The paper's attention weighs time-averaged streams against each other; its Q-Former lets queries read all streams, but
the streams never read each other. Here every token of a stream first reads the tokens of the other streams by
cross-attention, added through a learned gate (as Flamingo adds vision to text; Alayrac et al. 2022), and the averages
are then summed through gates for every feature (the gated multimodal unit; Arevalo et al. 2017). So a smile may be read
in the light of the voice at the same moment, and a stream that says nothing can be shut out feature by feature.
`bilinear.py` is cheaper. docs/fusions.md has the cost of each pre-fusion.
Legend: B clips, N tokens of a stream, M streams, D common width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.pre_fusions.stream_alignment import StreamAlignment, head_count

_FIRST_GATE = 0.1  # of what is read from other streams; small, but not 0, so that all weights learn from the first step


class GatedPreFusion(PreFusion):
    """Streams read each other by gated cross-attention, then feature-wise gates sum them; one fused token (ours)."""

    def __init__(
        self,
        stream_widths: Mapping[str, int],
        *,
        hidden_width: int | None = None,
        num_heads: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        """Build a cross-attention for each stream, and the gates.

        Args:
            stream_widths: Width of each stream, in the order of concatenation.
            hidden_width: D; None is the largest stream width, as in the paper. Smaller is cheaper.
            num_heads: Attention heads; None makes heads of about 64 wide, as in BERT.
            dropout: Of the attention weights; 0.1 as in BERT.

        Raises:
            ConfigurationError: The dropout is out of range, or the heads do not divide D.
        """
        super().__init__()
        if not 0 <= dropout < 1:
            raise ConfigurationError(f"The gated pre-fusion needs 0 <= dropout < 1; got {dropout}.")
        self.alignment = StreamAlignment(stream_widths, hidden_width)
        self.output_width = width = self.alignment.width
        self.output_tokens = 1
        heads = head_count(width, num_heads, "gated pre-fusion")
        self.reading = nn.ModuleDict(
            {
                name: nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
                for name in stream_widths
                if len(stream_widths) > 1
            }
        )
        self.reading_gates = nn.ParameterDict(
            {name: nn.Parameter(torch.full((1,), _FIRST_GATE)) for name in self.reading}
        )
        self.gating = nn.Linear(len(stream_widths) * width, len(stream_widths) * width)

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Returns:
            One token a clip [B, 1, D].
        """
        aligned = dict(zip(self.alignment.stream_widths, self.alignment(streams), strict=True))
        pooled = torch.stack([self._read(name, aligned).masked_mean() for name in aligned], dim=1)  # [B, M, D]
        gates = torch.sigmoid(self.gating(pooled.flatten(start_dim=1))).view_as(pooled)
        fused = (gates.to(pooled.dtype) * pooled).sum(dim=1, keepdim=True)
        return FeatureSequence(fused, torch.ones(fused.shape[:2], dtype=torch.bool, device=fused.device))

    def _read(self, name: str, aligned: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """One stream [B, N, D] with what its tokens read in the others added."""
        own = aligned[name]
        if name not in self.reading or own.tokens.shape[1] == 0:
            return own
        others = [sequence for other, sequence in aligned.items() if other != name]
        tokens = torch.cat([sequence.tokens for sequence in others], dim=1)
        mask = torch.cat([sequence.mask for sequence in others], dim=1)
        if tokens.shape[1] == 0:
            return own
        read = attend(self.reading[name], own.tokens, tokens, mask)
        gated = own.tokens + (torch.tanh(self.reading_gates[name]) * read).to(own.tokens.dtype)
        return FeatureSequence(gated, own.mask)


def attend(attention: nn.Module, queries: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Cross-attention over the real tokens.

    Args:
        attention: A torch.nn.MultiheadAttention, batch first.
        queries: [B, Q, D].
        tokens: What is attended to [B, N, D], zeros where masked.
        mask: True where a token is real [B, N].

    Returns:
        [B, Q, D]; zeros for a clip without any real token.
    """
    some = mask.any(dim=1)
    padding = ~mask
    padding[:, 0] &= some  # softmax over nothing would give NaN
    read, _ = attention(queries, tokens, tokens, key_padding_mask=padding, need_weights=False)
    return read * some.view(-1, 1, 1).to(read.dtype)
