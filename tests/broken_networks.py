"""Encoders and fusions that each break one promise of their contract, and good ones beside them.

`BROKEN` says which check of the contract suite must catch which class. They are offered as plugins by the fixture of
test_contract_checks.py. Neighbours: `broken_language_models.py`, `broken_workers.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import AudioEncoder, BranchCompression, FeatureSequence, PreFusion, VideoEncoder

# By group: class, and the check that must catch it.
BROKEN: dict[str, dict[str, str]] = {
    "pre_fusions": {
        "WrongWidth": "shapes",
        "NaNForEmpty": "shapes",
        "TwoStreamsOnly": "shapes",
        "CountsPadding": "mask-invariance",
        "MultipliesByMask": "masked-gradient",
        "LooksAtTheBatch": "batch-invariance",
        "DeadWeight": "gradient-flow",
        "Detached": "gradient-flow",
        "OneStreamOnly": "gradient-flow",
        "AlwaysDouble": "number-types",
        "FixedFloat": "number-types",
        "HiddenWeight": "save-and-reload",
        "AnotherEachTime": "options-round-trip",
        "SetOption": "options-round-trip",
        "NoHelp": "help-text",
        "NoType": "help-text",
        "OtherWhenCompiled": "torch-compile",
        "FailsInTraining": "two-step-fit",
        "KeepsItsWeights": "fsdp",
        "Unfinished": "contract-form",
    },
    "branch_compressions": {
        "BranchWithoutK": "shapes",
        "BranchInfinite": "shapes",
    },
    "video_encoders": {
        "FramesMixed": "shapes",
        "MaskIgnored": "shapes",
        "MeanOverFrames": "mask-invariance",
        "BatchStatistics": "batch-invariance",
        "CountsItsCalls": "frozen",
        "HiddenLayer": "frozen",
    },
    "audio_encoders": {
        "HearsNothing": "shapes",
        "HearsPadding": "mask-invariance",
        "LoudestOfBatch": "batch-invariance",
        "DropsOut": "frozen",
    },
}
GOOD = {
    "pre_fusions": "GoodFusion",
    "branch_compressions": "GoodBranch",
    "video_encoders": "GoodEyes",
    "audio_encoders": "GoodEars",
}
_COUNTER = itertools.count()


class GoodFusion(PreFusion):
    """Adds projected averages.

    Args:
        stream_widths: Given by the core.
        width: Of the fused token.
    """

    def __init__(self, stream_widths: Mapping[str, int], width: int = 6) -> None:
        super().__init__()
        self.output_width, self.output_tokens = width, 1
        self.layers = nn.ModuleDict({name: nn.Linear(size, width) for name, size in stream_widths.items()})

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return torch.stack([layer(streams[name].masked_mean()) for name, layer in self.layers.items()]).sum(dim=0)

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        tokens = self.fuse(streams).unsqueeze(1)
        return FeatureSequence(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


class WrongWidth(GoodFusion):
    """Announces another width."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        super().__init__(stream_widths)
        self.output_width = 7


class NaNForEmpty(GoodFusion):
    """Divides by the number of real tokens."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return super().fuse(streams) + sum((0 / stream.mask.sum(dim=1, keepdim=True)) for stream in streams.values())


class TwoStreamsOnly(GoodFusion):
    """Takes for granted that there are two streams."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        first, second = streams.values()
        return super().fuse(streams) + 0 * (first.masked_mean().sum() + second.masked_mean().sum())


class CountsPadding(GoodFusion):
    """Averages over padding too."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return torch.stack([layer(streams[name].tokens.mean(1)) for name, layer in self.layers.items()]).sum(dim=0)


class MultipliesByMask(GoodFusion):
    """Clears padding by multiplication, through which NaN passes."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        total = torch.zeros(())
        for name, layer in self.layers.items():
            stream = streams[name]
            kept = (stream.tokens * stream.mask.unsqueeze(-1)).sum(1) / stream.mask.sum(1, keepdim=True).clamp(min=1)
            total = total + layer(kept)
        return total


class LooksAtTheBatch(GoodFusion):
    """Subtracts the batch's mean."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        fused = super().fuse(streams)
        return fused - 0.5 * fused.mean(dim=0)


class DeadWeight(GoodFusion):
    """Has a weight that takes no part."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        super().__init__(stream_widths)
        self.spare = nn.Parameter(torch.zeros(3))


class Detached(GoodFusion):
    """Cuts the gradient off."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return super().fuse(streams).detach()


class OneStreamOnly(GoodFusion):
    """Lets no gradient into the streams that come first."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        first = next(iter(streams))
        cut = FeatureSequence(streams[first].tokens.detach(), streams[first].mask)
        return super().fuse({**streams, first: cut})


class AlwaysDouble(GoodFusion):
    """Gives 64 bits."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return super().fuse(streams).double()


class FixedFloat(GoodFusion):
    """Multiplies by a matrix that stays in 32 bits."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return super().fuse(streams) @ torch.eye(self.output_width)


class HiddenWeight(GoodFusion):
    """Has a random tensor that is in no state."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        super().__init__(stream_widths)
        self.hidden = torch.rand(self.output_width) + 0.5

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return super().fuse(streams) * self.hidden


class AnotherEachTime(GoodFusion):
    """Draws weights from a source of its own."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        super().__init__(stream_widths)
        self.layers["audio"].bias.data.fill_(float(next(_COUNTER)))


class SetOption(GoodFusion):
    """Has an option that no file holds.

    Args:
        stream_widths: Given by the core.
        chosen: A set.
    """

    def __init__(self, stream_widths: Mapping[str, int], chosen: set[int] = frozenset({1})) -> None:  # type: ignore[assignment]
        super().__init__(stream_widths)


class NoHelp(GoodFusion):
    """Does not explain its option."""

    def __init__(self, stream_widths: Mapping[str, int], depth: int = 3) -> None:
        super().__init__(stream_widths)


class NoType(GoodFusion):
    """Has an option of any type.

    Args:
        stream_widths: Given by the core.
        depth: Of something.
    """

    def __init__(self, stream_widths: Mapping[str, int], depth: Any = 3) -> None:
        super().__init__(stream_widths)


class OtherWhenCompiled(GoodFusion):
    """Takes another way under torch.compile."""

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        return super().fuse(streams) * (2.0 if torch.compiler.is_compiling() else 1.0)


class FailsInTraining(GoodFusion):
    """Gives NaN from the second training batch on."""

    calls = 0

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        self.calls += self.training
        return super().fuse(streams) * (float("nan") if self.calls > 1 else 1.0)


class KeepsItsWeights(GoodFusion):
    """Keeps hold of a weight outside its layer, which no longer is that weight once FSDP has sharded it."""

    def __init__(self, stream_widths: Mapping[str, int]) -> None:
        super().__init__(stream_widths)
        self.kept = [layer.weight for layer in self.layers.values()]

    def fuse(self, streams: Mapping[str, FeatureSequence]) -> Tensor:
        pooled = [streams[name].masked_mean() for name in self.layers]
        biases = [layer.bias for layer in self.layers.values()]
        return sum(vector @ weight.T + bias for vector, weight, bias in zip(pooled, self.kept, biases, strict=True))  # type: ignore[return-value]


class Unfinished(PreFusion):
    """Lacks forward."""


class GoodBranch(BranchCompression):
    """A projected average, K times."""

    def __init__(self, stream_width: int, tokens: int) -> None:
        super().__init__()
        self.output_width, self.output_tokens = 5, tokens
        self.layer = nn.Linear(stream_width, 5)

    def forward(self, stream: FeatureSequence) -> Tensor:
        return self.layer(stream.masked_mean()).unsqueeze(1).expand(-1, self.output_tokens, -1)


class BranchWithoutK(GoodBranch):
    """Gives one vector a clip in place of K tokens."""

    def forward(self, stream: FeatureSequence) -> Tensor:
        return super().forward(stream)[:, 0]


class BranchInfinite(GoodBranch):
    """Divides by the number of real tokens."""

    def forward(self, stream: FeatureSequence) -> Tensor:
        return super().forward(stream) / stream.mask.sum(dim=1).view(-1, 1, 1)


class GoodEyes(VideoEncoder):
    """Mean colours of each frame through a fixed layer."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_width, self.image_size = 6, 8
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = nn.Linear(3, 6)

    def see(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.layer((frames.float().mean(dim=(3, 4)) / 255).to(self.layer.weight.dtype))

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        return FeatureSequence(self.see(frames, mask), mask)


class FramesMixed(GoodEyes):
    """Gives one token more than there are frames."""

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        tokens = self.see(frames, mask)
        return FeatureSequence(torch.cat([tokens, tokens[:, :1]], 1), torch.cat([mask, mask[:, :1]], 1))


class MaskIgnored(GoodEyes):
    """Calls every frame real."""

    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        return FeatureSequence(self.see(frames, mask), torch.ones_like(mask))


class MeanOverFrames(GoodEyes):
    """Subtracts the mean of all frames, padding included."""

    def see(self, frames: Tensor, mask: Tensor) -> Tensor:
        found = super().see(frames, mask)
        return found - 0.5 * found.mean(dim=1, keepdim=True)


class BatchStatistics(GoodEyes):
    """Scales by the batch's first clip."""

    def see(self, frames: Tensor, mask: Tensor) -> Tensor:
        found = super().see(frames, mask)
        return found / found[:1, :1].norm()


class CountsItsCalls(GoodEyes):
    """Keeps statistics in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def see(self, frames: Tensor, mask: Tensor) -> Tensor:
        self.calls += 1
        return super().see(frames, mask)


class HiddenLayer(GoodEyes):
    """Keeps a layer in a plain list, where nobody finds its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [nn.Linear(6, 6)]

    def see(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.hidden[0](super().see(frames, mask))


class GoodEars(AudioEncoder):
    """Loudness of each tenth of a second."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_width, self.sample_rate = 4, 16_000

    def heard(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        return waveform.masked_fill(torch.arange(waveform.shape[1]) >= lengths[:, None], 0.0)

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        heard = self.heard(waveform, lengths)
        count = -(-heard.shape[1] // 1600)
        windows = nn.functional.pad(heard, (0, count * 1600 - heard.shape[1])).view(len(heard), count, 4, 400)
        mask = torch.arange(count) * 1600 < lengths[:, None]
        return FeatureSequence(windows.abs().mean(dim=3), mask)


class HearsNothing(GoodEars):
    """Gives a real token for a clip of length 0."""

    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        found = super().forward(waveform, lengths)
        return FeatureSequence(found.tokens, torch.ones_like(found.mask))


class HearsPadding(GoodEars):
    """Hears what lies beyond a clip's length."""

    def heard(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        return waveform


class LoudestOfBatch(GoodEars):
    """Scales by the loudest sample of the batch."""

    def heard(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        heard = super().heard(waveform, lengths)
        return heard / heard.abs().max().clamp(min=1e-6)


class DropsOut(GoodEars):
    """Drops features at random, in eval mode too."""

    def heard(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        return nn.functional.dropout(super().heard(waveform, lengths), 0.3)
