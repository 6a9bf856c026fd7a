"""The network of TalkNet, written from its paper: which pictures of a face show its owner speaking.

Paper: Tao et al., "Is Someone Speaking? Exploring Long-term Temporal Features for Audio-visual Active Speaker Detection",
ACM Multimedia 2021 (arXiv 2107.06592), Section 3: two encoders of pictures and sound over time, attention from each
to the other, and attention of both together over the whole piece. Names and shapes of the weights, and what the paper leaves
open (strides, order of normalisation), are those of the published files. `talknet.py` asks it.
Legend: B clips, T pictures, F = 4 T steps of sound, H and W pixels, C channels, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from affect_lightning_plugins.speaker_detectors.published_networks import Classifier
from affect_lightning_plugins.speaker_detectors.trained_inputs import normalised

WIDTH = 128  # D of a picture or of its sound, the published files'
HEADS = 8  # of each attention, the released settings
_SEEN = (64, 128, 256, 512)  # channels of the picture's residual layers, those of ResNet-18
_HEARD = ((3, 16), (4, 32), (6, 64), (3, WIDTH))  # blocks and channels of the sound's layers, those of ResNet-34 / 4
_NORM: dict[str, Any] = {"momentum": 0.01, "eps": 0.001}  # of the batch normalisations that see pictures
_SQUEEZED = 8  # times fewer channels inside of a squeeze-and-excitation
_TEMPORAL_BLOCKS = 5  # of the visual temporal network, the published files'
_DROPOUT = 0.1  # of the attention layers in training, the released settings


class _ResidualPair(nn.Module):
    """Two residual blocks of 3 x 3 convolutions; what is carried on is the sum before its normalisation.

    Args:
        taken: Channels in.
        given: Channels out.
        stride: Of the first convolution. With 1 the published `downsample` has weights, and nothing uses it.
    """

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        for place, channels, step in (("1a", taken, stride), ("2a", given, 1), ("1b", given, 1), ("2b", given, 1)):
            self.add_module(f"conv{place}", nn.Conv2d(channels, given, 3, stride=step, padding=1, bias=False))
        self.downsample = nn.Conv2d(taken, given, 1, stride=stride, bias=False)
        for name in ("bn1a", "outbna", "bn1b", "outbnb"):
            self.add_module(name, nn.BatchNorm2d(given, **_NORM))

    def forward(self, values: Tensor) -> Tensor:
        """[N, C, H, W], N pictures, to the given channels and a side divided by the stride."""
        beside = values if self.stride == 1 else self.downsample(values)
        for block in ("a", "b"):
            beside = beside + self._branch(values, block)
            values = torch.relu(self.get_submodule(f"outbn{block}")(beside))
        return values

    def _branch(self, values: Tensor, block: str) -> Tensor:
        first, norm, second = (self.get_submodule(f"{name}{block}") for name in ("conv1", "bn1", "conv2"))
        result: Tensor = second(torch.relu(norm(first(values))))
        return result


class _PictureLayers(nn.Module):
    """ResNet-18 behind its first convolution: each picture by itself."""

    def __init__(self) -> None:
        super().__init__()
        for number, (taken, given) in enumerate(zip((_SEEN[0], *_SEEN[:-1]), _SEEN, strict=True), start=1):
            self.add_module(f"layer{number}", _ResidualPair(taken, given, stride=1 if number == 1 else 2))

    def forward(self, values: Tensor) -> Tensor:
        """[N, 64, 28, 28] to [N, 512]."""
        for layer in self.children():
            values = layer(values)
        return values.mean(dim=(2, 3))  # the released pooling over 4 x 4 places, which are all that is left


class _VisualFrontend(nn.Module):
    """Short motion by a convolution over 5 pictures, then the picture layers."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, _SEEN[0], (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False),
            nn.BatchNorm3d(_SEEN[0], **_NORM),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        self.resnet = _PictureLayers()

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised pictures [B, T, H, W] to features [B, 512, T]."""
        values = self.frontend3D(pictures[:, None]).transpose(1, 2)
        features: Tensor = self.resnet(values.flatten(0, 1))
        return features.unflatten(0, values.shape[:2]).transpose(1, 2)


class _WholeNorm(nn.Module):
    """Normalisation over channels and time of a clip together, with a scale and an offset for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, T] to the same."""
        return functional.group_norm(values, 1, self.gamma.flatten(), self.beta.flatten(), eps=1e-8)


class _TemporalBlock(nn.Module):
    """A depth-wise separable convolution over time, added to what it was given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(channels),
            nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.PReLU(),
            _WholeNorm(channels),
            nn.Conv1d(channels, channels, 1, bias=False),
        )

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, T] to the same."""
        return values + self.net(values)


class _Chain(nn.Module):
    """Layers one after the other, whose weights have `net` in their names."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, values: Tensor) -> Tensor:
        """Whatever the layers take and give."""
        result: Tensor = self.net(values)
        return result


class _Excitation(nn.Module):
    """How much each channel counts, by what all channels say of the whole piece (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // _SQUEEZED
        self.fc = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        counts: Tensor = self.fc(values.mean(dim=(2, 3)))
        return values * counts[:, :, None, None]


class _SoundBlock(nn.Module):
    """A residual block with squeeze and excitation; its first convolution is rectified before it is normalised."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(taken, given, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(given)
        self.conv2 = nn.Conv2d(given, given, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(given)
        self.se = _Excitation(given)
        self.downsample: nn.Module | None = None
        if stride > 1 or taken != given:
            self.downsample = nn.Sequential(
                nn.Conv2d(taken, given, 1, stride=stride, bias=False), nn.BatchNorm2d(given)
            )

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, H, W], H coefficients and W steps, to the given channels; both sides divided by the stride."""
        beside = values if self.downsample is None else self.downsample(values)
        inner = self.bn1(torch.relu(self.conv1(values)))
        return torch.relu(self.se(self.bn2(self.conv2(inner))) + beside)


class _AudioEncoder(nn.Module):
    """Coefficients of the sound to one feature a picture: two of the four layers halve the steps."""

    def __init__(self) -> None:
        super().__init__()
        taken = _HEARD[0][1]
        self.conv1 = nn.Conv2d(1, taken, 7, stride=(2, 1), padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(taken)
        for number, (blocks, given) in enumerate(_HEARD, start=1):
            stride = 2 if number in (2, 3) else 1
            rest = [_SoundBlock(given, given, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(_SoundBlock(taken, given, stride), *rest))
            taken = given

    def forward(self, sound: Tensor) -> Tensor:
        """Coefficients [B, F, 13] to features [B, F / 4, D]."""
        values = torch.relu(self.bn1(self.conv1(sound.transpose(1, 2)[:, None])))
        for number in range(1, len(_HEARD) + 1):
            values = self.get_submodule(f"layer{number}")(values)
        return values.mean(dim=2).transpose(1, 2)


class _Attention(nn.Module):
    """A transformer layer in which another sequence asks (cross-attention); what is asked is added to the answer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, dropout=_DROPOUT, batch_first=True)
        self.linear1 = nn.Linear(width, width * 4)
        self.linear2 = nn.Linear(width * 4, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, source: Tensor, asking: Tensor) -> Tensor:
        """Source and the sequence that asks, both [B, T, D], to [B, T, D]."""
        answer, _ = self.self_attn(asking, source, source, need_weights=False)
        met = self.norm1(source + self.dropout(answer))
        inner = self.linear2(self.dropout(torch.relu(self.linear1(met))))
        result: Tensor = self.norm2(met + self.dropout(inner))
        return result


class _Encoders(nn.Module):
    """The parts that the published files have under `model`."""

    def __init__(self) -> None:
        super().__init__()
        wide = _SEEN[-1]
        self.visualFrontend = _VisualFrontend()
        self.visualTCN = _Chain(*(_TemporalBlock(wide) for _ in range(_TEMPORAL_BLOCKS)))
        self.visualConv1D = _Chain(
            nn.Conv1d(wide, 256, 5, padding=2), nn.BatchNorm1d(256), nn.ReLU(), nn.Conv1d(256, WIDTH, 1)
        )
        self.audioEncoder = _AudioEncoder()
        self.crossA2V = _Attention(WIDTH)
        self.crossV2A = _Attention(WIDTH)
        self.selfAV = _Attention(2 * WIDTH)


class TalkNet(nn.Module):
    """For each picture: is this person speaking what is heard? The modules have the published names."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _Encoders()
        self.lossAV = Classifier(2 * WIDTH)
        self.lossA = Classifier(WIDTH)  # this and the next train one sense alone; in the files, and unused here
        self.lossV = Classifier(WIDTH)

    def forward(self, pictures: Tensor, sound: Tensor) -> Tensor:
        """Scores of each picture.

        Args:
            pictures: Grey, 0 to 255 [B, T, 112, 112].
            sound: Coefficients [B, 4 T, 13].

        Returns:
            Logits of silent and speaking [B, T, 2].
        """
        parts = self.model
        temporal = parts.visualTCN(parts.visualFrontend(normalised(pictures)))
        seen = parts.visualConv1D(temporal).transpose(1, 2)
        heard = parts.audioEncoder(sound)
        both = torch.cat([parts.crossA2V(heard, seen), parts.crossV2A(seen, heard)], dim=2)
        scores: Tensor = self.lossAV.FC(parts.selfAV(both, both))
        return scores
