"""What the pre-fusions share: streams of one width with masked tokens cleared, and heads that divide it (Section 3.2).

The equations take Z_a and Z_v of one width d. Streams of another width first pass one linear layer to the largest width.
`attention`, `qformer` and `gated` align the streams; `attention-released` and `bilinear` only clear them. `qformer` and
`gated` attend with heads as wide as BERT's.
Legend: B clips, N feature tokens, D feature width of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from affect_lightning.contracts import FeatureSequence
from affect_lightning.errors import ConfigurationError, ContractError

_BERT_HEAD_WIDTH = 64


class StreamAlignment(nn.Module):
    """Projects every stream that is not of the common width and clears what is masked.

    Attributes:
        width: The common width d.
    """

    def __init__(self, stream_widths: Mapping[str, int], width: int | None = None) -> None:
        """Build the projections.

        Args:
            stream_widths: Width D of each stream, in the order of concatenation.
            width: The common width; None is the largest of the streams, as in the paper.

        Raises:
            ConfigurationError: There is no stream, or a width is not positive.
        """
        super().__init__()
        if not stream_widths or min(stream_widths.values()) < 1 or (width is not None and width < 1):
            raise ConfigurationError(
                f"A pre-fusion needs at least one stream and positive widths; got streams {dict(stream_widths)} and "
                f"width {width}. Choose `pre_fusion: none` if there is nothing to fuse."
            )
        self.stream_widths = dict(stream_widths)
        self.width = max(stream_widths.values()) if width is None else width
        self.projections = nn.ModuleDict(
            {
                name: nn.Identity() if size == self.width else nn.Linear(size, self.width)
                for name, size in stream_widths.items()
            }
        )

    def forward(self, streams: Mapping[str, FeatureSequence]) -> list[FeatureSequence]:
        """Align the streams.

        Returns:
            One FeatureSequence [B, N, d] a stream, in the order of construction. What is in masked tokens is
            gone, so that it reaches neither the result nor a gradient.

        Raises:
            ContractError: A stream is missing, unknown or has another width than announced.
        """
        aligned = []
        for name, sequence in cleared_streams(self.stream_widths, streams).items():
            tokens = self.projections[name](sequence.tokens).masked_fill(~sequence.mask.unsqueeze(-1), 0.0)
            aligned.append(FeatureSequence(tokens, sequence.mask))
        return aligned


def cleared_streams(
    stream_widths: Mapping[str, int], streams: Mapping[str, FeatureSequence]
) -> dict[str, FeatureSequence]:
    """The streams in the order announced, zeros where they are masked: a masked NaN times 0 would still be NaN.

    Args:
        stream_widths: Name and width of every stream that was announced.
        streams: What came.

    Raises:
        ContractError: A stream is missing, unknown or has another width than announced.
    """
    received = {name: sequence.width for name, sequence in streams.items()}
    if received != dict(stream_widths):
        raise ContractError(
            f"The pre-fusion was built for streams of widths {dict(stream_widths)}; it received {received}."
        )
    return {
        name: FeatureSequence(
            streams[name].tokens.masked_fill(~streams[name].mask.unsqueeze(-1), 0.0), streams[name].mask
        )
        for name in stream_widths
    }


def head_count(width: int, requested: int | None, part: str) -> int:
    """Heads that divide the width; on request exactly that many.

    Args:
        width: Of what is attended with.
        requested: None makes heads of about 64 wide, as in BERT.
        part: Who asks, for the message.

    Raises:
        ConfigurationError: The requested number does not divide the width.

    >>> head_count(1024, None, "qformer")
    16
    """
    if requested is None:
        return next(heads for heads in range(max(1, width // _BERT_HEAD_WIDTH), 0, -1) if width % heads == 0)
    if requested < 1 or width % requested:
        raise ConfigurationError(f"num_heads must divide the width {width} of the {part}; got {requested}.")
    return requested
