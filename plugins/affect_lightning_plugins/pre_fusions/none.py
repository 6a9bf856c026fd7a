"""No pre-fusion: cross-modal interaction is left to the language model (paper, Figure 3 and Table 5's first rows).

Neighbours: `attention.py` and `qformer.py` fuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from affect_lightning.contracts import FeatureSequence, PreFusion


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
