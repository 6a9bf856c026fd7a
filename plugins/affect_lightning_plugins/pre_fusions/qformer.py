"""Q-Former-based pre-fusion (paper, Section 3.2, Eq. 3 and 4).

Learned queries attend to the concatenated streams with positional encoding, in BERT-like layers of self-attention,
cross-attention and feed-forward. The paper leaves PE open; here it is the fixed sinusoid, which has no largest
length and no parameters. Positions count real tokens only, so padding a stream does not shift the next one.
Neighbours: `stream_alignment.py`, `attention.py`. With one stream it is also the Q-Former branch of `model.branches`.
Legend: B clips, N tokens of all streams together, K queries, D common width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning_plugins.pre_fusions.stream_alignment import StreamAlignment, head_count


class QFormerPreFusion(PreFusion):
    """Distils all streams into learned queries by cross-attention, time preserved (paper, Eq. 3 and 4)."""

    def __init__(
        self,
        stream_widths: Mapping[str, int],
        *,
        num_queries: int = 32,
        num_layers: int = 2,
        hidden_width: int | None = None,
        num_heads: int | None = None,
        feed_forward_width: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        """Build queries and layers.

        Args:
            stream_widths: Width of each stream, in the order of concatenation.
            num_queries: K, the fused tokens a clip; 32 as in the paper's Q-Former settings.
            num_layers: Transformer layers, each with cross-attention; 2 as in the authors' recipe.
            hidden_width: D; None is the largest stream width, as in the paper. Smaller is cheaper (our option).
            num_heads: Attention heads; None makes heads of about 64 wide, as in BERT.
            feed_forward_width: None is four times D, as in BERT.
            dropout: 0.1 as in BERT.

        Raises:
            ConfigurationError: A number is not positive, or the heads do not divide D.
        """
        super().__init__()
        if num_queries < 1 or num_layers < 1 or not 0 <= dropout < 1:
            raise ConfigurationError(
                f"The qformer needs num_queries >= 1, num_layers >= 1 and 0 <= dropout < 1; got {num_queries}, "
                f"{num_layers} and {dropout}."
            )
        self.alignment = StreamAlignment(stream_widths, hidden_width)
        self.output_width = width = self.alignment.width
        self.output_tokens = num_queries
        self.queries = nn.Parameter(torch.randn(num_queries, width) * 0.02)  # 0.02: BERT's initialisation
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                d_model=width,
                nhead=head_count(width, num_heads, "qformer"),
                dim_feedforward=4 * width if feed_forward_width is None else feed_forward_width,
                dropout=dropout,
                activation="gelu",
                batch_first=True,
            )
            for _ in range(num_layers)
        )

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Returns:
            The queries after the layers [B, K, D].

        Raises:
            ContractError: The streams have no token at all, or are not those announced.
        """
        aligned = self.alignment(streams)
        tokens = torch.cat([stream.tokens for stream in aligned], dim=1)  # [B, N, D]
        mask = torch.cat([stream.mask for stream in aligned], dim=1)  # [B, N]
        if tokens.shape[1] == 0:
            raise ContractError(f"The qformer received streams without any token: {list(streams)}.")
        memory = tokens + sinusoidal_encoding(mask, tokens.shape[-1]).to(tokens.dtype)
        # A clip without any real token attends to its first, cleared token: softmax over nothing would give NaN.
        empty = ~mask.any(dim=1)
        padding = ~mask
        padding[:, 0] &= ~empty
        hidden = self.queries.to(tokens.dtype).expand(tokens.shape[0], -1, -1)  # [B, K, D]
        for layer in self.layers:
            hidden = layer(hidden, memory, memory_key_padding_mask=padding)
        return FeatureSequence(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device))


def sinusoidal_encoding(mask: Tensor, width: int) -> Tensor:
    """Fixed positional encoding of the real tokens (PE of Eq. 4; Vaswani et al. 2017, Section 3.5).

    Args:
        mask: True where a token is real [B, N]; the first real token has position 0, padding counts as nothing.
        width: D.

    Returns:
        [B, N, D] float32; sines in the first half, cosines in the second.
    """
    positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0).float()
    pairs = math.ceil(width / 2)
    rates = torch.exp(torch.arange(pairs, device=mask.device) * (-math.log(10_000.0) / pairs))
    angles = positions.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :width]
