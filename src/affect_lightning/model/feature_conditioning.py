"""Between encoders and fusion: features scaled to unit size, and streams hidden at random in training (ours).

- Scaling: the paper trains for 900,000 samples, long enough for a linear layer to learn the scale of each encoder. A
  run of a few hundred steps is not: features whose common mean is ten times their differences then hide the
  differences. `none` is the paper's way.
- Stream dropout: two streams that agree most of the time leave a third without gradient until they are learnt. Hiding
  streams at random (ModDrop, Neverova et al., 2016) gives each stream samples that only it can explain.

`affectgpt.py` calls both. Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affect_lightning.contracts import FeatureSequence
from affect_lightning.model.processes import gather_from_processes

_EPSILON = 1e-6


def build_feature_scaling(kind: str, width: int) -> nn.Module:
    """The scaling of one stream: `none`, `layer` (each token by itself) or `standard` (each feature over all clips)."""
    if kind == "layer":
        return LayerScaling(width)
    return StandardScaling(width) if kind == "standard" else nn.Identity()


class LayerScaling(nn.Module):
    """Layer normalisation of each token, without parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, stream: FeatureSequence) -> FeatureSequence:
        """Tokens of mean 0 and variance 1 over their features."""
        return FeatureSequence(nn.functional.layer_norm(stream.tokens, (self.width,)), stream.mask)


class StandardScaling(nn.Module):
    """Standardisation of each feature by the mean and deviation of all real tokens seen in training.

    The statistics are exact running sums, not an average that forgets; they stay as they are outside training, and
    they are in the checkpoint. In training a batch is counted before it is scaled. Every process counts the batches of
    all, so all hold the same sums. A token with a value that is no finite number is left out: one broken clip makes one
    loss NaN, not every loss after it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("squares", torch.zeros(width))  # sum of squared deviations
        self.count: Tensor
        self.mean: Tensor
        self.squares: Tensor

    def forward(self, stream: FeatureSequence, counted: Tensor | None = None) -> FeatureSequence:
        """Tokens of mean about 0 and deviation about 1 in each feature; unchanged before any training batch.

        Args:
            stream: To scale.
            counted: False for clips [B] that the statistics leave out; None means all count.
        """
        if self.training:
            mask = stream.mask if counted is None else stream.mask & counted.to(stream.mask.device).unsqueeze(1)
            self._count_in(stream.tokens.detach().float().flatten(0, 1), mask.flatten())
        deviation = (self.squares / self.count.clamp(min=1.0)).sqrt()
        # A feature that hardly varies says nothing; dividing by its deviation would only enlarge noise.
        floor = 0.01 * deviation.mean() + _EPSILON
        scaled = (stream.tokens - self.mean.to(stream.tokens)) / deviation.clamp(min=floor).to(stream.tokens)
        return FeatureSequence(torch.where(self.count < 2, stream.tokens, scaled), stream.mask)

    @torch.no_grad()
    def _count_in(self, tokens: Tensor, mask: Tensor) -> None:
        """Count the tokens [R, D] under the mask [R] of this process's batch, and those of the other processes.

        Which tokens count is known to the device alone, so all of them are summed, the others as zeros.
        """
        counts = mask & tokens.isfinite().all(dim=1)
        added = counts.sum().to(self.count)
        kept = tokens.masked_fill(~counts.unsqueeze(1), 0.0)
        mean = kept.sum(dim=0) / added.clamp(min=1.0)
        squares = (kept - mean).masked_fill(~counts.unsqueeze(1), 0.0).square().sum(dim=0)
        for other in gather_from_processes(torch.cat([added.reshape(1), mean, squares])):
            self._merge(other[0], *other[1:].chunk(2))

    def _merge(self, added: Tensor, batch_mean: Tensor, batch_squares: Tensor) -> None:
        """Merge a batch's sums into the running ones (Chan, Golub and LeVeque 1979); one of no tokens changes nothing."""
        difference = batch_mean - self.mean
        total = (self.count + added).clamp(min=1.0)
        self.squares += batch_squares + difference.square() * self.count * added / total
        self.mean += difference * added / total
        self.count += added


def drop_streams(streams: Mapping[str, FeatureSequence], share: float) -> dict[str, FeatureSequence]:
    """Hide each stream of each clip with a probability, but never all streams of a clip.

    Args:
        streams: Scaled features [B, N, D].
        share: The probability, 0 to 1; a draw that would hide all streams of a clip hides none.

    Returns:
        The same with zeros in the place of hidden features, which after standardisation are the mean.
    """
    clips = len(next(iter(streams.values())).tokens) if streams else 0
    hidden = torch.rand(clips, len(streams)) < share
    hidden &= ~hidden.all(dim=1, keepdim=True)
    dropped = {}
    for position, (name, stream) in enumerate(streams.items()):
        device = stream.tokens.device
        kept = ~hidden[:, position].to(device, non_blocking=device.type == "cuda")
        dropped[name] = FeatureSequence(stream.tokens * kept[:, None, None].to(stream.tokens.dtype), stream.mask)
    return dropped
