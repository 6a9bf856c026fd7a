"""Pre-fusions."""

import torch

from affect_lightning.contracts import FeatureSequence, PreFusion


class WithoutForward(PreFusion):
    """Lacks forward."""


class OtherSignature(PreFusion):
    """Takes two streams instead of a mapping."""

    def forward(self, audio, face):
        raise NotImplementedError


class WithoutWidth(PreFusion):
    """Does not say how wide it is."""

    def __init__(self, stream_widths):
        super().__init__()

    def forward(self, streams):
        raise NotImplementedError


class _Fusion(PreFusion):
    """Constant tokens."""

    shape = (1, 8)

    def __init__(self, stream_widths):
        super().__init__()
        self.output_tokens, self.output_width = 1, 8

    def forward(self, streams):
        clips = len(next(iter(streams.values())).mask)
        return FeatureSequence(torch.ones(clips, *self.shape), torch.ones(clips, self.shape[0], dtype=torch.bool))


class NarrowFusion(_Fusion):
    """Is narrower than it says."""

    shape = (1, 5)


class ManyTokens(_Fusion):
    """Gives more tokens than it says."""

    shape = (3, 8)


class FlatFusion(_Fusion):
    """Gives vectors instead of tokens."""

    def forward(self, streams):
        found = super().forward(streams)
        return FeatureSequence(found.tokens[:, 0], found.mask)


class PlainTensor(_Fusion):
    """Gives a tensor."""

    def forward(self, streams):
        return super().forward(streams).tokens


class NotANumber(_Fusion):
    """Gives NaN."""

    def forward(self, streams):
        found = super().forward(streams)
        return FeatureSequence(found.tokens / 0 * 0, found.mask)
