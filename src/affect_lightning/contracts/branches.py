"""What a branch compression must provide (paper, Section 5 and Table 5).

A branch brings the tokens of one encoded stream to a fixed number before its projector. Neighbour: `fusion.py`, which takes
several streams.
Legend: B clips, N feature tokens, D feature width, K tokens of the branch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from affect_lightning.contracts.features import FeatureSequence


class BranchCompression(nn.Module, ABC):
    """Compresses one encoded stream to K tokens. It trains.

    A subclass's constructor takes `stream_width` (D) and `tokens` (K) first, and options of its own after them.

    Attributes:
        most_tokens: Largest K that the class can give; None for any.
        output_width: Width of the tokens.
        output_tokens: K.
    """

    most_tokens: ClassVar[int | None] = None
    output_width: int
    output_tokens: int

    @abstractmethod
    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress a stream.

        Args:
            stream: Features [B, N, D]. Masked tokens change nothing.

        Returns:
            Tokens [B, K, output_width], finite also for a clip without any real token.
        """
