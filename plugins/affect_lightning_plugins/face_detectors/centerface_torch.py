"""Face detector `centerface-torch`: CenterFace (Xu et al., 2019, arXiv 1911.03599) with torch, in batches, on a GPU.

The same network and boxes as `centerface`. Meant for one process that holds a GPU (`data.workers: 0`, or a few spawned
workers that share it); on a CPU, `centerface` is quicker. Neighbours: `centerface_maps.py` holds the way in and out,
`onnx_as_torch.py` builds the network from the ONNX file. Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.face_detectors.centerface_maps import (
    CARRIER,
    CenterFaceOptions,
    Scaling,
    found_faces,
    packaged_weights,
    prepare,
)
from affect_lightning_plugins.face_detectors.onnx_as_torch import OnnxModule


class TorchCenterFaceDetector(FaceDetector):
    """CenterFace as a torch module: frames in batches, on a GPU or the CPU.

    Args:
        device: Such as cuda, cuda:1 or cpu; auto takes a GPU where there is one.
        batch: Most frames in the network at a time (32, our choice: about 1 GB on a GPU at 320 pixels).
        longest_side: As in `centerface` (our choice: 320).
        score_threshold: As in `centerface` (our choice).
        overlap_threshold: As in `centerface` (our choice).

    Raises:
        ConfigurationError: A package or the device is missing, or an option is out of range.
    """

    carrier = CARRIER

    def __init__(
        self,
        device: str = "auto",
        batch: int = 32,
        longest_side: int = 320,
        score_threshold: float = 0.35,
        overlap_threshold: float = 0.3,
    ):
        if batch < 1:
            raise ConfigurationError(f"centerface-torch: batch must be at least 1; got {batch}.")
        self.device = _checked_device(device)
        self.batch = batch
        self.options = CenterFaceOptions("centerface-torch", longest_side, score_threshold, overlap_threshold)
        self.weights = packaged_weights("centerface-torch", ("onnx",))
        self._identity = self.options.identity(self.weights)
        self._network: OnnxModule | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """See the contract. Legend: T frames.

        Args:
            frames: uint8 [T, H, W, 3], RGB.
        """
        found: list[list[FaceBox]] = []
        for start in range(0, len(frames), self.batch):
            found += self._detect_batch(frames[start : start + self.batch])
        return found

    def identity(self) -> str:
        """Name, weights and options; neither device nor batch changes a box by more than rounding."""
        return self._identity

    def _detect_batch(self, frames: np.ndarray) -> list[list[FaceBox]]:
        if self._network is None:
            self._network = OnnxModule(self.weights).to(self.device)
        height, width = shape = frames.shape[1:3]
        scaling = Scaling.of(height, width, self.options.longest_side)
        # The full 32 bits: with cuDNN's shortened ones (TF32) boxes would depend on the device.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            maps = [answer.cpu().numpy() for answer in self._network(self._pictures(frames, scaling))]
        return [
            found_faces([answer[index] for answer in maps], self.options, scaling.scale, shape)
            for index in range(len(frames))
        ]

    def _pictures(self, frames: np.ndarray, scaling: Scaling) -> Tensor:
        """The network's input [T, 3, H, W]; a GPU scales by itself, the CPU leaves that to OpenCV."""
        if self.device.type == "cpu":
            return torch.from_numpy(prepare(frames, scaling))
        return prepare_on_device(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device), scaling)


def _checked_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(
            f"centerface-torch: device must be auto, cpu, cuda or cuda:NUMBER; got {name!r}."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"centerface-torch: device {name!r} is asked for, but torch sees {torch.cuda.device_count()} GPUs. Set it to "
            f"auto or cpu, or choose 'centerface'."
        )
    return device


def prepare_on_device(frames: Tensor, scaling: Scaling) -> Tensor:
    """What `centerface_maps.prepare` does, where the frames are; equal to it within one grey level.

    Args:
        frames: uint8 [T, H, W, 3].
        scaling: How they enter the network.

    Returns:
        float32 [T, 3, H, W], scaled and padded.
    """
    (width, height), (padded_width, padded_height) = scaling.size, scaling.padded
    rows = scaling_matrix(frames.shape[1], height, frames.device)
    columns = scaling_matrix(frames.shape[2], width, frames.device)
    pictures = frames.permute(0, 3, 1, 2).float()
    scaled = (rows @ pictures @ columns.T).round()  # whole grey levels, as a picture has them
    return torch.nn.functional.pad(scaled, (0, padded_width - width, 0, padded_height - height))


def scaling_matrix(before: int, after: int, device: torch.device) -> Tensor:
    """The weights of `before` pixels in `after` ones [after, before]: mean over the area, or linear where it grows."""
    step = before / after
    if step > 1:
        starts = torch.arange(after, dtype=torch.float64)[:, None] * step
        pixels = torch.arange(before, dtype=torch.float64)[None]
        shares = torch.minimum(starts + step, pixels + 1) - torch.maximum(starts, pixels)
        return (shares.clamp(min=0) / step).float().to(device)
    middles = ((torch.arange(after, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, before - 1)
    distances = (middles[:, None] - torch.arange(before, dtype=torch.float64)[None]).abs()
    return (1 - distances).clamp(min=0).float().to(device)
