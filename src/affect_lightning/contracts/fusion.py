"""What a pre-fusion must provide (paper, Section 3.2, Eq. 3 to 7).

Legend: B clips, N feature tokens, D feature width, K query tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import nn

from affect_lightning.contracts.features import FeatureSequence


class PreFusion(nn.Module, ABC):
    """Fuses the streams before the language model. It trains.

    A subclass's constructor takes `stream_widths` first, `{stream name: feature width}` in the order in which the
    streams are concatenated, and options of its own after it.

    Attributes:
        output_width: Width of the fused tokens; 0 for a part that fuses nothing and gives no tokens.
        output_tokens: Fused tokens a clip, a constant; 0 for a part that fuses nothing.
    """

    output_width: int
    output_tokens: int

    @abstractmethod
    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Args:
            streams: One FeatureSequence [B, N, D] for every name given at construction; N and D differ by stream.

        Returns:
            Fused tokens [B, output_tokens, output_width]. Masked tokens of a stream change nothing.

        Raises:
            ContractError: A stream is missing, unknown or has another width than announced.
        """
