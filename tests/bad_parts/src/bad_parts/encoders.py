"""Encoders."""

import torch

from affect_lightning.contracts import AudioEncoder, FeatureSequence, VideoEncoder


class NarrowEyes(VideoEncoder):
    """Is narrower than it says."""

    def __init__(self):
        super().__init__()
        self.feature_width, self.image_size = 8, 8

    def forward(self, frames, mask):
        return FeatureSequence(frames.float().mean(dim=(3, 4)), mask)


class BlindEyes(NarrowEyes):
    """Gives a mask of another shape."""

    def forward(self, frames, mask):
        return FeatureSequence(torch.zeros(*mask.shape, 8), mask[:, :1])


class FirstClipOnly(AudioEncoder):
    """Gives one clip."""

    def __init__(self):
        super().__init__()
        self.feature_width, self.sample_rate = 2, 16_000

    def forward(self, waveform, lengths):
        return FeatureSequence(waveform[:1, :8].view(1, 4, 2), torch.ones(1, 4, dtype=torch.bool))


class EarsNotANumber(FirstClipOnly):
    """Gives NaN."""

    def forward(self, waveform, lengths):
        tokens = waveform[:, :8].view(-1, 4, 2)
        return FeatureSequence(tokens.log() * float("nan"), torch.ones(tokens.shape[:2], dtype=torch.bool))
