"""The network of Light-ASD, written from its paper: which pictures of a face show its owner speaking.

Paper: Liao et al., "A Light Weight Model for Active Speaker Detection", CVPR 2023: both encoders split every convolution
into one over space (or frequency) and one over time, in two paths with kernels 3 and 5; the two sequences are added, and a
bidirectional GRU looks around each picture. Names and shapes of the weights are those of the published file. What neither
the paper nor the file tells (order of padding, momentum) follows the released settings. `light_asd.py` asks it.
Legend: B clips, T pictures, F = 4 T sound features' steps, H and W pixels, D channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning_plugins.speaker_detectors.published_networks import Classifier
from affect_lightning_plugins.speaker_detectors.trained_inputs import normalised

WIDTH = 128  # D, the paper's
_WIDTHS = (32, 64, WIDTH)  # of the three blocks of both encoders
_NORM: dict[str, Any] = {"momentum": 0.01, "eps": 0.001}  # of all batch normalisations, the released settings


class _Block(nn.Module):
    """Two paths with kernels 3 and 5, each first over `within` and then over time; their sum through a 1 x 1 convolution.

    Args:
        channels: In and out.
        convolution: 2D for sound, 3D for pictures.
        normalisation: Of the same kind.
        within: Letter of the first convolution in the published names: `s` (space) or `m` (frequencies).
        stride: Over `within`, of the first convolution of each path.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        convolution: type[nn.Conv2d] | type[nn.Conv3d],
        normalisation: type[nn.BatchNorm2d] | type[nn.BatchNorm3d],
        within: str,
        stride: int = 1,
    ) -> None:
        super().__init__()
        taken, given = channels
        self._paths = tuple((f"{within}_{size}", f"t_{size}") for size in (3, 5))
        pictures = convolution is nn.Conv3d
        for size, (first, second) in zip((3, 5), self._paths, strict=True):
            inner, over_time = ((1, size, size), (size, 1, 1)) if pictures else ((size, 1), (1, size))
            steps = (1, stride, stride) if pictures else (stride, 1)
            for name, kernel, wide, step in (
                (first, inner, taken, steps),
                (second, over_time, given, 1),
            ):
                padding = tuple(length // 2 for length in kernel)
                layer = convolution(wide, given, kernel, stride=step, padding=padding, bias=False)  # type: ignore[arg-type]
                self.add_module(name, layer)
                self.add_module(f"bn_{name}", normalisation(given, **_NORM))
        self.last = convolution(given, given, 1, bias=False)
        self.bn_last = normalisation(given, **_NORM)

    def forward(self, values: Tensor) -> Tensor:
        """Any size; with stride 1 the size stays."""
        paths = []
        for path in self._paths:
            step = values
            for name in path:
                step = torch.relu(self.get_submodule(f"bn_{name}")(self.get_submodule(name)(step)))
            paths.append(step)
        return torch.relu(self.bn_last(self.last(paths[0] + paths[1])))


class VisualEncoder(nn.Module):
    """Grey faces to one feature a picture."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = zip((1, *_WIDTHS[:-1]), _WIDTHS, strict=True)
        self.block1 = _Block(first, nn.Conv3d, nn.BatchNorm3d, "s", stride=2)
        self.block2 = _Block(second, nn.Conv3d, nn.BatchNorm3d, "s")
        self.block3 = _Block(third, nn.Conv3d, nn.BatchNorm3d, "s")
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 1, T, H, W], normalised, to features [B, T, D]."""
        values = self.block3(self.pool(self.block2(self.pool(self.block1(pictures)))))
        return values.amax(dim=(3, 4)).transpose(1, 2)


class AudioEncoder(nn.Module):
    """Coefficients of the sound to one feature a picture: two poolings by 2 over time."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = zip((1, *_WIDTHS[:-1]), _WIDTHS, strict=True)
        self.block1 = _Block(first, nn.Conv2d, nn.BatchNorm2d, "m")
        self.block2 = _Block(second, nn.Conv2d, nn.BatchNorm2d, "m")
        self.block3 = _Block(third, nn.Conv2d, nn.BatchNorm2d, "m")
        self.pool = nn.MaxPool2d((1, 3), stride=(1, 2), padding=(0, 1))

    def forward(self, sound: Tensor) -> Tensor:
        """Coefficients [B, 1, 13, F] to features [B, F / 4, D]."""
        values = self.block3(self.pool(self.block2(self.pool(self.block1(sound)))))
        return values.mean(dim=2).transpose(1, 2)


class _BothWays(nn.Module):
    """A GRU over the pictures in order, and one over its results in reverse order."""

    def __init__(self) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.gru_backward = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        onward = nn.functional.gelu(self.gru_forward(features)[0])
        back = self.gru_backward(onward.flip(1))[0].flip(1)
        return nn.functional.gelu(back)


class _Encoders(nn.Module):
    """The parts that the published file has under `model`."""

    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder = VisualEncoder()
        self.audioEncoder = AudioEncoder()
        self.GRU = _BothWays()


class LightASD(nn.Module):
    """For each picture: is this person speaking what is heard? The modules have the published names."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _Encoders()
        self.lossAV = Classifier(WIDTH)
        self.lossV = Classifier(WIDTH)  # trains the visual encoder alone; its weights are in the file and unused here

    def forward(self, pictures: Tensor, sound: Tensor) -> Tensor:
        """Scores of each picture.

        Args:
            pictures: Grey, 0 to 255 [B, T, 112, 112].
            sound: Coefficients [B, 4 T, 13].

        Returns:
            Logits of silent and speaking [B, T, 2].
        """
        seen = self.model.visualEncoder(normalised(pictures[:, None]))
        heard = self.model.audioEncoder(sound.transpose(1, 2)[:, None])
        scores: Tensor = self.lossAV.FC(self.model.GRU(seen + heard))
        return scores
