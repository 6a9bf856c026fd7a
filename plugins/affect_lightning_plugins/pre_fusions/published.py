"""The pre-fusions of the paper (Section 3.2, Figure 3 and Table 5), and `attention-released` of the authors' code.

- `none`: the language model alone combines the streams (first rows of Table 5).
- `attention` (Eq. 5 to 7): each stream is averaged over time. Weights computed from all streams together say how much each
  one counts. The equation has no softmax, so a stream may count negatively.
- `qformer` (Eq. 3 and 4): learned queries attend to the concatenated streams with positional encoding, in BERT-like layers
  of self-attention, cross-attention and feed-forward. The paper leaves the encoding open. Here it is the fixed sinusoid,
  which has no largest length and no parameters. Positions count real tokens only, so the padding of a stream does not
  shift the next one. The branch compression `qformer` is this pre-fusion on one stream.
- `attention-released` differs from Eq. 5 to 7 in three points. Every stream is projected to the common width, with a bias,
  even if it has that width. Two layers weigh the streams, with biases and no activation between them. The order of the
  streams is video, audio (`fused_streams: [face, audio]`). The two layers are one linear map, but they stay two, so that
  the authors' checkpoint loads and trains further as theirs does. docs/released.md compares the two.

`stream_alignment.py` brings the streams to one width. `gated.py` and `bilinear.py` are pre-fusions of ours.
Legend: B clips, N tokens of a stream or of all together, M streams, K queries, D common width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning_plugins.pre_fusions.stream_alignment import StreamAlignment, cleared_streams, head_count


class NoPreFusion(PreFusion):
    """Fuses nothing: the stream `multi` then gives no tokens."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        """Take the widths that every pre-fusion is given; nothing is built."""
        super().__init__()
        self.output_width = 0
        self.output_tokens = 0

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Return no tokens: [B, 0, 0]."""
        first = next(iter(streams.values()))
        clips = first.tokens.shape[0]
        return FeatureSequence(first.tokens.new_zeros(clips, 0, 0), first.mask.new_zeros(clips, 0))


class AttentionPreFusion(PreFusion):
    """Weighs the streams' averages against each other; one fused token (paper, Eq. 5 to 7)."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        """Build W [M, M * D] of Eq. 7, without bias as there.

        Args:
            stream_widths: Width of each stream, in the order of concatenation.
        """
        super().__init__()
        self.alignment = StreamAlignment(stream_widths)
        self.output_width = self.alignment.width
        self.output_tokens = 1
        self.weighing = nn.Linear(len(stream_widths) * self.output_width, len(stream_widths), bias=False)

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Returns:
            One token a clip [B, 1, D].
        """
        pooled, weights = self._weighed(streams)
        fused = torch.einsum("bmd,bm->bd", pooled, weights.to(pooled.dtype)).unsqueeze(1)
        return FeatureSequence(fused, torch.ones(fused.shape[:2], dtype=torch.bool, device=fused.device))

    def stream_weights(self, streams: Mapping[str, FeatureSequence]) -> dict[str, Tensor]:
        """See `PreFusion.stream_weights`: w of Eq. 7. Every real token of a stream has the same part of it."""
        return shares_of_tokens(streams, self.alignment.stream_widths, self._weighed(streams)[1])

    def _weighed(self, streams: Mapping[str, FeatureSequence]) -> tuple[Tensor, Tensor]:
        """Averages of the streams [B, M, D], and the weight of each [B, M]."""
        pooled = torch.stack([stream.masked_mean() for stream in self.alignment(streams)], dim=1)
        return pooled, self.weighing(pooled.flatten(start_dim=1))


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
            raise ContractError(f"The qformer needs streams with at least one token; got {list(streams)}.")
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
        pooled = self._pooled(streams)
        dtype = next(iter(streams.values())).tokens.dtype
        fused = torch.einsum("bmd,bm->bd", pooled, self.weights(pooled).to(pooled.dtype)).unsqueeze(1).to(dtype)
        return FeatureSequence(fused, torch.ones(fused.shape[:2], dtype=torch.bool, device=fused.device))

    def stream_weights(self, streams: Mapping[str, FeatureSequence]) -> dict[str, Tensor]:
        """See `PreFusion.stream_weights`. Every real token of a stream has the same part of its weight."""
        return shares_of_tokens(streams, self.stream_widths, self.weights(self._pooled(streams)))

    def weights(self, pooled: Tensor) -> Tensor:
        """The weight of every stream [B, M] from their projected averages [B, M, D]."""
        return self.weighing(self.mixing(pooled.flatten(start_dim=1)))

    def _pooled(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        cleared = cleared_streams(self.stream_widths, streams)
        return torch.stack([self.projections[name](cleared[name].masked_mean()) for name in cleared], dim=1)


def shares_of_tokens(
    streams: Mapping[str, FeatureSequence], order: Iterable[str], weights: Tensor
) -> dict[str, Tensor]:
    """Weights of whole streams, divided among their real tokens.

    Args:
        streams: [B, N, D] each.
        order: Their names in the order of the weights.
        weights: [B, M].

    Returns:
        float [B, N] for each stream. A stream without a real token has zeros.
    """
    shares = {}
    for position, name in enumerate(order):
        mask = streams[name].mask
        shares[name] = weights[:, position, None].float() * mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return shares
